"""A stack that is left up: started in the background, it pumps every crawl of its state directory until it is stopped.

Run as `python -m embedded.detached WANTED`, with what its workers are to be as JSON; `start` does that.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import msgspec
import redis

from crawl import settings
from crawl.errors import PoolcrawlError, UnavailableError, UsageError
from embedded.child import last_line
from embedded.server import answers
from embedded.stack import Stack
from embedded.state import DETACHED, READ, Run, State
from producer.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds a stack gets to come up, and to end: its workers' drain and more.
START_S = 60.0
STOP_S = 90.0
#: Waiting longer than this is worth a line, seconds.
_WORTH_A_LINE_S = 3.0
_POLL_S = 0.05
#: The log of what such a stack says.
LOG = "detached"


class Wanted(msgspec.Struct, frozen=True):
    """What a stack is to be started with."""

    pool: str | None = None
    concurrency: int | None = None
    workers: int | None = None
    allow_addresses: tuple[str, ...] = ()
    resolve: tuple[str, ...] = ()
    extractors: tuple[str, ...] = ()

    def lacking(self, run: Run) -> list[str]:
        """Return the options that a stack which is up was not started with, or whose values it has already."""
        named = {"--pool": self.pool, "--concurrency": self.concurrency, "--workers": self.workers}
        return [
            *(option for option, value in named.items() if value is not None),
            *(f"--allow-address {one}" for one in self.allow_addresses if one not in run.allow_addresses),
            *(f"--extractor {one}" for one in self.extractors if one not in run.extractors),
        ]


def left_up(state: State) -> Run | None:
    """Return the record of a stack that was left up here and answers, which it does not while it loads its data."""
    run = state.read_run()
    if run is None or run.purpose != DETACHED or run.redis_url is None or not run.parent.alive():
        return None
    try:
        return run if answers(run.redis_url) else None
    except redis.BusyLoadingError:
        return None


def start(state: State, wanted: Wanted, variables: Mapping[str, str]) -> Run:
    """Start a stack in the background, with further environment; return when its server answers.

    Raises UsageError or UnavailableError with the last line it said when it ends at once, or does not come up.
    """
    state.make()
    log = state.log(LOG)
    command = [sys.executable, "-P", "-m", "embedded.detached", msgspec.json.encode(wanted).decode()]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    until = time.monotonic() + START_S
    while True:
        run = left_up(state)
        if run is not None and run.parent.pid == process.pid:
            return run
        code = process.poll()
        if code is not None:
            last = last_line(log).removeprefix("poolcrawl: ")
            # A disk that is full takes no last line either, or the one there is of an earlier stack.
            state.make()
            kind = UsageError if code == UsageError.exit_code else UnavailableError
            raise kind(last or f"the stack ended at once; see {log}")
        if time.monotonic() > until:
            process.terminate()
            message = f"the stack did not come up within {START_S:.0f} s; see {log}"
            raise UnavailableError(message)
        time.sleep(_POLL_S)


def stop(state: State, say: Callable[[str], None]) -> bool:
    """End what runs in a state directory; False when nothing does.

    Raises UnavailableError when it does not end.
    """
    holder = state.holder()
    if holder is None or holder.purpose == READ or not holder.process.alive():
        return False
    began = time.monotonic()
    told = False
    holder.process.send(signal.SIGTERM)
    while holder.process.alive():
        waited_s = time.monotonic() - began
        if waited_s > STOP_S:
            message = (
                f"the stack (pid {holder.process.pid}) has not ended after {STOP_S:.0f} s; see {state.logs}"
            )
            raise UnavailableError(message)
        if waited_s > _WORTH_A_LINE_S and not told:
            told = True
            say("waiting for the workers to finish the requests they are at")
        time.sleep(_POLL_S)
    return True


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(wanted: Wanted) -> None:
    own = settings.load()
    stack = Stack(
        own,
        pool=wanted.pool,
        concurrency=wanted.concurrency,
        workers=wanted.workers,
        events=bool(own.events),
        allow_addresses=(*own.allow_addresses, *wanted.allow_addresses),
        resolve=(*own.resolve, *wanted.resolve),
        extractors=wanted.extractors,
        purpose=DETACHED,
        say=_say,
    )
    with stack:
        service = Service(
            stack.redis_url,
            say=_say,
            watch=stack.watch,
            memory_limit_bytes=own.max_redis_bytes,
            bodies_bytes=own.max_bodies_bytes,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: service.stop())
        service.run()


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """Be the stack that `start` starts, until a signal ends it; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        _run(msgspec.json.decode(sys.argv[1], type=Wanted))
    except PoolcrawlError as error:
        _say(f"poolcrawl: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
