"""When a child that ended by itself is started again."""

from __future__ import annotations

from dataclasses import dataclass

#: A child that ends sooner after its start than this counts as failing at once, seconds.
QUICK_S = 5.0
#: Failures at once, in a row, after which starting again is given up.
MAX_QUICK = 5
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 30.0


@dataclass
class Restarts:
    """Restarts of one child. Time is passed in, in seconds of any monotonic clock."""

    quick: int = 0
    due: float | None = None

    def ended(self, lived_s: float, now: float, *, worked: bool = False) -> bool:
        """Plan the next start after an end; return False when there shall be none.

        The first pause is short; each failure at once in a row doubles it. A child that `worked` has not failed at
        once, however soon it ended: a page may have ended it, or its memory, and the next one goes on.
        """
        self.quick = self.quick + 1 if lived_s < QUICK_S and not worked else 0
        if self.quick >= MAX_QUICK:
            return False
        pause = FIRST_PAUSE_S * 2.0 ** max(0, self.quick - 1)
        self.due = now + min(pause, LONGEST_PAUSE_S)
        return True

    def is_due(self, now: float) -> bool:
        """Say, once, that the planned start's time has come."""
        if self.due is None or now < self.due:
            return False
        self.due = None
        return True
