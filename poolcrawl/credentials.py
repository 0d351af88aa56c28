"""`--credentials FILE`: logins, each bound to one origin. No message repeats anything that may be a secret."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from crawl import urls
from crawl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Largest file that is read, in bytes.
MAX_FILE_BYTES = 1 << 20

#: What a bearer token is made of (RFC 6750 section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_FORM = "expected ORIGIN basic USER:PASSWORD or ORIGIN bearer TOKEN"


def from_file(path: str, say: Callable[[str], None]) -> tuple[tuple[str, str, str], ...]:
    """Return (origin, `basic` or `bearer`, secret) of each line; empty lines and those with `#` in front are skipped.

    `say` gets a warning when everybody may read the file. Raises UsageError that names file and line.
    """
    found: dict[str, tuple[str, str, str]] = {}
    content, open_to_all = _read(path)
    for number, line in enumerate(content.split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            login = _login(text)
        except ValueError as error:
            message = f"{path}, line {number}: {error}"
            raise UsageError(message) from None
        if login[0] in found:
            message = f"{path}, line {number}: a second login for {login[0]}; keep one of them"
            raise UsageError(message)
        found[login[0]] = login
    if not found:
        message = f"{path}: no line with a login; {_FORM}"
        raise UsageError(message)
    if open_to_all:
        say(f"warning: everybody on this machine may read {path}, which holds secrets; chmod 600 {path}")
    return tuple(found.values())


def _read(path: str) -> tuple[str, bool]:
    """Return the file's text, and whether everybody may read it."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            message = f"{path} is no file"
            raise UsageError(message)
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        message = f"cannot read the credentials {path}: {(error.strerror or str(error)).lower()}"
        raise UsageError(message) from None
    except ValueError:
        message = "the name of the credentials file has a zero byte"
        raise UsageError(message) from None
    if len(data) > MAX_FILE_BYTES:
        message = f"{path} is larger than {MAX_FILE_BYTES} bytes"
        raise UsageError(message)
    try:
        return data.decode("utf-8-sig"), bool(mode & stat.S_IROTH)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}, line {line}: it is not UTF-8"
        raise UsageError(message) from None


def _login(text: str) -> tuple[str, str, str]:
    words = text.split(None, 2)
    if len(words) != 3 or words[1] not in ("basic", "bearer"):
        raise ValueError(_FORM)
    written, kind, secret = words
    if not secret.isprintable():
        message = "the secret has a control character"
        raise ValueError(message)
    if kind == "basic" and ":" not in secret:
        message = "a basic login is written USER:PASSWORD"
        raise ValueError(message)
    if kind == "bearer" and not _TOKEN.fullmatch(secret):
        message = "a bearer token has only letters, digits and -._~+/, and = at its end"
        raise ValueError(message)
    return _origin(written), kind, secret


def _origin(written: str) -> str:
    url = None if "@" in written else urls.canonical(written)
    if url is None or url != urls.origin_of(url) + "/":
        message = (
            "its first word is no origin; write scheme, host and port only, as in https://example.com:8443"
        )
        raise ValueError(message)
    return urls.origin_of(url)
