"""`make equal`: the demo crawl in every pool, batch size and pipeline comes to one digest.

Prints a table and exits with 1 when two digests differ, a record is missing or double, or a crawl failed. Each crawl
has a stack and a state directory of its own; several run at the same time, because most of a demo crawl is waiting.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack import COMMAND_S, POOLS, Directory, Done, at_once

from demo.expected import expected_records


@dataclass(frozen=True)
class Way:
    """One way to crawl; `batch` None is the default batch size."""

    pool: str
    batch: int | None = None
    pipeline: str = "callback"

    @property
    def name(self) -> str:
        """A name for a directory and a table."""
        return f"{self.pool}-{self.batch or 'default'}-{self.pipeline}"


ALL = tuple(
    Way(pool, batch, pipeline) for pool in POOLS for batch in (None, 1) for pipeline in ("callback", "fused")
)
#: Every pool, and each other switch once: what the tests have time for. The slowest first.
QUICK = (*(Way(pool) for pool in reversed(POOLS)), Way("threads", pipeline="fused"), Way("gevent", batch=1))


@dataclass
class Crawled:
    """One demo crawl and what can be read from it. `left` names the processes that outlived it."""

    way: Way
    done: Done
    seconds: float
    audit: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    directory: Directory | None = None

    @property
    def digest(self) -> str:
        """The digest of its records."""
        return str(self.audit.get("digest", ""))

    @property
    def fault(self) -> str | None:
        """What is wrong with this crawl alone, or None."""
        if self.done.code:
            return f"exit {self.done.code}: {(self.done.stderr.strip().splitlines() or ['no word'])[-1]}"
        if self.audit["missing"] or self.audit["duplicate"]:
            return f"missing {self.audit['missing']}, duplicate {self.audit['duplicate']}"
        if self.left:
            return f"left running: {', '.join(self.left)}"
        found = {record["url"]: (record["outcome"], record["reason"]) for record in self.records}
        wrong = sorted(set(found.items()) ^ set(expected_records().items()), key=lambda item: item[0])
        return f"not what the site promises: {wrong[:3]}" if wrong else None


def crawl(way: Way, base: Path, latency: float) -> Crawled:
    """Crawl the demo site in one way, in a directory below `base`."""
    directory = Directory(base / way.name)
    settings = {"CRAWL_PIPELINE": way.pipeline, "CRAWL_BATCH": str(way.batch or "")}
    began = time.monotonic()
    done = directory.run(
        "demo", "--latency", str(latency), "--pool", way.pool, "--json", within_s=2 * COMMAND_S, **settings
    )
    crawled = Crawled(way, done, time.monotonic() - began, directory=directory)
    crawled.left = [f"{process.pid} {process.name()}" for process in directory.left()]
    directory.end()
    if done.code == 0:
        crawled.audit = directory.audit()
        crawled.records = directory.records()
    return crawled


@functools.cache
def quick(latency: float = 0.0) -> tuple[Crawled, ...]:
    """Return the crawls of `QUICK`, made once per process: several test modules look at them."""
    # Kept until the process ends: tests read logs there.
    base = Path(tempfile.mkdtemp(prefix="poolcrawl-equal-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return tuple(at_once(lambda way: crawl(way, base, latency), QUICK, len(QUICK)))


def undisturbed() -> str:
    """Return the digest of a demo crawl that nothing disturbed."""
    return next(crawled.digest for crawled in quick() if crawled.digest)


def row(crawled: Crawled) -> str:
    """Return one line of the table."""
    way = crawled.way
    numbers = f"{crawled.audit.get('records', 0):>8}{crawled.audit.get('missing', ''):>8}"
    numbers += f"{crawled.audit.get('duplicate', ''):>10}{crawled.seconds:>8.1f}"
    return f"{way.pool:<9}{way.batch or 'default':<9}{way.pipeline:<10}{numbers}  {crawled.digest[:16]}"


def main() -> int:
    """Run, print, and say whether all are equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every pool, and each other switch once")
    parser.add_argument("--latency", type=float, default=0.0, help="scale of the site's latencies [0]")
    parser.add_argument("--jobs", type=int, default=4, help="crawls at the same time [4]")
    parser.add_argument("--digest-file", type=Path, help="write the one digest there")
    asked = parser.parse_args()
    print(
        f"{'pool':<9}{'batch':<9}{'pipeline':<10}{'records':>8}{'missing':>8}{'duplicate':>10}{'s':>8}  digest"
    )
    with tempfile.TemporaryDirectory(prefix="poolcrawl-equal-") as base:

        def shown(way: Way) -> Crawled:
            crawled = crawl(way, Path(base), asked.latency)
            print(row(crawled), flush=True)
            return crawled

        found = at_once(shown, QUICK if asked.quick else ALL, asked.jobs)
    faults = [f"{crawled.way.name}: {crawled.fault}" for crawled in found if crawled.fault]
    digests = {crawled.digest for crawled in found if crawled.digest}
    if len(digests) != 1:
        faults.append(f"{len(digests)} different digests")
    for fault in faults:
        print(f"FAILED {fault}", file=sys.stderr)
    if faults:
        return 1
    (digest,) = digests
    print(f"{len(found)} crawls, one digest: {digest}")
    if asked.digest_file:
        asked.digest_file.write_text(f"{digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
