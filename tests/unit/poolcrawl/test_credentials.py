"""`--credentials FILE`: what is read, what is refused, and that no message holds a secret."""

from __future__ import annotations

import pytest

from crawl.errors import UsageError
from poolcrawl.credentials import from_file


@pytest.fixture
def read(tmp_path):
    """Write a file and read it; returns the logins and what was said."""

    def run(content, mode=0o600):
        path = tmp_path / "logins.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        said = []
        return from_file(str(path), said.append), said

    return run


def test_logins_are_read_with_their_origins(read):
    """Canonical origins; comments and empty lines are skipped, colons and spaces in a password kept."""
    logins, said = read(
        "# staging\n\nHTTPS://Example.COM:443/ basic me:pass: word\r\nhttp://127.0.0.1:8080 bearer abc._~+/-==\n"
    )

    assert (
        ("https://example.com", "basic", "me:pass: word"),
        ("http://127.0.0.1:8080", "bearer", "abc._~+/-=="),
    ) == logins
    assert [] == said


def test_a_file_that_everybody_may_read_is_warned_of(read):
    """One line with the remedy."""
    _, said = read("http://a.example basic u:s3cret", mode=0o644)

    assert 1 == len(said)
    assert "chmod 600" in said[0]
    assert "s3cret" not in said[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no line with a login"),
        ("# only this\n", "no line with a login"),
        ("http://a.example basic u:s3cret\nhttp://b.example", "line 2: expected ORIGIN basic"),
        ("http://a.example digest u:s3cret", "line 1: expected ORIGIN basic"),
        ("http://a.example s3cret", "line 1: expected ORIGIN basic"),
        ("basic u:s3cret http://a.example", "line 1: expected ORIGIN basic"),
        ("u:s3cret basic x:y", "line 1: its first word is no origin"),
        ("http://u:s3cret@a.example basic x:y", "line 1: its first word is no origin"),
        ("http://a.example/path basic u:s3cret", "line 1: its first word is no origin"),
        ("http://a.example?q=1 basic u:s3cret", "line 1: its first word is no origin"),
        ("ftp://a.example basic u:s3cret", "line 1: its first word is no origin"),
        ("http://a.example basic s3cret", "line 1: a basic login is written USER:PASSWORD"),
        ("http://a.example bearer s3cret s3cret", "line 1: a bearer token"),
        ("http://a.example bearer s3crét", "line 1: a bearer token"),
        ("http://a.example basic u:s3\x00cret", "line 1: the secret has a control character"),
        ("\nhttp://a.example basic u:s3cret\nHTTP://A.example:80 bearer s3cret", "line 3: a second login"),
        (b"http://a.example basic u:x\nhttp://b.example basic u:s3cret\xff\xfe", "line 2: it is not UTF-8"),
        (b"#" * (1 << 21), "larger than"),
    ],
)
def test_an_error_names_file_and_line_and_no_secret(read, content, said):
    """What is wrong with it can be said without repeating it."""
    with pytest.raises(UsageError) as raised:
        read(content)

    text = str(raised.value)
    assert "logins.txt" in text
    assert said in text
    assert "s3c" not in text
    assert "\n" not in text


def test_what_is_no_file_is_refused(tmp_path):
    """A missing file, a directory, a name no file can have."""
    for path in (str(tmp_path / "missing"), str(tmp_path), "a\0b"):
        with pytest.raises(UsageError):
            from_file(path, print)
