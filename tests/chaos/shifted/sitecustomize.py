"""Puts a process's wall clock wrong by CHAOS_CLOCK_S seconds, from its first moment; the monotonic clock stays right.

Python imports this module by its name when its folder is on PYTHONPATH: nothing has to be installed for it.
"""

from __future__ import annotations

import os
import time

_SHIFT_S = float(os.environ.get("CHAOS_CLOCK_S", "0"))
_time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime


class _Split:
    """A function of the time module that takes the wrong time as now.

    An object and no function: logging keeps `time.localtime` in a class, where a function of Python would become a
    method and be given its formatter as the time.
    """

    def __init__(self, split):
        self._split = split

    def __call__(self, secs=None):
        return self._split(time.time() if secs is None else secs)


if _SHIFT_S:
    time.time = lambda: _time() + _SHIFT_S
    time.time_ns = lambda: _time_ns() + int(_SHIFT_S * 1e9)
    time.gmtime = _Split(_gmtime)
    time.localtime = _Split(_localtime)
