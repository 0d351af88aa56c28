"""Verbs about what failed: failures lists it, retry tries it again in a new generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from crawl import failures as failing
from crawl import names, records, results, retrying, settings, tombstones, urls
from crawl.errors import UsageError
from embedded.attachment import crawls_here, reading
from poolcrawl import following
from poolcrawl.plan import Plan
from poolcrawl.saying import say
from poolcrawl.streams import reader_may_leave

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawl.failures import Failure, Group, Listing
    from crawl.retrying import Retried

#: URLs between two lines of progress.
_TOLD_EVERY = 50_000


@click.command(epilog="Example: poolcrawl failures shops --reason timeout | cut -f 1")
@click.argument("crawl", required=False)
@click.option(
    "--reason",
    type=click.Choice(records.REASONS),
    metavar="REASON",
    help="Every URL of this reason, one per line.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --reason, one per line.")
def failures(crawl: str | None, reason: str | None, *, as_json: bool) -> None:
    """List what failed in a crawl, by reason, and how it is tried again (default: the newest)."""
    with reading(settings.load()) as client, reader_may_leave():
        name = results.resolve(client, crawl)
        if reason is not None:
            status = results.status(client, name)
            found_any = False
            for failure in failing.failures(client, name, reason):
                found_any = True
                print(msgspec.json.encode(failure).decode() if as_json else _row(failure))
            if not found_any and not as_json:
                still = " of which Redis has the record" if status.trimmed else ""
                say(f"{name}: no URL{still} failed or was skipped for the reason '{reason}' ({status.state})")
            if status.trimmed:
                where = tombstones.told(status.trimmed, status.trimmed_to)
                say(f"'{name}': {where}; failures among them are not here")
            return
        found = failing.listing(client, name)
        print(msgspec.json.encode(found).decode() if as_json else "\n".join(_told(found)))


def _row(failure: Failure) -> str:
    return f"{failure.url}\t{failure.status or ''}\t{' '.join((failure.detail or '').split())}"


def _told(found: Listing) -> list[str]:
    trimmed = [
        f"{found.trimmed:>8}  more have failed whose records were trimmed: they are in {found.trimmed_to}"
    ]
    if not found.groups:
        nothing = "nothing that is still in Redis has failed" if found.trimmed else "nothing has failed"
        return [f"{found.crawl}: {nothing} ({found.state})", *(trimmed if found.trimmed else [])]
    lines = [
        f"{found.crawl}: {found.failed} URLs have failed ({found.state}); {found.may_pass} of them for what may pass"
    ]
    for group in found.groups:
        lines += _group(group)
    if found.trimmed:
        lines += trimmed
    if found.waiting:
        lines.append(f"{found.waiting:>8}  of them wait to be tried again")
    if found.may_pass:
        lines.append(f"try those again with `poolcrawl retry {found.crawl}` ({may_pass()})")
    lines.append(f"others with `poolcrawl retry {found.crawl} --reason REASON` or `--url URL`")
    lines.append(f"all URLs of one reason: `poolcrawl failures {found.crawl} --reason REASON`")
    return lines


def _group(group: Group) -> Iterator[str]:
    what = group.reason if group.status is None else f"{group.reason} {group.status}"
    hosts = ""
    if group.hosts:
        named = ", ".join(f"{host} {count}" for host, count in group.hosts)
        others = group.of_hosts - len(group.hosts)
        hosts = f"  at {named}" + (f" and {others} more hosts" if others > 0 else "")
    yield f"{group.count:>8}  {what}{hosts}"
    for sample in group.samples:
        yield f"          {sample.url}" + (f"  {sample.detail}" if sample.detail else "")


def may_pass() -> str:
    """Return in words what is tried again when no reason is named."""
    statuses = ", ".join(map(str, sorted(records.TRANSIENT_STATUSES)))
    words = {"http": f"http {statuses}", "robots": "a robots.txt that could not be had"}
    return ", ".join(words.get(reason, reason) for reason in failing.AGAIN)


def _canonical(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    pages = []
    for value in values:
        seed = urls.judge_seed(value)
        if seed.url is None:
            raise UsageError(f"--url: {seed.error}")
        pages.append(seed.url)
    return tuple(pages)


@click.command(epilog="Example: poolcrawl retry shops --reason timeout --reason reset")
@click.argument("crawl", required=False)
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(records.REASONS),
    metavar="REASON",
    help="What failed for this reason; may be repeated. Without it, what may pass by itself.",
)
@click.option(
    "--url", "pages", multiple=True, callback=_canonical, metavar="URL", help="This URL; may be repeated."
)
@click.option("--detach", is_flag=True, help="Admit them and leave the crawl to whoever pumps it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line; then, as `crawl --json`, the summary.")
def retry(
    crawl: str | None, reasons: tuple[str, ...], pages: tuple[str, ...], *, detach: bool, as_json: bool
) -> int:
    """Try what failed again, and follow the crawl until it ends (default: the newest)."""
    if reasons and pages:
        message = "--reason and --url were both given; name the reasons, or the URLs"
        raise UsageError(message)
    own = settings.load()
    with reading(own, gives_work=True) as client:
        name = results.resolve(client, crawl)
        # Of a crawl that cannot be read nothing is admitted.
        results.status(client, name)
        found = retrying.retry(client, name, reasons, pages, tell=_Progress(name))
        now = results.status(client, name)
        busy = crawls_here(own)
        service = results.pump_services(client) > 0
    # A crawl that was running has not ended with these URLs waiting, so who pumps it meets them. The mark of a private
    # producer that was killed says nothing.
    pumped = now.pumped and found.state == names.RUNNING and (busy or own.redis_address() is not None)
    follows = bool(found.retried or found.waiting) and not detach and now.state == names.RUNNING and not busy
    if as_json:
        print(msgspec.json.encode(found).decode(), flush=True)
    else:
        for line in _said(found, now.state, pumped=pumped, follows=follows, service=service):
            print(line, flush=True)
    if follows:
        return following.run(Plan(settings=own, name=name, seeds=[], given={}, as_json=as_json))
    return 4 if found.retried and now.state == names.PAUSED and not detach else 0


class _Progress:
    """Says now and then how many URLs have been admitted again."""

    def __init__(self, crawl: str) -> None:
        self._crawl = crawl
        self._next = _TOLD_EVERY

    def __call__(self, number: int) -> None:
        if number >= self._next:
            say(f"{self._crawl}: {number} URLs so far")
            self._next = number + _TOLD_EVERY


def _said(found: Retried, state: str, *, pumped: bool, follows: bool, service: bool) -> list[str]:
    trimmed = (
        [
            f"  {found.trimmed} whose records were trimmed cannot be tried again; `poolcrawl status` names the file"
        ]
        if found.trimmed
        else []
    )
    if not found.retried and not found.waiting:
        left = (
            f"; {found.left} failed for other reasons (`poolcrawl failures {found.crawl}`)"
            if found.left
            else ""
        )
        return [f"{found.crawl}: nothing is to be tried again{left}", *trimmed]
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(found.reasons.items()))
    lines = []
    if found.retried:
        lines.append(
            f"{found.crawl}: {found.retried} URLs are tried again ({reasons}), generation {found.generation}"
        )
    if found.waiting:
        lines.append(f"{found.crawl}: {found.waiting} wait since an earlier retry")
    lines += trimmed
    if state == names.PAUSED:
        lines.append(f"  it is paused; `poolcrawl resume {found.crawl}` lets it go on")
    elif pumped:
        lines.append("  its producer, which runs, sends them")
    elif service and not follows:
        lines.append("  a pump service sends them within seconds")
    elif not follows:
        lines.append(f"  crawl them with `poolcrawl crawl --name {found.crawl}`")
    return lines
