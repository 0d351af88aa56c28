"""What a run of `crawl` or `demo` says: its first line, how it was interrupted or ended, and what to do next."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from crawl import names, results
from crawl.errors import StoppedError, UnknownCrawlError
from export import files
from poolcrawl import commandline, summary
from poolcrawl.streams import reader_may_leave
from worker import pools

if TYPE_CHECKING:
    from crawl.records import CrawlOptions
    from embedded.stack import Stack
    from poolcrawl.plan import Plan


def say(text: str) -> None:
    """Print one line for people."""
    print(text, file=sys.stderr, flush=True)


def first_line(name: str, options: CrawlOptions, stack: Stack | None) -> str:
    """Return what the crawl is and with which limits, in one line."""
    depth = "no depth limit" if options.depth is None else f"depth {options.depth}"
    pages = "no page limit" if options.max_pages is None else f"at most {options.max_pages} pages"
    workers = f"; {stack.workers} x {stack.pool} worker" if stack is not None else ""
    robots = options.robots
    if robots == "obey":
        robots += f" (Crawl-delay up to {options.max_crawl_delay_s:g} s)"
    again = f" (again what '{options.recrawl}' crawled)" if options.recrawl is not None else ""
    return (
        f"crawl '{name}'{again}: scope {options.scope}, {depth}, {pages}, delay {options.delay_s:g} s per host, "
        f"robots {robots}, batches of up to {options.batch}, pipeline {options.pipeline}{workers}"
    )


def flower_line(stack: Stack | None) -> str | None:
    """Return where Flower is and how one logs in, or None where it is not known to run."""
    if stack is not None:
        if stack.flower_url is None:
            return None
        return f"Flower: {stack.flower_url} user {stack.flower_user} password {stack.flower_password}"
    if os.environ.get("FLOWER_PORT") and os.environ.get("FLOWER_USER"):
        return (
            f"Flower: http://127.0.0.1:{os.environ['FLOWER_PORT']}/ user {os.environ['FLOWER_USER']} "
            "password: `make flower-password`"
        )
    return None


def interrupted(plan: Plan, client: redis.Redis, options: CrawlOptions, stack: Stack | None) -> str:
    """Return what becomes of the crawl after a Ctrl-C."""
    with contextlib.suppress(redis.RedisError):
        if stack is None and results.pump_services(client):
            return (
                f"interrupted; a pump service goes on with '{plan.name}'. "
                f"`{commandline.command()} pause {plan.name}` stops it"
            )
    verb = "demo" if options.demo else "crawl"
    return f"interrupted; '{plan.name}' is kept and continues with `{commandline.command()} {verb} --name {plan.name}`"


def ended_early(plan: Plan, client: redis.Redis, state: str) -> int:
    """Say that somebody paused or cancelled the crawl, and what can be done; return the exit code."""
    name = plan.name
    if state == names.PAUSED:
        say(f"crawl '{name}' was paused; it goes on with `{commandline.command()} crawl --name {name}`")
    elif state in names.OVER:
        say(f"crawl '{name}' was cancelled; its records are kept: `{commandline.command()} export {name}`")
    else:
        say(f"crawl '{name}' is gone: somebody deleted it")
    if plan.as_json and state in (names.PAUSED, *names.OVER):
        with contextlib.suppress(UnknownCrawlError):
            _print(summary.as_dict(results.status(client, str(name))))
    return StoppedError.exit_code


def said_finished(plan: Plan, client: redis.Redis, options: CrawlOptions, stack: Stack | None) -> int:
    """Say that a crawl is finished already, and how it ended; return the exit code."""
    say(f"crawl '{plan.name}' is finished already; nothing is left to do")
    end(plan, client, options, None, stack)
    return 0


def end(
    plan: Plan, client: redis.Redis, options: CrawlOptions, flower: str | None, stack: Stack | None
) -> int:
    """Print the summary, write the output file, name the next commands; return the exit code."""
    assert plan.name is not None
    status = results.status(client, plan.name)
    for text in summary.lines(status):
        say(text)
    say("three of its records:")
    for text in summary.samples(client, plan.name):
        say(f"  {text}")
    written = None
    if plan.output:
        written = files.to_file(client, plan.name, plan.format_name, plan.output)
        say(f"{written} records in {plan.output}")
        if commandline.in_compose():
            say(f"copy it out: docker compose cp producer:{Path(plan.output).absolute()} .")
    say("next:")
    for text in _next_commands(plan, options, stack):
        say(f"  {text}")
    if flower:
        say(flower)
    if plan.as_json:
        _print(summary.as_dict(status, output=plan.output, written=written))
    fetched = (
        status.outcomes.get("ok", 0)
        + status.outcomes.get("redirect", 0)
        + status.reasons.get("content_type", 0)
    )
    return 0 if fetched else 1


def _print(found: dict[str, Any]) -> None:
    """Print a summary as JSON; a reader that is gone changes nothing about the crawl, nor its exit code."""
    with reader_may_leave():
        print(json.dumps(found))


def _next_commands(plan: Plan, options: CrawlOptions, stack: Stack | None) -> list[str]:
    """Return what a person may want to do next: take the records, try another pool."""
    names_of_pools = list(pools.TABLE)
    used = stack.pool if stack is not None else plan.settings.pool
    other = names_of_pools[(names_of_pools.index(used) + 1) % len(names_of_pools)]
    command = commandline.command()
    if commandline.in_compose():
        again = f"CRAWL_POOL={other} docker compose up"
        # Without --no-deps, compose would also bring every service back to its declared scale.
        reading = command.replace(" -T ", " -T --no-deps ")
        return [f"{reading} export {plan.name} > pages.jsonl", again]
    taken = f"{command} export {plan.name} --output pages.jsonl"
    if stack is None:  # workers elsewhere have chosen their pool already
        return [taken]
    same = commandline.same_crawl(options, unnamed=bool(plan.source or plan.stream))
    again = f"CRAWL_POOL={other} {command} {'demo' if options.demo else same}"
    return [taken, again]
