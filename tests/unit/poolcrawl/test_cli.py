"""What the command line makes of a file that fails where nobody expected it."""

from __future__ import annotations

import errno

import pytest

from poolcrawl import cli


def _ended(monkeypatch, error):
    """Run a command that fails so; return its exit code."""

    def fail(**_):
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)
    monkeypatch.setattr("poolcrawl.streams.discard_stdout", lambda: None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/file"),
            "poolcrawl: cannot use /a/file: Permission denied; see that it is there, and yours\n",
        ),
        (
            OSError(errno.EFBIG, "File too large"),
            "poolcrawl: cannot write any more: File too large; make room, or send the output elsewhere\n",
        ),
    ],
    ids=["named", "too large"],
)
def test_a_file_that_fails_is_one_line(monkeypatch, capsys, error, line):
    """Exit 2, as for any other input that cannot be used."""
    assert (2, line) == (_ended(monkeypatch, error), capsys.readouterr().err)


def test_a_fault_of_the_system_that_names_no_file_is_shown_whole(monkeypatch):
    """It is none of the user's."""
    with pytest.raises(OSError, match="Cannot allocate"):
        _ended(monkeypatch, OSError(errno.ENOMEM, "Cannot allocate memory"))
