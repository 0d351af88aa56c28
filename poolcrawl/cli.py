"""The `poolcrawl` command: one group, one place where errors become one line and an exit code.

Exit codes: 0 finished; 1 finished, but nothing could be fetched, or `audit`, `doctor`, `bench` or `guarantees` found a
violation; 2 bad usage or setting; 3 Redis or workers unreachable; 4 paused, cancelled or stopped before the end; 130
interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import NoReturn

import click

from crawl.errors import PoolcrawlError
from lab.command import bench
from lab.matrix import guarantees
from poolcrawl import (
    __version__,
    comparing,
    crawling,
    detaching,
    explaining,
    generations,
    inspecting,
    serving,
    steering,
    trapping,
)
from poolcrawl.entry import INTERRUPTED


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="poolcrawl")
def cli() -> None:
    """Crawl the web with Celery workers whose pool is prefork, threads, gevent or asyncio: a switch and a measurement.

    \b
    Try:  poolcrawl demo                       crawl the bundled website
          CRAWL_POOL=gevent poolcrawl demo     the same on another pool
          poolcrawl crawl https://example.com/ --depth 1
    """  # noqa: D301 - click looks for a real backspace


for command in (
    crawling.crawl,
    crawling.demo,
    crawling.worker,
    serving.pump,
    detaching.stop,
    inspecting.list_crawls,
    inspecting.status,
    inspecting.export,
    inspecting.audit,
    comparing.changed,
    inspecting.doctor,
    steering.pause,
    steering.resume,
    steering.cancel,
    steering.delete,
    trapping.parked,
    trapping.release,
    explaining.why,
    generations.failures,
    generations.retry,
    bench,
    guarantees,
):
    cli.add_command(command)


def _fail(message: str, code: int) -> NoReturn:
    print(f"poolcrawl: {message}", file=sys.stderr)
    raise SystemExit(code)


def _discard_stdout() -> None:
    """Let nothing more be written: the interpreter would try again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """Run the command line; every expected error ends in one line on stderr."""
    try:
        code = cli.main(standalone_mode=False)
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
        _discard_stdout()
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) has had enough; nothing more can be written.
        _discard_stdout()
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _discard_stdout()
            _fail(f"cannot write any more: {error.strerror}; make room, or send the output elsewhere", 2)
        if error.filename is None:
            raise
        _fail(
            f"cannot use {os.fsdecode(error.filename)}: {error.strerror}; see that it is there, and yours", 2
        )
    raise SystemExit(code if isinstance(code, int) else 0)
