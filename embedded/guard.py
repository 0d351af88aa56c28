"""Watching one child: starting it again, and saying when that makes no sense."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crawl.errors import UnavailableError, UsageError
from embedded.restarts import Restarts

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedded.child import Child

#: What a process of ours exits with when its settings are wrong: starting it again cannot help.
_USAGE = 2
_SIGNALLED = 128


@dataclass
class Guard:
    """A child that is kept alive. Without `needed`, its failure is said once and the stack goes on."""

    child: Child
    say: Callable[[str], None]
    needed: bool = True
    #: What the child prints when it begins its work, if it does.
    ready: str = ""
    restarts: Restarts = field(default_factory=Restarts)
    given_up: bool = False

    def look(self) -> bool:
        """Start the child again if it ended and its pause is over; say whether it was started.

        Raises UsageError when the child refused its settings, UnavailableError when it keeps failing at once; both
        with the last line it printed.
        """
        if self.given_up or self.child.alive():
            return False
        if self.restarts.due is None:
            self._plan()
            return False
        if not self.restarts.is_due(time.monotonic()):
            return False
        self.child.start()
        return True

    def _plan(self) -> None:
        code = self.child.exit_code()
        why = how_ended(code)
        if self.needed and code == _USAGE:
            # Our own programs say who speaks; whoever prints this error says it again.
            last = self.child.last_line().removeprefix("poolcrawl: ")
            raise UsageError(last or f"{self.child.name} refused its settings; see {self.child.log}")
        if self.restarts.ended(self.child.lived_s(), time.monotonic(), worked=self.child.said(self.ready)):
            if code:
                self.say(f"{self.child.name} ended ({why}); starting it again")
            return
        self.given_up = True
        last = self.child.last_line()
        message = f"{self.child.name} keeps ending ({why}); last line of {self.child.log}: {last or 'none'}"
        if self.needed:
            raise UnavailableError(message)
        self.say(message)


def how_ended(code: int | None) -> str:
    """Return an exit code in words."""
    if code is not None and code > _SIGNALLED:
        try:
            return f"killed by {signal.Signals(code - _SIGNALLED).name}"
        except ValueError:
            pass
    return f"exit code {code}"
