"""The `poolcrawl` command: one group, one place where errors become one line and an exit code.

Exit codes: 0 finished; 1 finished, but nothing could be fetched, or `audit`, `doctor`, `bench` or `guarantees` found a
violation; 2 bad usage or setting; 3 Redis or workers unreachable; 4 paused, cancelled or stopped before the end; 130
interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pkgutil
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from crawl.errors import PoolcrawlError
from poolcrawl import __version__, streams
from poolcrawl.entry import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Every verb, and what it is in which module.
VERBS = {
    "crawl": "poolcrawl.crawling:crawl",
    "demo": "poolcrawl.crawling:demo",
    "worker": "poolcrawl.working:worker",
    "pump": "poolcrawl.serving:pump",
    "stop": "poolcrawl.detaching:stop",
    "list": "poolcrawl.inspecting:list_crawls",
    "status": "poolcrawl.inspecting:status",
    "export": "poolcrawl.inspecting:export",
    "audit": "poolcrawl.inspecting:audit",
    "changes": "poolcrawl.comparing:changed",
    "doctor": "poolcrawl.inspecting:doctor",
    "pause": "poolcrawl.steering:pause",
    "resume": "poolcrawl.steering:resume",
    "cancel": "poolcrawl.steering:cancel",
    "delete": "poolcrawl.steering:delete",
    "parked": "poolcrawl.trapping:parked",
    "release": "poolcrawl.trapping:release",
    "why": "poolcrawl.explaining:why",
    "failures": "poolcrawl.generations:failures",
    "retry": "poolcrawl.generations:retry",
    "bench": "lab.command:bench",
    "guarantees": "lab.matrix:guarantees",
}


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Give a reader who has left a name of our own, before click sees it."""
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderLeftError from error


class _ReaderLeftError(Exception):
    """Nobody reads standard output any more. Of a BrokenPipeError click itself would make exit code 1."""


class Verbs(click.Group):
    """The verbs. Each is imported when it is asked for: a worker, say, needs a third of what all of them need."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the name of every verb."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, or None for what is no verb."""
        if cmd_name in VERBS and cmd_name not in self.commands:
            self.add_command(pkgutil.resolve_name(VERBS[cmd_name]), cmd_name)
        return super().get_command(ctx, cmd_name)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line, which may print a help text. Raises _ReaderLeftError."""
        with _told_apart():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out a verb. Raises _ReaderLeftError."""
        with _told_apart():
            return super().invoke(ctx)

    def loaded(self) -> dict[str, click.Command]:
        """Return every verb by its name, imported."""
        context = click.Context(self)
        return {name: found for name in VERBS if (found := self.get_command(context, name)) is not None}


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="poolcrawl")
def cli() -> None:
    """Crawl the web with Celery workers whose pool is prefork, threads, gevent or asyncio: a switch and a measurement.

    \b
    Try:  poolcrawl demo                       crawl the bundled website
          CRAWL_POOL=gevent poolcrawl demo     the same on another pool
          poolcrawl crawl https://example.com/ --depth 1
    """  # noqa: D301 - click looks for a real backspace


def _fail(message: str, code: int) -> NoReturn:
    print(f"poolcrawl: {message}", file=sys.stderr)
    raise SystemExit(code)


def main() -> NoReturn:
    """Run the command line; every expected error ends in one line on stderr."""
    try:
        code = cli.main(standalone_mode=False)
        with streams.reader_may_leave():
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        raise SystemExit(2) from None
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "poolcrawl"
        _fail(f"{error.format_message().rstrip('.')}; see `{path} --help`", 2)
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(INTERRUPTED) from None
    except PoolcrawlError as error:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        streams.discard_stdout()
        _fail(str(error), error.exit_code)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Files of the user's are read where errors name them; whoever must not stop at a damaged record skips it.
        streams.discard_stdout()
        _fail(
            f"a record that Redis keeps is damaged ({error}): `poolcrawl audit CRAWL` names it; bring Redis' data back "
            "from a backup, or crawl again",
            2,
        )
    except UnicodeEncodeError as error:
        wrong = ascii(error.object[error.start : error.end])
        if error.encoding in ("utf-8", "utf8"):
            _fail(f"{wrong} in a word of the command line is no UTF-8; write the word in UTF-8", 2)
        streams.discard_stdout()
        _fail(f"standard output cannot hold {wrong} ({error.encoding}); set PYTHONIOENCODING=utf-8", 2)
    except _ReaderLeftError:
        # The reader (head, less) has had enough; nothing more can be written.
        streams.discard_stdout()
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            streams.discard_stdout()
            _fail(f"cannot write any more: {error.strerror}; make room, or send the output elsewhere", 2)
        if error.filename is None:
            raise
        _fail(
            f"cannot use {os.fsdecode(error.filename)}: {error.strerror}; see that it is there, and yours", 2
        )
    raise SystemExit(code if isinstance(code, int) else 0)
