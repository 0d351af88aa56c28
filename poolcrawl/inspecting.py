"""Verbs that read: list, status, export, audit, doctor."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from crawl import audit as auditing
from crawl import politeness as judging
from crawl import results, settings, share, tombstones
from crawl.errors import DamagedCrawlError, UsageError
from embedded.attachment import reading
from export import files, trimmed
from poolcrawl import summary
from poolcrawl.streams import reader_may_leave


class _Output(Console):
    """Standard output, whose reader may leave: that is no error, as for every other verb."""

    def on_broken_pipe(self) -> None:
        """Let the command line decide; rich would end with 1."""
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


@click.command("list", epilog="Example: poolcrawl list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_crawls(*, as_json: bool) -> None:
    """List all crawls, oldest first."""
    found: list[results.Status] = []
    others: dict[str, UsageError] = {}
    with reading(settings.load()) as client:
        for name in results.crawls(client):
            try:
                found.append(results.status(client, name))
            except UsageError as error:  # of another release, damaged, or deleted meanwhile
                others[name] = error
    if as_json:
        for one in found:
            print(json.dumps(summary.as_dict(one)))
        for name, why in others.items():
            print(json.dumps({"crawl": name, "state": None, "error": str(why)}))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("crawl", "state", "pages", "admitted", "seconds"):
        table.add_column(column, justify="left" if column in ("crawl", "state") else "right")
    for one in found:
        table.add_row(one.crawl, one.state, str(one.done), str(one.admitted), f"{one.elapsed_s:.1f}")
    for name, why in others.items():
        state = "damaged" if isinstance(why, DamagedCrawlError) else "of another release"
        table.add_row(name, state, "", "", "")
    _Output(highlight=False).print(table)


@click.command(epilog="Example: poolcrawl status demo-1 --json")
@click.argument("crawl", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(crawl: str | None, *, as_json: bool) -> None:
    """Show how far a crawl is (default: the newest)."""
    own = settings.load()
    with reading(own) as client:
        found = results.status(client, results.resolve(client, crawl))
        held = share.of_crawl(client, found.crawl, own.max_redis_bytes)
    if as_json:
        more = {"trimmed": found.trimmed, "trimmed_to": found.trimmed_to or None, **held.row(found.admitted)}
        print(
            json.dumps(
                summary.as_dict(
                    found, paused_by=found.paused_by, done_share=round(found.done_share, 4), **more
                )
            )
        )
    else:
        print("\n".join((*summary.lines(found), *held.lines(found.admitted))))


@click.command(epilog="Example: poolcrawl export demo-1 --output pages.jsonl")
@click.argument("crawl", required=False)
@click.option(
    "--output", default="-", show_default="standard output", help="File to write; continued if it was begun."
)
@click.option(
    "--format", "format_name", type=click.Choice(sorted(files.FORMATS)), default="jsonl", show_default=True
)
@click.option(
    "--trim", is_flag=True, help="Remove from Redis what is safely in the file; a tombstone of each stays."
)
def export(crawl: str | None, output: str, format_name: str, *, trim: bool) -> None:
    """Write a crawl's page records (default: of the newest), one JSON object per line."""
    own = settings.load()
    if trim and output == "-":
        message = "--trim needs --output FILE: what is not kept must not be trimmed"
        raise UsageError(message)
    if output != "-":
        files.check_writable(output)
    with reading(own) as client:
        name = results.resolve(client, crawl)
        before = results.status(client, name)
        if output == "-":
            with reader_may_leave():
                files.to_stream(client, name, format_name, sys.stdout.buffer)
        elif trim:
            found = trimmed.to_file(client, name, output)
            print(
                f"{found.records} records of '{name}' in {output}; {found.trimmed} trimmed from Redis",
                file=sys.stderr,
            )
            if found.kept:
                print(
                    f"{found.kept} records were not trimmed: they are not in {output} as they are in Redis, wait to be "
                    "tried again, or are damaged (`poolcrawl audit` tells)",
                    file=sys.stderr,
                )
        else:
            count = files.to_file(client, name, format_name, output)
            print(f"{count} records of '{name}' in {output}", file=sys.stderr)
        if before.trimmed and not (output != "-" and tombstones.is_place(before.trimmed_to, output)):
            print(
                f"'{name}': {tombstones.told(before.trimmed, before.trimmed_to)}; not here", file=sys.stderr
            )


@click.command(epilog="Example: poolcrawl audit demo-1 --json")
@click.argument("crawl", required=False)
@click.option(
    "--politeness", is_flag=True, help="Also check that no host was asked too soon or too often at once."
)
@click.option(
    "--with",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File of `export --trim`: its records are checked, too, and the digest is that of all.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON line at the end; with --politeness, one more before it."
)
def audit(crawl: str | None, *, politeness: bool, file: Path | None, as_json: bool) -> int:
    """Check that every admitted URL has exactly one record; name it and exit 1 when not (default: the newest crawl)."""
    with reading(settings.load()) as client, contextlib.ExitStack() as opened:
        name = results.resolve(client, crawl)
        manners = judging.audit(client, name) if politeness else None
        found = auditing.audit(client, name, opened.enter_context(file.open("rb")) if file else None)
        place = tombstones.place(client, name)
    with reader_may_leave():
        if manners is not None:
            print(msgspec.json.encode(manners).decode() if as_json else "\n".join(summary.manners(manners)))
        if as_json:
            print(msgspec.json.encode(found).decode())
        else:
            _print_audit(found, file, place)
    return 0 if found.clean and not (manners and manners.violations) else 1


def _print_audit(found: auditing.Audit, file: Path | None, place: str) -> None:
    """Print what an audit found, for people."""
    verdict = "clean" if found.clean else "NOT CLEAN"
    unfinished = f", {found.pending} pending ({found.state})" if found.pending else ""
    print(f"{found.crawl}: {verdict}; {found.records} records{unfinished}")
    strays = f", never admitted {found.strays}" if found.strays else ""
    strays += f", damaged {found.damaged}" if found.damaged else ""
    print(f"  missing {found.missing}, duplicate {found.duplicate}{strays}, kept out by a cap {found.capped}")
    if found.cancelled:
        print(f"  cancelled {found.cancelled}: admitted, without a record because the crawl was cancelled")
    for fault in found.faults:
        print(f"  {fault.kind} {fault.url or f'(fingerprint {fault.fingerprint})'}: {fault.what}")
    if found.retried:
        print(f"  tried again {found.retried}, in {found.generations} generation(s)")
    if found.trimmed:
        print(f"  {tombstones.told(found.trimmed, place)}")
    if found.absent:
        print(f"  {found.absent} of them are not in {file}, or not as they were")
    if found.damaged:
        without = "none: records are damaged"
    else:
        without = "none: of trimmed records only `audit --with FILE` can tell"
    print(f"  digest {found.digest or without}")


@click.command(epilog="Example: CRAWL_REDIS_URL=redis://localhost:6379/0 poolcrawl doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON line at the end.")
def doctor(*, as_json: bool) -> int:
    """Check this machine, the settings, Redis and the workers; exit 1 when something is wrong."""
    from poolcrawl import checkup

    found = checkup.run(settings.load())
    with reader_may_leave():
        if as_json:
            print(json.dumps([one.row() for one in found]))
        else:
            for one in found:
                remedy = "" if one.ok else f" -> {one.remedy}"
                print(f"{'ok  ' if one.ok else 'FAIL'} {one.what}: {one.found}{remedy}")
    return 0 if all(one.ok for one in found) else 1
