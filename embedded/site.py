"""The demo site as a child process."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from crawl.errors import UnavailableError, UsageError
from demo import resolve_map
from embedded.child import Child
from embedded.ports import LOOPBACK, fixed_port, is_free

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embedded.state import State

NAME = "site"
#: Name of the log with a JSON line per request, over all runs in this directory.
ACCESS = "site-access"
#: What `python -m demo` exits with when it cannot have its ports.
_USAGE = 2
GRACE_S = 5.0
_START_S = 20.0
_POLL_S = 0.02


def choose_ports(state: State, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Return the ports (ordinary, misbehaving) to listen on; 0 is any free one.

    `wanted` must be free (UsageError); without it, the ports of this directory's last site are used again if they are.
    """
    if wanted is not None:
        for port in wanted:
            fixed_port(port, "the demo site", "end what listens there, or let a free port be chosen")
        return wanted
    last = state.site_ports()
    if last is not None and all(is_free(port) for port in last):
        return last
    return 0, 0


class Site:
    """The demo site. `ports` are known once it has started."""

    def __init__(
        self,
        state: State,
        wanted: tuple[int, int] | None,
        *,
        options: Sequence[str],
        environment: Mapping[str, str],
        watches: int,
        holds: tuple[int, ...],
    ) -> None:
        self._state = state
        port, rough_port = choose_ports(state, wanted)
        state.site_path.unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "demo", "--host", LOOPBACK]
        command += ["--port", str(port), "--rough-port", str(rough_port)]
        command += ["--ports-file", str(state.site_path.absolute())]
        command += ["--access-log", str(state.log(ACCESS).absolute()), *options]
        self.child = Child(
            NAME,
            command,
            environment=environment,
            log=state.log(NAME),
            grace_s=GRACE_S,
            watches=watches,
            holds=holds,
        )
        self.ports = (port, rough_port)

    def start(self) -> None:
        """Start, and wait until both ports listen. Raises UnavailableError with the last line it printed."""
        self.child.start()
        deadline = time.monotonic() + _START_S
        while self.child.alive() and time.monotonic() < deadline:
            ports = self._state.site_ports()
            if ports is not None:
                self.ports = ports
                return
            time.sleep(_POLL_S)
        message = f"the demo site did not start: {self.child.last_line() or 'it printed nothing'}"
        raise UsageError(message) if self.child.exit_code() == _USAGE else UnavailableError(message)

    def keep_ports(self) -> None:
        """Have later starts of this site listen where it listens now, since workers map its names there."""
        for option, port in zip(("--port", "--rough-port"), self.ports, strict=True):
            self.child.command[self.child.command.index(option) + 1] = str(port)

    def resolve(self) -> tuple[str, ...]:
        """Return the site's hosts as NAME:PORT=ADDRESS:PORT."""
        return tuple(resolve_map(*self.ports, address=LOOPBACK))
