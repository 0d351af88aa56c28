"""The whole stack on one machine: server, demo site, workers, Flower; started, watched and ended together."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from crawl import connection, keys
from crawl.errors import SettingError
from crawl.names import QUEUES
from embedded import interrupts, leftovers
from embedded.attachment import attach
from embedded.child import KEEPER_MARGIN_S, Child
from embedded.guard import Guard
from embedded.ports import LOOPBACK, fixed_port, free_port
from embedded.processes import identify
from embedded.server import Server
from embedded.site import Site
from embedded.state import CRAWL, Run, State
from worker import deaths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from crawl.settings import Settings

__all__ = ["Stack", "Workers", "attach"]

#: Time for a worker to finish its requests before it is killed; its leases are then taken back, seconds.
DRAIN_S = 20.0
#: How long the server waits for a reading verb of another process before it is stopped, seconds.
READERS_S = 5.0
FLOWER_GRACE_S = 5.0
#: Waiting for children longer than this is worth a line, seconds.
_WORTH_A_LINE_S = 3.0
_POLL_S = 0.02

#: Variables that mean something else, or nothing, to a child of this stack. Its workers serve every queue: with
#: CRAWL_QUEUES=fetch nothing would ever be parsed.
_NOT_INHERITED = ("CRAWL_REDIS_URL", "CRAWL_REDIS_PASSWORD_FILE", "CRAWL_HEARTBEAT_FILE", "CRAWL_QUEUES")


@dataclass(frozen=True)
class Workers:
    """Worker processes of one kind: their pool, the slots of each, how many there are, and the queues they serve."""

    pool: str
    concurrency: int | None = None
    count: int = 1
    queues: tuple[str, ...] = QUEUES


class Stack:
    """One private stack. Use as a context manager; call `watch` at least every second while it runs.

    `site_ports` fixes the demo site's ports (ordinary, misbehaving), `site_options` are further arguments of
    `python -m demo`. `resolve` and `allow_addresses` go to the workers;
    with `site`, the site's own hosts are added to both. `groups` are worker processes of several kinds, instead of
    `workers` of one, `worker_variables` further environment of all of them. `extractors` and
    `purpose` are put on record for other processes. `say` gets one-line messages.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pool: str | None = None,
        concurrency: int | None = None,
        workers: int | None = None,
        groups: Sequence[Workers] = (),
        flower: bool = False,
        site: bool = False,
        events: bool = False,
        allow_addresses: Iterable[str] = (),
        resolve: Iterable[str] = (),
        site_ports: tuple[int, int] | None = None,
        site_options: Sequence[str] = (),
        say: Callable[[str], None] = lambda _: None,
        worker_command: Sequence[str] | None = None,
        worker_variables: Mapping[str, str] | None = None,
        extractors: Sequence[str] = (),
        purpose: str = CRAWL,
    ) -> None:
        self.pool = pool or settings.pool
        self.concurrency = concurrency or settings.concurrency
        self._groups = tuple(groups) or (Workers(self.pool, self.concurrency, workers or settings.workers),)
        self.workers = sum(group.count for group in self._groups)
        self.events = events
        self.allow_addresses = tuple(allow_addresses)
        self.resolve = tuple(resolve)
        self._say = say
        self.site_ports: tuple[int, int] | None = None
        self.flower_url: str | None = None
        self.flower_user = os.environ.get("FLOWER_USER") or "poolcrawl"
        self.flower_password = os.environ.get("FLOWER_PASSWORD") or secrets.token_urlsafe(12)
        self._wants = (site, flower)
        self._wanted_ports = site_ports
        self._site_options = tuple(site_options)
        self._worker_command = worker_command or (sys.executable, "-P", "-m", "poolcrawl", "worker")
        self._worker_variables = dict(worker_variables or {})
        self._extractors = tuple(extractors)
        self._purpose = purpose
        self._state = State(settings.state_dir)
        self._ends = contextlib.ExitStack()
        self._mutex = threading.RLock()
        self._running = False
        self._hurry = False
        self._life = self._server_life = (-1, -1)
        self._server: Server | None = None
        self._site: Site | None = None
        self._workers: list[Child] = []
        self._flower: Child | None = None
        self._guards: list[Guard] = []

    @property
    def redis_url(self) -> str:
        """Address of the server with its password; only while the stack runs."""
        if self._server is None:
            message = "the stack has not been started"
            raise RuntimeError(message)
        return self._server.url

    @property
    def worker_pids(self) -> list[int]:
        """Pids of the worker processes that run now."""
        return [child.pid for child in self._workers if child.alive()]

    @property
    def worker_children(self) -> tuple[Child, ...]:
        """The worker processes with their keepers, for who must signal one or know how it ended."""
        return tuple(self._workers)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start everything; return when the server answers, the site listens and the workers have been started.

        Raises UsageError (directory in use, fixed port in use), UnavailableError (something did not start). Whatever
        ends it early, an interrupt too, leaves no process behind.
        """
        fixed_flower_port = _fixed_flower_port() if self._wants[1] else None
        self._state.make()
        try:
            self._ends.enter_context(self._state.locked(self._purpose))
            leftovers.clean(self._state, self.say)
            self._state.put_logs_aside()
            self._running = True
            self._life, self._server_life = self._pipe(), self._pipe()
            self._start_server()
            if self._wants[0]:
                self._start_site()
            self._start_workers()
            if self._wants[1]:
                self._start_flower(fixed_flower_port or free_port())
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Start again what ended. Cheap; from any thread.

        Raises UnavailableError or UsageError, with the last line of its log, when a needed child keeps failing.
        """
        with self._mutex:
            if not self._running:
                return
            started = [guard.look() for guard in self._guards]
            if any(started):
                self._record()

    def stop(self, *, at_once: bool = False) -> None:
        """End everything: workers (which finish their requests), Flower, the site, and the server last.

        `at_once` kills the workers instead, for whoever knows that nothing is under way. A Ctrl-C meanwhile does so too
        and is raised when all is done.
        """
        with self._mutex:
            self._running = False
        self._hurry = self._hurry or at_once
        with interrupts.noted(self._interrupted):
            self._end(self._workers)
            self._end([child for child in (self._flower, self._site and self._site.child) if child])
            with contextlib.ExitStack() as stopped:
                if self._server is not None and self._server.child is not None:
                    stopped.enter_context(self._state.without_readers(0 if self._hurry else READERS_S))
                    self._end([self._server.child])
                    self._state.remove_run()
                self._ends.close()
                self._forget()

    def _forget(self) -> None:
        self._workers, self._guards = [], []
        self._server = self._site = self._flower = None

    @property
    def say(self) -> Callable[[str], None]:
        """What gets the stack's messages; may be replaced while it runs, by a progress display for one."""
        return self._say_safely

    @say.setter
    def say(self, say: Callable[[str], None]) -> None:
        self._say = say

    def _say_safely(self, line: str) -> None:
        """Say a line; a terminal that is gone is no reason to leave processes behind."""
        with contextlib.suppress(OSError, ValueError):
            self._say(line)

    def _interrupted(self) -> None:
        self._hurry = True

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        for end in ends:
            self._ends.callback(os.close, end)
        return ends

    def _start_server(self) -> None:
        self._server = Server(self._state, self._server_life[0])
        self._server.start(self._record)
        if self._server.child is not None:
            self._guards.append(Guard(self._server.child, self.say))

    def _start_site(self) -> None:
        self._site = Site(
            self._state,
            self._wanted_ports,
            options=self._site_options,
            environment=os.environ,
            watches=self._life[0],
            holds=(self._server_life[1],),
        )
        self._site.start()
        self._site.keep_ports()
        self.site_ports = self._site.ports
        self.resolve += self._site.resolve()
        self.allow_addresses += (LOOPBACK,)
        self._guards.append(Guard(self._site.child, self.say))
        self._record()

    def _start_workers(self) -> None:
        # What workers of an earlier run have left is no sign of life.
        with contextlib.closing(connection.connect(self.redis_url)) as client:
            client.delete(keys.workers())
            # Nor does any of them live: what they held need not wait for its leases' time.
            deaths.bury(client, everything=True)
        each = [group for group in self._groups for _ in range(group.count)]
        for number, group in enumerate(each, start=1):
            environment = self._worker_environment(group)
            worker = self._child(f"worker-{number}", self._worker_command, environment, DRAIN_S)
            self._workers.append(worker)
            worker.start()
            self._guards.append(Guard(worker, self.say, ready=" ready: pool "))
        self._record()

    def _start_flower(self, port: int) -> None:
        environment = self._environment() | {
            "FLOWER_ADDRESS": LOOPBACK,
            "FLOWER_PORT": str(port),
            "FLOWER_USER": self.flower_user,
            "FLOWER_PASSWORD": self.flower_password,
        }
        command = (sys.executable, "-P", "-m", "embedded.flower")
        self._flower = self._child("flower", command, environment, FLOWER_GRACE_S)
        self._flower.start()
        self._guards.append(Guard(self._flower, self.say, needed=False))
        self.flower_url = f"http://{LOOPBACK}:{port}/"
        self._record()

    def _child(self, name: str, command: Sequence[str], environment: dict[str, str], grace_s: float) -> Child:
        return Child(
            name,
            command,
            environment=environment,
            log=self._state.log(name),
            grace_s=grace_s,
            watches=self._life[0],
            holds=(self._server_life[1],),
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in _NOT_INHERITED}
        return inherited | {
            "CRAWL_REDIS_URL": self.redis_url,
            "CRAWL_EVENTS": "on" if self.events else "off",
            "PYTHONUNBUFFERED": "1",
        }

    def _worker_environment(self, group: Workers) -> dict[str, str]:
        return self._environment() | {
            "CRAWL_POOL": group.pool,
            "CRAWL_CONCURRENCY": str(group.concurrency or ""),
            "CRAWL_QUEUES": ",".join(group.queues),
            "CRAWL_RESOLVE": ",".join(self.resolve),
            "CRAWL_ALLOW_ADDRESSES": ",".join(self.allow_addresses),
            # The demo site is on loopback, where a proxy does not reach it.
            **({"CRAWL_PROXY": ""} if self._site is not None else {}),
            **self._worker_variables,
        }

    def _record(self) -> None:
        """Write `run.json`, from which other processes attach and the next start recognises leftovers."""
        server = self._server.child if self._server is not None else None
        others = [child for child in (*self._workers, self._flower, self._site and self._site.child) if child]
        self._state.write_run(
            Run(
                parent=identify("poolcrawl", os.getpid()),
                purpose=self._purpose,
                redis_url=self.redis_url,
                server=server.processes if server is not None else (),
                others=tuple(process for child in others for process in child.processes),
                flower_url=self.flower_url,
                site_ports=self.site_ports,
                allow_addresses=self.allow_addresses,
                extractors=self._extractors,
            )
        )

    def _end(self, children: list[Child]) -> None:
        """Ask children to end, wait for it, kill what does not."""
        for child in children:
            child.ask()
        began = time.monotonic()
        hurried = said = False
        while any(child.alive() for child in children):
            waited_s = time.monotonic() - began
            if self._hurry and not hurried and children is self._workers:
                hurried = True
                for child in children:
                    child.ask()
            if waited_s > _WORTH_A_LINE_S and not said and children is self._workers:
                said = True
                self.say("waiting for the workers to end; Ctrl-C ends them at once")
            for child in children:
                if waited_s > child.grace_s + KEEPER_MARGIN_S:
                    child.kill()
            time.sleep(_POLL_S)


def _fixed_flower_port() -> int | None:
    """Return FLOWER_PORT, which must be free, or None when it is not set."""
    text = os.environ.get("FLOWER_PORT", "")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        message = f"FLOWER_PORT={text!r}: expected a port number from 1 to 65535"
        raise SettingError(message)
    return fixed_port(int(text), "FLOWER_PORT", "set it to another port, or leave it unset for a free one")
