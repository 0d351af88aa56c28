"""Puts a process's wall clock wrong by CHAOS_CLOCK_S seconds, from its first moment; the monotonic clock stays right.

Python imports this module by its name when its folder is on PYTHONPATH: nothing has to be installed for it.
"""

from __future__ import annotations

import os
import time

_SHIFT_S = float(os.environ.get("CHAOS_CLOCK_S", "0"))
_time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime

if _SHIFT_S:
    time.time = lambda: _time() + _SHIFT_S
    time.time_ns = lambda: _time_ns() + int(_SHIFT_S * 1e9)
    time.gmtime = lambda secs=None: _gmtime(time.time() if secs is None else secs)
    time.localtime = lambda secs=None: _localtime(time.time() if secs is None else secs)
