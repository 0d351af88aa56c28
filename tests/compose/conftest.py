"""The stack in containers; `.ci/run` starts these tests, `make test` does not."""

from __future__ import annotations

import os
import subprocess
import uuid

import pytest
from compose.browser import chromium
from compose.crawls import Digests
from compose.stack import Stack, free_port

#: Set by .ci/run: a missing engine or browser then fails instead of skipping.
REQUIRED = "POOLCRAWL_CONTAINERS"


def missing() -> str | None:
    """Return what this machine lacks for these tests, or None."""
    probes = (
        (["docker", "info"], "no Docker engine answers"),
        (["docker", "compose", "version"], "no Compose v2 (tools/install-compose)"),
    )
    for command, lack in probes:
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            return lack
    return None if chromium() else "no Chromium on PATH to look at Flower with"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip with the reason, or fail where the caller said that containers must run."""
    lack = missing()
    if lack is None:
        return
    if os.environ.get(REQUIRED) == "required":
        raise pytest.UsageError(f"container checks cannot run: {lack}")
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=f"containers: {lack}"))


@pytest.fixture(scope="session")
def stack():
    """One project for all tests of a process: its images are built once, its volumes live through the pools."""
    stack = Stack(project=f"pctest-{uuid.uuid4().hex[:8]}", flower_port=free_port())
    stack.settings["POOLCRAWL_IMAGE"] = f"poolcrawl:{stack.project}"
    stack.settings["POOLCRAWL_LAB_IMAGE"] = f"poolcrawl-lab:{stack.project}"
    try:
        stack.compose("--profile", "lab", "build")
        yield stack
    finally:
        stack.files = ("docker-compose.yml",)
        stack.down()
        images = [stack.settings["POOLCRAWL_LAB_IMAGE"], stack.settings["POOLCRAWL_IMAGE"]]
        subprocess.run(["docker", "image", "rm", *images], capture_output=True, check=False)


@pytest.fixture(scope="session")
def digests(tmp_path_factory):
    """What the demo crawls of all test processes came to; all must be one."""
    base = tmp_path_factory.getbasetemp()
    # Of pytest-xdist each process has a folder of its own in the folder of the run.
    return Digests((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "digests")
