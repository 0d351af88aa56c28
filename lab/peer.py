"""One run of the peer: Scrapy as documented, in a process of its own, on the same site."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from crawl.errors import UsageError, ViolationError
from embedded.child import last_line
from lab.measure import WORKER, Sampler
from lab.rig import PATIENCE_S, SLOWEST
from lab.trial import SCRAPY, Run

_SPIDER = Path(__file__).with_name("peers") / "scrapy_spider.py"
#: Default settings but for these: its default of 16 requests, all allowed to go to the one host there is; no delay;
#: robots.txt obeyed, as ours does; no line of log per page, which would cost it a tenth.
SETTINGS = {
    "CONCURRENT_REQUESTS": "16",
    "CONCURRENT_REQUESTS_PER_DOMAIN": "16",
    "DOWNLOAD_DELAY": "0",
    "ROBOTSTXT_OBEY": "True",
    "LOG_LEVEL": "INFO",
}


def require() -> None:
    """Raise UsageError unless Scrapy is installed."""
    if importlib.util.find_spec("scrapy") is None:
        message = (
            "bench --peers needs Scrapy, which is not installed; run `make bench-peers`, which installs it"
        )
        raise UsageError(message)


def run(seed: str, pages: int, directory: Path) -> Run:
    """Crawl the site once with Scrapy; return what it cost.

    Raises ViolationError when it failed or its pages are not the site's.
    """
    directory.mkdir(parents=True, exist_ok=True)
    out, report, log = directory / "pages.jsonl", directory / "report.json", directory / "scrapy.log"
    command = [sys.executable, "-m", "scrapy", "runspider", str(_SPIDER)]
    command += ["-a", f"seed={seed}", "-a", f"report={report}", "-O", str(out)]
    for name, value in SETTINGS.items():
        command += ["-s", f"{name}={value}"]
    began = time.time()
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=directory, env=_environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            with Sampler({f"{WORKER}-1": process.pid}) as sampler:
                code = process.wait(PATIENCE_S + pages / SLOWEST)
        except subprocess.TimeoutExpired:
            message = f"{SCRAPY}: did not end in time; see {log}"
            raise ViolationError(message) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    wall_s = time.time() - began
    if code != 0 or not report.exists():
        message = f"{SCRAPY}: ended with {code} and said: {last_line(log)}"
        raise ViolationError(message)
    found = json.loads(report.read_text(encoding="utf-8"))
    return Run(
        pages=_count(out, pages),
        seconds=found["ended"] - found["started"],
        wall_s=wall_s,
        worker_cpu_s=found["cpu_s"],
        worker_bytes=sampler.worker_peak_bytes,
        workers_bytes=sampler.workers_peak_bytes,
    )


def _count(out: Path, pages: int) -> int:
    """Return how many different pages came back good: Scrapy asks for the seed twice, as it does for everybody."""
    with out.open("rb") as lines:
        good = {page["url"] for page in map(json.loads, lines) if page["status"] == 200}
    if len(good) != pages:
        message = f"{SCRAPY}: {len(good)} pages came back good, the site has {pages}"
        raise ViolationError(message)
    return len(good)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("SCRAPY_", "CRAWL_"))}
