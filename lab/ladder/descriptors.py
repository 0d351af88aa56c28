"""How many files and sockets this process may have open: raised where the system lets us, said clearly where not."""

from __future__ import annotations

import resource

from crawl.errors import UsageError

#: select(2) takes only descriptors below this: its sets are bit fields of a fixed size.
FD_SETSIZE = 1024
#: Descriptors beside those of idle sockets: the pages under way, standard streams, the waiter's own.
SPARE = 16


def raise_limit(needed: int) -> None:
    """Let this process open `needed` descriptors. Raises UsageError when the system's hard limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError):
        # Above the hard limit; macOS has a lower one of its own, which it does not tell.
        most = soft if hard == resource.RLIM_INFINITY else hard
        message = f"{needed} open files are needed and at most {most} allowed here; raise it with `ulimit -n`"
        raise UsageError(message) from None
