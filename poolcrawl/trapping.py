"""Verbs about traps: parked lists what was set aside, release admits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from crawl import names, results, settings
from crawl import parked as parking
from crawl.errors import UsageError
from embedded.attachment import reading
from poolcrawl.streams import reader_may_leave

if TYPE_CHECKING:
    from crawl.parked import Listing, Released


@click.command(epilog="Example: poolcrawl parked shops --json")
@click.argument("crawl", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def parked(crawl: str | None, *, as_json: bool) -> None:
    """List the URLs that a budget or a trap kept out of a crawl, by pattern (default: of the newest)."""
    with reading(settings.load()) as client:
        found = parking.listing(client, results.resolve(client, crawl))
    with reader_may_leave():
        print(msgspec.json.encode(found).decode() if as_json else "\n".join(_told(found)))


def _told(found: Listing) -> list[str]:
    if not found.parked and not found.not_kept:
        return [f"{found.crawl}: nothing is parked"]
    lines = [f"{found.crawl}: {found.parked} URLs are parked"]
    for group in found.groups:
        lines.append(f"{group.count:>8}  {group.detail}")
        lines += [f"          {sample['url']} (on {sample['parent']})" for sample in group.samples]
    if found.not_kept:
        lines.append(f"{found.not_kept:>8}  more were only counted: there was no room to keep them")
    lines.append(f"admit them with `poolcrawl release {found.crawl} --pattern 'PATTERN'` or `--all`")
    return lines


@click.command(epilog="Example: poolcrawl release shops --pattern 'shop.example/calendar?{date}'")
@click.argument("crawl", required=False)
@click.option("--pattern", help="What is parked under this pattern, or of this host.")
@click.option("--all", "everything", is_flag=True, help="Everything that is parked.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def release(crawl: str | None, *, pattern: str | None, everything: bool, as_json: bool) -> None:
    """Admit parked URLs, and raise the budget of their pattern by what it was (default: of the newest crawl)."""
    if (pattern is None) == (not everything):
        message = "say what to release: --pattern PATTERN (`poolcrawl parked` lists them), or --all"
        raise UsageError(message)
    with reading(settings.load(), gives_work=True) as client:
        found = parking.release(client, results.resolve(client, crawl), pattern)
        pumped = results.status(client, found.crawl).pumped
        service = results.pump_services(client) > 0
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    for line in _said(found, pumped=pumped, service=service):
        print(line)


def _said(found: Released, *, pumped: bool, service: bool) -> list[str]:
    lines = [f"{found.crawl}: {found.released} URLs of {len(found.patterns)} pattern(s) are admitted"]
    if found.left:
        lines.append(f"  {found.left} stay parked: the crawl has as many URLs as --max-pages allows")
    if found.released and not pumped:
        again = "it was finished and is open again; " if found.state == names.FINISHED else ""
        how = (
            "a pump service sends them within seconds"
            if service
            else f"crawl them with `poolcrawl crawl --name {found.crawl}`"
        )
        lines.append(f"  {again}{how}")
    return lines
