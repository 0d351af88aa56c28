"""A flag that every slot of a worker reads, in any pool: `worker is ending, finish the request and hand back the rest`.

One byte of memory shared with forked children, because a prefork child never sees the signal its parent got.
"""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)


def begin() -> None:
    """Start the drain; there is no way back."""
    _flag[0] = 1


def begun() -> bool:
    """Whether this worker is ending."""
    return _flag[0] == 1
