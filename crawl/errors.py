"""Every error poolcrawl raises on purpose.

PoolcrawlError
├── UsageError            the user's words or settings are wrong            -> exit 2
│   ├── SettingError      a CRAWL_* variable
│   ├── UnknownCrawlError no such crawl
│   │   └── NoCrawlYetError   nor any other in this state directory
│   ├── DamagedCrawlError what Redis keeps of a crawl cannot be read
│   └── CrawlExistsError  the name is taken with other options
├── UnavailableError      Redis, a worker or a server cannot be reached     -> exit 3
├── StoppedError          paused or stopped before the end (memory, disk)   -> exit 4
├── ViolationError        a check found something broken                    -> exit 1
└── FetchError            one request failed; carries the record's reason
    ├── TransientFetchError   worth another attempt
    └── FinalFetchError       never worth another attempt

All pass their arguments to `super().__init__`, since prefork pickles errors.
"""

from __future__ import annotations

from typing import Self


class PoolcrawlError(Exception):
    """Anything poolcrawl raises on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(PoolcrawlError):
    """What was asked for cannot be done as asked; the message names the thing and the remedy."""

    exit_code = 2


class SettingError(UsageError):
    """A CRAWL_* variable is unknown or malformed."""


class UnknownCrawlError(UsageError):
    """There is no crawl of that name."""


class NoCrawlYetError(UnknownCrawlError):
    """No crawl was ever made in this state directory."""


class DamagedCrawlError(UsageError):
    """What Redis keeps of a crawl cannot be read."""

    @classmethod
    def of(cls, crawl: str, what: str, why: object) -> Self:
        """Return the error for a part of a crawl; `what` names it in words."""
        return cls(
            f"crawl '{crawl}' is damaged: {what} in Redis cannot be read ({why}); bring Redis' data back from a "
            "backup, or choose another --name"
        )


class CrawlExistsError(UsageError):
    """A crawl of that name exists with different options."""


class UnavailableError(PoolcrawlError):
    """Redis, the workers or the broker cannot be reached."""

    exit_code = 3


class StoppedError(PoolcrawlError):
    """The crawl stopped before its end (memory or disk) and can be resumed."""

    exit_code = 4


class ViolationError(PoolcrawlError):
    """A check (`audit`, `doctor`) found a broken promise."""

    exit_code = 1


class FetchError(PoolcrawlError):
    """One request failed.

    `reason` is one of the record's reasons (`crawl.records.REASONS`), `detail` one human sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        """Return the human sentence."""
        return self.detail


class TransientFetchError(FetchError):
    """A failure that another attempt may cure."""


class FinalFetchError(FetchError):
    """A failure that no further attempt cures."""
