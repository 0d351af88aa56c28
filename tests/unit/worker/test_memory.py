"""When a worker is replaced for its memory."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from crawl.settings import Settings
from worker import memory

MB = 1024 * 1024


@pytest.fixture
def asked(monkeypatch):
    """Return what this process was sent instead of a signal."""
    sent = []
    monkeypatch.setattr(memory.os, "kill", lambda *to: sent.append(to))
    return sent


def _recycling(limit_mb):
    return memory.Recycling(Settings(max_worker_mb=limit_mb), "threads-4-1@vm")


def test_a_worker_over_its_limit_is_asked_to_end_once(asked, capsys, monkeypatch):
    """It says how much it holds, and is not asked again while it drains."""
    # Not this process' own: after thousands of tests it is too large to begin with.
    holds_mb = [100]
    monkeypatch.setattr(memory, "used_bytes", lambda *_: holds_mb[-1] * MB)
    recycling = _recycling(140)
    recycling.look()
    assert asked == []
    holds_mb.append(160)
    recycling.look()
    recycling.look()

    assert len(asked) == 1
    assert "it holds 160 MB, more than 140 MB (CRAWL_MAX_WORKER_MB)" in capsys.readouterr().err


def test_a_worker_that_is_too_large_at_its_start_is_not_replaced_for_ever(asked, capsys):
    """One line says what to do."""
    recycling = _recycling(20)
    recycling.look()

    assert asked == []
    assert "raise CRAWL_MAX_WORKER_MB" in capsys.readouterr().err


def test_children_count_and_what_they_share_counts_once():
    """A forked child costs what it has written, not what its parent has."""
    code = "import os, sys; kept = os.urandom(64 << 20); os.fork(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            while not psutil.Process(process.pid).children():
                pass
            loose = memory.used_bytes(process.pid, float("inf"))
            exact = memory.used_bytes(process.pid)
        finally:
            process.kill()

    assert loose > 128 * MB
    assert 64 * MB < exact < 110 * MB


def test_without_a_limit_anywhere_nothing_is_measured(monkeypatch):
    """Outside of a container nobody knows what else the machine is for."""
    monkeypatch.setattr(memory, "_LIMITS", ())

    assert memory.limit_bytes(Settings()) is None


def test_a_containers_limit_leaves_room_for_the_drain(monkeypatch, tmp_path):
    """Its `max` is no limit."""
    (tmp_path / "memory.max").write_text(f"{100 * MB}\n")
    monkeypatch.setattr(memory, "_LIMITS", (str(tmp_path / "memory.max"),))
    limited = memory.limit_bytes(Settings())
    (tmp_path / "memory.max").write_text("max\n")

    assert limited == 80 * MB
    assert memory.limit_bytes(Settings()) is None
