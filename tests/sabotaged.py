"""A worker with a planted bug: it drops one page. `python -m sabotaged` becomes it, as `python -m lab.probe` would."""

from __future__ import annotations

from crawl import settings
from lab import probe
from worker import command, parsing

#: The page whose record is never made.
DROPPED = "/p/000042.html"


def __getattr__(name: str):
    """Make `sabotaged:app` when Celery asks for it."""
    if name != "app":
        raise AttributeError(name)
    record = parsing._Parsing._record

    def forgetful(self, request, ref) -> None:
        if not request.url.endswith(DROPPED):
            record(self, request, ref)

    parsing._Parsing._record = forgetful
    return probe.app


if __name__ == "__main__":
    command.become(settings.load(), "sabotaged:app")
