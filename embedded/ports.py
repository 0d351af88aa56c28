"""TCP ports on the loopback interface."""

from __future__ import annotations

import socket

from crawl.errors import UsageError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port nobody listens on now. It is not reserved: whoever uses it must cope with losing the race."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Say whether a server could listen on `port` now; a port that only lingers in TIME_WAIT is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def fixed_port(port: int, what: str, remedy: str) -> int:
    """Return `port`; raise UsageError, which names `what` wants it and the `remedy`, when it is taken."""
    if not is_free(port):
        message = f"port {port}, asked for by {what}, is in use; {remedy}"
        raise UsageError(message)
    return port
