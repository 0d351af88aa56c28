"""Demo crawls in a stack of containers: how they end, how far they are, and that all of them came to one digest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.expected import expected_records

if TYPE_CHECKING:
    from pathlib import Path

    from compose.stack import Stack

LONG_RUNNING = ("redis", "site", "worker", "pump", "flower")


@dataclass(frozen=True)
class Digests:
    """Digest of every finished demo crawl, by what was special about it; a file each, since several processes test."""

    folder: Path

    def add(self, label: str, digest: str) -> None:
        """Put a digest to the others."""
        self.folder.mkdir(exist_ok=True)
        aside = self.folder.with_name(f"{self.folder.name}-{label}")
        aside.write_text(digest)
        aside.replace(self.folder / label)

    def all(self) -> dict[str, str]:
        """Return every digest so far."""
        return {path.name: path.read_text() for path in self.folder.iterdir()}


def finishes(stack: Stack, digests: Digests, label: str, within_s: float) -> str:
    """Assert that the producer exits 0 with a complete crawl whose digest is that of all others; return its log."""
    code, log = stack.producer_ends(within_s)
    assert code == 0, log
    audit = stack.audit()
    digests.add(label, audit["digest"])

    assert (len(expected_records()), 0, 0) == (audit["records"], audit["missing"], audit["duplicate"]), log
    assert len(set(digests.all().values())) == 1, digests.all()
    return log


def healthy(stack: Stack, *services: str) -> bool:
    """Whether all containers of these services are."""
    states = [each["State"] for service in services for each in stack.containers(service)]
    return bool(states) and all(state.get("Health", {}).get("Status") == "healthy" for state in states)


def up_in_small_steps(stack: Stack) -> None:
    """Start a crawl whose middle lasts long enough to be met in the fast pools too.

    Leases are short, since what a dead worker held comes back when they end.
    """
    given = dict(stack.settings)
    stack.settings |= {"CRAWL_WINDOW": "4", "CRAWL_BATCH": "2", "CRAWL_LEASE_S": "10"}
    try:
        stack.up()
    finally:
        stack.settings = given


def progress(stack: Stack) -> float | None:
    """Return the percentage of the running crawl's pages that have records, once that is at least 20."""
    shown = stack.compose("exec", "-T", "producer", "poolcrawl", "status", "--json", check=False).stdout
    if not shown.strip():
        return None
    status = json.loads(shown.splitlines()[-1])
    done = 100 * status["pages"] / len(expected_records())
    # Before the producer has made its crawl, the newest one is the finished one before it.
    return done if status["state"] == "running" and done >= 20 else None


def records_of(stack: Stack) -> list[dict[str, object]]:
    """Return the records of the newest crawl."""
    return [json.loads(line) for line in stack.poolcrawl("export").splitlines()]
