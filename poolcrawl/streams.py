"""The standard streams of the `poolcrawl` command, as whoever started it left them: closed, full, or read by nobody."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def settle() -> None:
    """Give every closed standard stream an end that takes all and gives nothing, and let no failing stderr matter.

    Else the first file that is opened gets a closed stream's number, and is written into by whoever means the stream.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _open_nothing(descriptor)
            made = open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, made)
    sys.stderr = _stderr()


def discard_stdout() -> None:
    """Let nothing more be written: the interpreter would try again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let whoever reads our output (head, less) end early: what comes after the block goes on, with its exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()


def _open_nothing(descriptor: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    # Children inherit it, as they would the stream; `dup2` sees to that only where the numbers differ.
    if opened == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.dup2(opened, descriptor)
        os.close(opened)


class _Unheard(io.FileIO):
    """A file whose writing never fails: what cannot be written is dropped."""

    def write(self, data: object) -> int:
        """Write, or do as if; return how much was taken, which is all when it failed."""
        taken = None
        with contextlib.suppress(OSError):
            taken = super().write(data)  # type: ignore[arg-type]
        return memoryview(data).nbytes if taken is None else taken  # type: ignore[arg-type]


def _stderr() -> io.TextIOWrapper:
    """Return the stream for people: a reader that is gone, or a full disk, ends no crawl and changes no exit code."""
    old = sys.stderr
    raw = _Unheard(2, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=old.encoding, errors=old.errors, line_buffering=True
    )
