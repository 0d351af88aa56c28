"""Running the ladder: the page server, each rung in a fresh process, what it cost, and whether all agree."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from crawl.errors import UnavailableError
from embedded.child import Child
from embedded.ports import LOOPBACK, free_port
from lab.ladder import pages, workers
from lab.ladder.kinds import KINDS
from lab.ladder.result import Outcome, Result, Row
from lab.ladder.rungs import COSTS, Rung, chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: CPU of a parse, milliseconds, unless something else is asked for.
PARSE_MS = 200.0
#: How long the store of a result and the coming up of a late server take, seconds.
STORE_S = 1.0
LATE_S = 1.0
#: The latter however short all waits are made: several times one patient wait.
LEAST_LATE_S = 0.4
#: Seconds a rung gets beyond three times the serial crawl's time, and a server to come up.
PATIENCE_S = 60.0
START_S = 15.0
GRACE_S = 2.0
_POLL_S = 0.01


class Stage:
    """Everything a rung needs around it. Use as a context manager; `scale` multiplies all that is waited for.

    Whatever ends this process ends all others: each has a keeper that watches a pipe of ours.
    """

    def __init__(self, parse_ms: float, scale: float) -> None:
        self.waits = [wait * scale for wait in pages.latencies()]
        self.parse_ms = parse_ms
        self.scale = scale
        self._stack = ExitStack()
        self._crew: tuple[str | None, ExitStack] = (None, ExitStack())
        self._crew_pids: dict[str, int] = {}
        self._address: str | None = None

    def __enter__(self) -> Self:
        """Start the page server."""
        with self._stack:
            self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ladder-")))
            self._watches = self._stack.enter_context(_pipe())
            self.port = free_port()
            self._site = self._child("pages", "server", str(self.port))
            self._stack.enter_context(_running(self._site))
            _await(self.port, self._site)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, the servers and the directory."""
        try:
            self._crew[1].close()
        finally:
            self._stack.close()

    def perform(self, rung: Rung) -> Outcome:
        """Run a rung once, in a process of its own, with its workers up."""
        if rung.needs is not None and importlib.util.find_spec(rung.needs) is None:
            return Outcome(skipped=f"needs the package {rung.needs}")
        self._call(rung.crew)
        self._peak()
        found, sampler = self._run(rung.name, rung.module, self.task_of(rung))
        peak = self._peak()
        if "results" not in found:
            return Outcome(**found)
        cpu_s = found["cpu_s"]
        for name in self._crew_pids:
            cpu_s += sampler.cpu_between(name, found["began_at"], found["ended_at"])
        memory = sum(track.peak_bytes for track in sampler.tracks.values())
        results = [pages.Parsed(*each) for each in found["results"]]
        return Outcome(
            wall_s=found["wall_s"],
            cpu_s=cpu_s,
            peak_mb=memory / 1e6 if memory else None,
            at_once=None if rung.late else peak,
            notes=found["notes"],
            digest=pages.digest(results),
            parsed_in=parsed_in(results, found["process"], found["main_thread"]),
            invalid=None if len(results) == rung.count else f"{len(results)} results for {rung.count} pages",
        )

    def costs(self) -> list[dict[str, Any]]:
        """Measure what processes, threads, greenlets and coroutines cost."""
        self._call(None)
        rows = []
        for kind in KINDS:
            if kind == "greenlet" and importlib.util.find_spec("gevent") is None:
                continue
            found, _ = self._run(COSTS, COSTS, {"kind": kind})
            if "invalid" in found:
                message = f"the costs of a {kind} could not be measured: {found['invalid']}"
                raise UnavailableError(message)
            rows.append(found)
        return rows

    def task_of(self, rung: Rung) -> dict[str, Any]:
        """Return what a rung is asked to do."""
        scale, burn_ms = (0.0, 0.0) if rung.instant else (self.scale, self.parse_ms)
        numbers = [number % pages.COUNT for number in range(rung.count)]
        waits = [0.0 if rung.instant else self.waits[number] for number in numbers]
        options: dict[str, Any] = {}
        if rung.idle is not None:
            options["idle"] = rung.idle
        if rung.late:
            options["after_s"] = max(LATE_S * scale, LEAST_LATE_S)
        if rung.stores:
            store = pages.url(self.port, 0, wait_s=STORE_S * scale, burn_ms=0).replace("/page/", "/store/")
            options["store"] = [store] * rung.count
        return {
            "pages": [
                pages.url(self.port, n, wait_s=w, burn_ms=burn_ms)
                for n, w in zip(numbers, waits, strict=True)
            ],
            "slots": rung.slots,
            "options": options,
        }

    def _peak(self) -> int:
        """Return how many pages the server was asked for at once, at most, since this was called last."""
        try:
            return int(pages.fetch(f"http://{LOOPBACK}:{self.port}/peak/0?"))
        except OSError as error:
            said = self._site.last_line() or error
            message = f"the page server has ended or does not answer; it said: {said}"
            raise UnavailableError(message) from None

    def _call(self, crew: str | None) -> None:
        """Have exactly the workers of this crew up."""
        if crew == self._crew[0]:
            return
        self._crew[1].close()
        self._crew, self._crew_pids = (None, ExitStack()), {}
        if crew is None:
            return
        if self._address is None:
            server = workers.private_server(self._directory / "state", self._watches)
            self._address = self._stack.enter_context(server)
        stack = ExitStack()
        self._crew = (crew, stack)
        up = workers.crew(crew, self._address, self._directory, self._watches)
        self._crew_pids = stack.enter_context(up)

    def _child(self, name: str, module: str, argument: str) -> Child:
        return Child(
            name,
            [sys.executable, "-P", "-m", f"lab.ladder.{module}", argument],
            environment=workers.environment(self._address),
            log=self._directory / f"{name}.log",
            grace_s=GRACE_S,
            watches=self._watches,
        )

    def _run(self, name: str, module: str, task: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        from lab.measure import Sampler

        path = self._directory / f"{name}.json"
        path.write_text(json.dumps(task), encoding="utf-8")
        result = path.with_suffix(".result")
        result.unlink(missing_ok=True)
        child = self._child(name, module, str(path))
        patience_s = PATIENCE_S + 3 * (sum(self.waits) + len(self.waits) * self.parse_ms / 1000)
        with _running(child), Sampler(self._crew_pids | {name: child.pid}) as sampler:
            deadline = time.monotonic() + patience_s
            while child.alive() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            ended = not child.alive()
        if ended and child.exit_code() == 0 and result.exists():
            return json.loads(result.read_text(encoding="utf-8")), sampler
        said = f"ended with {child.exit_code()}" if ended else f"did not end within {patience_s:.0f} s"
        return {"invalid": f"{said} and said: {child.last_line() or 'nothing'}"}, sampler


def parsed_in(results: list[pages.Parsed], process: int, main_thread: int) -> str:
    """Say where the parses ran: in the rung's own process or in others, and in how many threads."""
    threads = {(found.process, found.thread) for found in results}
    here = {thread for owner, thread in threads if owner == process}
    others = {owner for owner, _ in threads if owner != process}
    said = []
    if main_thread in here:
        said.append("main thread")
    if here - {main_thread}:
        number = len(here - {main_thread})
        said.append("1 other thread" if number == 1 else f"{number} other threads")
    if others:
        elsewhere = len([owner for owner, _ in threads if owner in others])
        said.append("1 other process" if len(others) == 1 else f"{len(others)} other processes")
        if elsewhere > len(others):
            said[-1] += f", {elsewhere} threads"
    return " and ".join(said)


@contextmanager
def _pipe() -> Iterator[int]:
    """Give the read end of a pipe that nobody writes to: it ends with this process."""
    watched, held = os.pipe()
    try:
        yield watched
    finally:
        os.close(watched)
        os.close(held)


@contextmanager
def _running(child: Child) -> Iterator[None]:
    try:
        child.start()
        yield
    finally:
        child.ask()
        child.wait()


def _await(port: int, child: Child) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and child.alive():
        try:
            socket.create_connection((LOOPBACK, port), 1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    message = f"the page server did not come up; it said: {child.last_line() or 'nothing'}"
    raise UnavailableError(message)


def run_ladder(
    only: tuple[str, ...] = (),
    *,
    parse_ms: float = PARSE_MS,
    rounds: int = 1,
    scale: float = 1.0,
    say: Callable[[str], None],
) -> Result:
    """Run the rungs asked for, each once a round, and return the medians. `say` gets one line of progress at a time.

    Raises UsageError for an unknown rung, UnavailableError when a server or a worker does not start. A rung that fails
    or whose digest is another one is in `Result.violations`.
    """
    rungs = chosen(only)
    outcomes: dict[str, list[Outcome]] = {rung.name: [] for rung in rungs}
    with Stage(parse_ms, scale) as stage:
        for number in range(1, rounds + 1):
            for rung in rungs:
                outcome = stage.perform(rung)
                outcomes[rung.name].append(outcome)
                say(f"round {number} of {rounds}: {rung.name} {outcome}")
        costs = []
        if not only or COSTS in only:
            say("costs of a process, a thread, a greenlet and a coroutine")
            costs = stage.costs()
        rows = [Row.of(rung, outcomes[rung.name], pages.expected_digest()) for rung in rungs]
        return Result(rows=rows, costs=costs, waits=stage.waits, parse_ms=parse_ms, rounds=rounds)
