"""Verbs that crawl: crawl, demo. Here are their options; `following` carries them out."""

from __future__ import annotations

import itertools
import math
import os
import re
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from crawl import settings
from crawl.errors import UsageError
from crawl.scope import compile_patterns
from demo import SEED_URL
from export import files
from poolcrawl import credentials, headers, rulesfile, scoping
from poolcrawl.following import run
from poolcrawl.plan import Plan
from poolcrawl.saying import say
from producer import seeds as seeding
from producer.stream import Stream
from worker import pools
from worker.parse import extractor

if TYPE_CHECKING:
    from collections.abc import Callable

#: Options that the crawl's frozen options hold under the same name.
_CRAWL_OPTIONS = (
    *("depth", "max_pages", "max_pages_per_host", "scope", "include", "exclude", "drop_query", "traps"),
    *(
        "delay_s",
        "adaptive_delay",
        "robots",
        "headers",
        "cookies",
        "sitemaps",
        "recrawl",
        "extractor",
        "main_text",
    ),
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Seconds(click.FloatRange):
    """A finite number in a range; click alone lets `nan` through."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or fail with one line."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


def _crawl_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value):
        message = f"'{value}': use letters, digits, '.', '_' and '-' (at most 64)"
        raise click.BadParameter(message)
    return value


def _pool_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    value = "threads" if value == "thread" else value
    if value is not None and value not in pools.TABLE:
        message = f"'{value}' is no pool; choose one of {', '.join(pools.TABLE)}"
        raise click.BadParameter(message)
    return value


def _resolves(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            settings.check_resolve(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return values


def _extractor(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value is None else extractor.check_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _addresses(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    import ipaddress

    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            message = f"'{value}' is no address or network; write it as 10.0.0.0/8 or 127.0.0.1"
            raise click.BadParameter(message) from None
    return values


def _headers(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    try:
        return headers.parsed(values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _parameters(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(values):
        message = "'': name the query parameter that is to be left out"
        raise click.BadParameter(message)
    return values


def _worker_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--json", "as_json", is_flag=True, help="Machine-readable summary as the last line of stdout."
        ),
        click.option(
            "--workers", type=click.IntRange(1, 1000), help="Worker processes of the embedded stack."
        ),
        click.option("--concurrency", type=click.IntRange(1, 10_000), help="Slots per worker process."),
        click.option(
            "--pool", callback=_pool_name, help="prefork, threads, gevent, asyncio or solo (embedded stack)."
        ),
        click.option("--name", callback=_crawl_name, help="Name of the crawl; an existing one is continued."),
    ):
        function = option(function)
    return function


def _seeds_of_dry_run(
    options: dict[str, Any], typed: list[str], source: seeding.SeedsFile | None
) -> list[str]:
    """Return all seeds, a file's too. Raises UsageError for options that a run without a crawl could only ignore."""
    for name in ("name", "output", "pool", "concurrency", "workers", "detach"):
        if options[name] not in (None, False):
            message = f"--dry-run makes no crawl, so --{name} means nothing there; leave one of them out"
            raise UsageError(message)
    found = list(typed)
    if source is not None:
        complaints = seeding.Complaints(source.shown, say)
        found += seeding.Verdicts(source, complaints.tell)
        complaints.end()
    if not found:
        message = "--dry-run judges the links of seeds; name a URL or --seeds FILE"
        raise UsageError(message)
    return list(dict.fromkeys(found))


@click.command(
    epilog="Example: poolcrawl crawl https://example.com/ --depth 2 --delay 0.5 --output pages.jsonl",
)
@click.argument("url", nargs=-1)
@click.option("--seeds", "seeds_file", help="File with one URL per line ('-': standard input).")
@click.option(
    "--depth", type=click.IntRange(0, settings.MOST), help="Links to follow from a seed; 0 = only the seeds."
)
@click.option("--max-pages", type=click.IntRange(1, settings.MOST), help="Most URLs to admit.")
@click.option(
    "--scope", type=click.Choice(["host", "domain", "prefix", "any"]), help="Which links belong [host]."
)
@click.option("--include", multiple=True, help="Only URLs that match this regular expression (RE2).")
@click.option("--exclude", multiple=True, help="No URLs that match this regular expression (RE2).")
@click.option("--delay", "delay_s", type=Seconds(0, 3600), help="Seconds between requests to a host [1].")
@click.option("--robots", type=click.Choice(["obey", "ignore"]), help="Obey robots.txt or not [obey].")
@click.option(
    "--max-pages-per-host", type=click.IntRange(1, settings.MOST), help="Most URLs to admit of one host."
)
@click.option(
    "--drop-query",
    multiple=True,
    callback=_parameters,
    help="Leave this query parameter out of every URL.",
)
@click.option(
    "--adaptive-delay",
    type=Seconds(0, 100),
    help="Delay of a host as a multiple of its own response time [0].",
)
@click.option(
    "--traps", type=click.Choice(["park", "ignore"]), help="Set aside URLs that look endless [park]."
)
@click.option(
    "--header", "headers", multiple=True, callback=_headers, help="Request header, as 'Name: value'."
)
@click.option("--cookies", is_flag=True, help="Keep cookies, one jar for the crawl.")
@click.option(
    "--credentials",
    "credentials_file",
    help="File of 'ORIGIN basic USER:PASSWORD' or 'ORIGIN bearer TOKEN' lines.",
)
@click.option("--sitemaps", is_flag=True, help="Start from the sitemaps of the seeds' sites, too.")
@click.option(
    "--recrawl", callback=_crawl_name, help="Crawl again what that crawl crawled, as far as it has changed."
)
@click.option("--extract", "extract_file", help="File of extraction rules for the records' `data`.")
@click.option(
    "--extractor",
    callback=_extractor,
    help="Function package.module:function that fills the records' `data`.",
)
@click.option("--text", "main_text", is_flag=True, help="Keep each page's main text in its record.")
@click.option(
    "--detach", is_flag=True, help="Submit it and return; a pump service, or a stack left up, crawls on."
)
@click.option("--dry-run", is_flag=True, help="Judge the links of the seeds and make no crawl.")
@click.option(
    "--allow-address", multiple=True, callback=_addresses, help="Private network that may be fetched (CIDR)."
)
@click.option(
    "--resolve",
    multiple=True,
    callback=_resolves,
    help="NAME:PORT=ADDRESS:PORT instead of DNS, as curl has it.",
)
@click.option("--output", help="File for the page records.")
@click.option(
    "--format", "format_name", type=click.Choice(sorted(files.FORMATS)), default="jsonl", show_default=True
)
@_worker_options
@click.pass_context
def crawl(context: click.Context, /, url: tuple[str, ...], seeds_file: str | None, **options: Any) -> int:
    """Submit a crawl and follow it until it ends; without URLs, continue the one called --name."""
    own = settings.load()
    found = seeding.from_arguments(url)
    source = None if seeds_file is None else seeding.SeedsFile(seeds_file)
    if source is not None and not source.streaming:
        source.check()
    if source is not None and options["dry_run"]:
        told = seeding.Complaints(source.shown, say)
        listed = itertools.islice(seeding.Verdicts(source, told.tell), seeding.MOST_NAMED)
        found = list(dict.fromkeys((*found, *listed)))
    if options["detach"] and options["output"]:
        message = (
            "--detach returns before there are records; leave --output out and use `poolcrawl export` later"
        )
        raise UsageError(message)
    if not found and source is None and options["name"] is None and options["recrawl"] is None:
        message = "nothing to crawl: give a URL, --seeds FILE, or --name of a crawl to continue"
        raise UsageError(message)
    given = {
        name: options[name]
        for name in _CRAWL_OPTIONS
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if options["credentials_file"] is not None:
        given["credentials"] = credentials.from_file(options["credentials_file"], say)
    if options["extract_file"] is not None:
        given["extract"] = rulesfile.from_file(options["extract_file"])
    for option in ("include", "exclude"):
        compile_patterns(options[option], f"--{option} ")
    if options["dry_run"]:
        found = _seeds_of_dry_run(options, found, source)
    planned = own.options(
        seeds=tuple(found),
        resolve=options["resolve"],
        allow_addresses=options["allow_address"] or None,
        **given,
    )
    for warning in scoping.warnings(planned, more=source is not None and not options["dry_run"]):
        say(warning)
    if options["dry_run"]:
        from poolcrawl import rehearsal

        return rehearsal.rehearse(own, planned, as_json=options["as_json"])
    if options["output"] is not None:
        files.check_writable(options["output"])
    plan = Plan(
        settings=own,
        name=options["name"],
        seeds=found,
        given=given,
        output=options["output"],
        format_name=options["format_name"],
        as_json=options["as_json"],
        pool=options["pool"],
        concurrency=options["concurrency"],
        workers=options["workers"],
        allow=options["allow_address"],
        resolve=options["resolve"],
        detach=options["detach"],
        source=None if source is None or source.streaming else source,
        stream=Stream(source, say) if source is not None and source.streaming else None,
    )
    if plan.stream is not None and not found and plan.name is None and "recrawl" not in given:
        # Nothing is started for a source that gives nothing.
        if os.isatty(0):
            say("type one URL per line; Ctrl-D ends the list")
        plan.stream.wait_for_first()
    return run(plan)


@click.command(epilog="Example: poolcrawl demo --pool gevent --stay")
@click.option(
    "--stay", is_flag=True, help="Keep Flower and the site up afterwards, until Ctrl-C (embedded stack)."
)
@click.option(
    "--latency",
    type=Seconds(0, 100),
    help="Scale of the site's latencies; 0 removes them (embedded).",
)
@_worker_options
def demo(**options: Any) -> int:
    """Crawl the bundled website, with Flower to watch it.

    Starts a new crawl, unless --name names one. With CRAWL_REDIS_URL set (containers), an unfinished demo crawl is
    continued.
    """
    plan = Plan(settings=settings.load(), seeds=[SEED_URL], given={}, demo=True, **options)
    return run(plan)
