"""Verbs about a crawl as a whole: pause, resume, cancel, delete."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from crawl import keys, lifecycle, names, results, settings, tombstones
from crawl.errors import DamagedCrawlError, UsageError
from embedded.attachment import reading

if TYPE_CHECKING:
    from crawl.lifecycle import Cancelled, Change


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _json(told: object) -> None:
    print(msgspec.json.encode(told).decode())


@click.command(epilog="Example: poolcrawl pause shops")
@click.argument("crawl", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def pause(crawl: str | None, *, as_json: bool) -> None:
    """Have nothing more of a crawl fetched until it is resumed (default: the newest).

    Requests under way are finished, within seconds nothing is asked for any more; nothing is lost.
    """
    with reading(settings.load()) as client:
        told = lifecycle.pause(client, results.resolve(client, crawl))
    if as_json:
        _json(told)
    else:
        already = " already" if told.before == told.state else ""
        print(f"{told.crawl}: paused{already}; `poolcrawl resume {told.crawl}` lets it go on")


@click.command(epilog="Example: poolcrawl resume shops")
@click.argument("crawl", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def resume(crawl: str | None, *, as_json: bool) -> None:
    """Let a paused crawl go on (default: the newest).

    A pump service, or whoever follows the crawl, sends its work; with neither, `poolcrawl crawl --name` does.
    """
    with reading(settings.load(), gives_work=True) as client:
        told = lifecycle.resume(client, results.resolve(client, crawl))
        service = results.pump_services(client) > 0
    if as_json:
        _json(told)
    else:
        print(_resumed(told, service=service))


def _resumed(told: Change, *, service: bool) -> str:
    already = "runs already" if told.before == names.RUNNING else "runs again"
    if told.pumped:
        return f"{told.crawl}: {already}"
    if service:
        return f"{told.crawl}: {already}; a pump service takes it within seconds"
    return f"{told.crawl}: {already}, but nobody works on it; continue it with `poolcrawl crawl --name {told.crawl}`"


@click.command(epilog="Example: poolcrawl cancel shops")
@click.argument("crawl", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def cancel(crawl: str | None, *, as_json: bool) -> None:
    """End a crawl for good, at once (default: the newest); what has a record keeps it.

    Requests under way are broken off. URLs that waited get no record; `audit` counts them as cancelled.
    """
    with reading(settings.load()) as client:
        told = lifecycle.cancel(client, results.resolve(client, crawl), _say)
    if as_json:
        _json(told)
    else:
        print("\n".join(_cancelled(told)))


def _cancelled(told: Cancelled) -> list[str]:
    already = " already" if told.before == told.state else ""
    return [
        f"{told.crawl}: cancelled{already}; {told.records} records are kept, {told.cancelled} URLs ended without one",
        f"  `poolcrawl export {told.crawl}` writes the records, `poolcrawl delete {told.crawl}` removes everything",
    ]


@click.command(epilog="Example: poolcrawl delete shops --yes")
@click.argument("crawl", required=False)
@click.option("--force", is_flag=True, help="Cancel the crawl first if it has not ended.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def delete(crawl: str | None, *, force: bool, yes: bool, as_json: bool) -> None:
    """Remove a finished or cancelled crawl with its records and everything else it has in Redis.

    On a terminal it asks first; elsewhere it wants --yes.
    """
    with reading(settings.load()) as client:
        name = results.resolve(client, crawl)
        kept = int(client.hlen(keys.records(name)))
        with contextlib.suppress(DamagedCrawlError):
            kept += tombstones.count(client, name)
        _confirm(name, kept, yes=yes)
        told = lifecycle.delete(client, name, force=force, say=_say)
    if as_json:
        _json(told)
    else:
        print(f"{told.crawl}: deleted, {told.keys} keys")


def _confirm(crawl: str, records: int, *, yes: bool) -> None:
    """Ask on a terminal. Raises UsageError where nobody can be asked, click.Abort when the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        message = f"'{crawl}' with its {records} records would be gone for good; say --yes to delete it"
        raise UsageError(message)
    click.confirm(f"Delete crawl '{crawl}' with its {records} records for good?", abort=True, err=True)
