"""Where the `poolcrawl` command begins: a Ctrl-C is answered from the first moment, while rooms are imported."""

from __future__ import annotations

import signal
from typing import Any, NoReturn

from poolcrawl import streams

#: What a shell reports for a program ended by Ctrl-C.
INTERRUPTED = 130


def _terminate(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line. A container's stop and a closed terminal leave a crawl that can be continued, too."""
    try:
        streams.settle()
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), _terminate)
        from poolcrawl.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
