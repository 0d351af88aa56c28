"""The state directory: who may use it, and what `run.json` gives away."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading

import pytest

from crawl.errors import UsageError
from embedded.processes import Process, identify
from embedded.state import CRAWL, READ, Run, State

HOLD = """
import sys
import tempfile
from pathlib import Path
from embedded.state import State
with State(Path(sys.argv[1])).locked(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path / "state")
    made.make()
    return made


@pytest.fixture
def held_by(state):
    """Have another process hold the lock until it is told to let go."""
    holders = []

    def hold(purpose):
        command = [sys.executable, "-c", HOLD, str(state.path), purpose]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holders.append(holder)
        assert holder.stdout.readline() == b"held\n"
        return holder

    yield hold
    for holder in holders:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


def test_a_second_crawl_in_a_directory_is_refused_with_the_pid_and_the_remedy(state, held_by):
    """Two crawls never share a private server; the message says who runs and what to do."""
    holder = held_by(CRAWL)

    with pytest.raises(UsageError) as refused, state.locked(CRAWL):
        pass

    assert f"pid {holder.pid}" in str(refused.value)
    assert "CRAWL_STATE_DIR" in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_crawl_waits_for_a_reader_that_started_a_server(state, held_by):
    """A `status` that happens to run at the same moment is no reason to refuse a crawl."""
    holder = held_by(READ)
    threading.Timer(0.2, holder.stdin.close).start()

    with state.locked(CRAWL):
        found = state.holder()

    assert (found.process.pid, found.purpose) == (os.getpid(), CRAWL)


def test_a_lock_ends_with_its_process(state, held_by):
    """However the holder died, the directory is free at once."""
    holder = held_by(CRAWL)
    holder.kill()
    holder.wait()

    with state.locked(CRAWL):
        found = state.holder()

    assert found.process.pid == os.getpid()


def test_run_json_is_for_its_owner_only(state):
    """It holds the server's password, whatever the umask was."""
    before = os.umask(0)
    try:
        state.write_run(Run(identify("poolcrawl", os.getpid()), CRAWL, "redis://:secret@127.0.0.1:1/0"))
    finally:
        os.umask(before)

    assert state.run_path.stat().st_mode & 0o777 == 0o600
    assert state.data.stat().st_mode & 0o777 == 0o700


def test_run_json_tells_what_was_written(state):
    """Pids and start times survive, or leftovers could not be recognised."""
    run = Run(
        Process("poolcrawl", 1, 2.5),
        CRAWL,
        "redis://x",
        (Process("server", 3, 4.5),),
        (),
        "http://f/",
        (5, 6),
    )

    state.write_run(run)

    assert state.read_run() == run


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"parent": 3}', b"\xff\xfe"])
def test_a_run_json_that_is_damaged_counts_as_none(state, content):
    """A machine that lost power must not need a hand to start again."""
    state.run_path.write_bytes(content)

    assert state.read_run() is None


def test_a_stop_waits_for_readers_and_keeps_new_ones_out(state):
    """The server is not taken away while another process reads from it."""
    with state.reading(), state.without_readers(0.1) as gone:
        busy = gone
    with state.without_readers(0.1) as gone:
        free = gone

    assert (busy, free) == (False, True)


def test_a_state_directory_that_cannot_be_made_names_the_setting(tmp_path):
    """One line with the remedy instead of a traceback."""
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="CRAWL_STATE_DIR"):
        State(tmp_path / "file" / "state").make()


@pytest.mark.parametrize("where", ["file", "file/state", "/proc/nothing", "/proc/a/b"])
def test_a_check_refuses_what_cannot_be_made_in_the_same_words(tmp_path, where):
    """`doctor` finds what `crawl` would end with."""
    (tmp_path / "file").write_text("")
    refusals = []
    for verb in (State.make, State.check):
        with pytest.raises(UsageError) as caught:
            verb(State(tmp_path / where))
        refusals.append(str(caught.value))

    assert refusals[0] == refusals[1]
    assert refusals[0].startswith(f"cannot use {tmp_path / where} for state: ")


def test_a_check_leaves_nothing_behind(tmp_path):
    """Neither where directories are missing, nor in one that is there."""
    there = State(tmp_path / "there")
    there.make()
    before = sorted(tmp_path.rglob("*"))
    State(tmp_path / "a" / "b").check()
    there.check()

    assert before == sorted(tmp_path.rglob("*"))


@pytest.mark.parametrize("verb", [State.make, State.check])
def test_a_directory_without_room_is_refused(tmp_path, monkeypatch, verb):
    """Where directories can still be made, but nothing written."""
    State(tmp_path).make()

    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(UsageError, match="No space left on device; set CRAWL_STATE_DIR"):
        verb(State(tmp_path))


def test_a_long_log_is_put_aside_at_start(state):
    """Logs are appended to over runs, and bounded all the same."""
    state.log("worker-1").write_bytes(b"x" * 5_000_001)
    state.log("worker-2").write_bytes(b"short")

    state.put_logs_aside()

    assert sorted(path.name for path in state.logs.iterdir()) == ["worker-1.log.1", "worker-2.log"]
