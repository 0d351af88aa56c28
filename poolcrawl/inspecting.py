"""Verbs that read: list, status, export, audit, doctor."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table

from crawl import audit as auditing
from crawl import politeness as judging
from crawl import results, settings
from embedded.attachment import reading
from export import files
from poolcrawl import checkup, summary

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let whoever reads our output (head, less) end early: that is no failure of ours."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit; nothing may be left to write to the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command("list", epilog="Example: poolcrawl list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_crawls(*, as_json: bool) -> None:
    """List all crawls, oldest first."""
    with reading(settings.load()) as client:
        found = [results.status(client, name) for name in results.crawls(client)]
    if as_json:
        for one in found:
            print(json.dumps(summary.as_dict(one)))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("crawl", "state", "pages", "admitted", "seconds"):
        table.add_column(column, justify="left" if column in ("crawl", "state") else "right")
    for one in found:
        table.add_row(one.crawl, one.state, str(one.done), str(one.admitted), f"{one.elapsed_s:.1f}")
    Console(highlight=False).print(table)


@click.command(epilog="Example: poolcrawl status demo-1 --json")
@click.argument("crawl", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(crawl: str | None, *, as_json: bool) -> None:
    """Show how far a crawl is (default: the newest)."""
    with reading(settings.load()) as client:
        found = results.status(client, results.resolve(client, crawl))
    if as_json:
        print(
            json.dumps(
                summary.as_dict(found, paused_by=found.paused_by, done_share=round(found.done_share, 4))
            )
        )
    else:
        print("\n".join(summary.lines(found)))


@click.command(epilog="Example: poolcrawl export demo-1 --output pages.jsonl")
@click.argument("crawl", required=False)
@click.option(
    "--output", default="-", show_default="standard output", help="File to write; continued if it was begun."
)
@click.option(
    "--format", "format_name", type=click.Choice(sorted(files.FORMATS)), default="jsonl", show_default=True
)
def export(crawl: str | None, output: str, format_name: str) -> None:
    """Write a crawl's page records (default: of the newest), one JSON object per line."""
    own = settings.load()
    if output != "-":
        files.check_writable(output)
    with reading(own) as client:
        name = results.resolve(client, crawl)
        if output == "-":
            with reader_may_leave():
                files.to_stream(client, name, format_name, sys.stdout.buffer)
        else:
            count = files.to_file(client, name, format_name, output)
            print(f"{count} records of '{name}' in {output}", file=sys.stderr)


@click.command(epilog="Example: poolcrawl audit demo-1 --json")
@click.argument("crawl", required=False)
@click.option(
    "--politeness", is_flag=True, help="Also check that no host was asked too soon or too often at once."
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON line at the end; with --politeness, one more before it."
)
def audit(crawl: str | None, *, politeness: bool, as_json: bool) -> int:
    """Check that every admitted URL has exactly one record; name it and exit 1 when not (default: the newest)."""
    with reading(settings.load()) as client:
        name = results.resolve(client, crawl)
        manners = judging.audit(client, name) if politeness else None
        found = auditing.audit(client, name)
    if manners is not None:
        with reader_may_leave():
            print(msgspec.json.encode(manners).decode() if as_json else "\n".join(summary.manners(manners)))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        verdict = "clean" if found.clean else "NOT CLEAN"
        unfinished = f", {found.pending} pending ({found.state})" if found.pending else ""
        print(f"{found.crawl}: {verdict}; {found.records} records{unfinished}")
        strays = f", never admitted {found.strays}" if found.strays else ""
        print(
            f"  missing {found.missing}, duplicate {found.duplicate}{strays}, kept out by a cap {found.capped}"
        )
        if found.cancelled:
            print(
                f"  cancelled {found.cancelled}: admitted, without a record because the crawl was cancelled"
            )
        for fault in found.faults:
            print(f"  {fault.kind} {fault.url or f'(fingerprint {fault.fingerprint})'}: {fault.what}")
        if found.retried:
            print(f"  tried again {found.retried}, in {found.generations} generation(s)")
        print(f"  digest {found.digest}")
    return 0 if found.clean and not (manners and manners.violations) else 1


@click.command(epilog="Example: CRAWL_REDIS_URL=redis://localhost:6379/0 poolcrawl doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON line at the end.")
def doctor(*, as_json: bool) -> int:
    """Check this machine, the settings, Redis and the workers; exit 1 when something is wrong."""
    found = checkup.run(settings.load())
    if as_json:
        print(json.dumps([msgspec.structs.asdict(one) for one in found]))
    else:
        for one in found:
            print(
                f"{'ok  ' if one.ok else 'FAIL'} {one.what}: {one.found}{'' if one.ok else f' -> {one.remedy}'}"
            )
    return 0 if all(one.ok for one in found) else 1
