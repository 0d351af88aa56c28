"""Encodings: html5lib's cases, those of w3lib, and the W3C's pages in Go's library, against `worker.parse.charset`."""

from __future__ import annotations

import codecs

import pytest
import theirs
from deviations import Tally
from webencodings import lookup as standard

from worker.fetch import _media_type
from worker.parse.charset import _BOMS, FALLBACK, PRESCAN_BYTES, decode, lookup, prescan

pytestmark = pytest.mark.timeout(600)


def _cases(content: bytes):
    """Yield (bytes, encoding) of a file in html5lib's form."""
    for part in content.split(b"#data\n")[1:]:
        data, _, rest = part.partition(b"\n#encoding\n")
        yield data, rest.split(b"\n")[0].decode().lower()


def _name(number: int, data: bytes) -> str:
    shown = data.decode("latin-1")
    return f"{number}: {shown if len(shown) <= 100 else shown[:100] + '…'}"


@pytest.mark.parametrize("file", ["tests1", "tests2", "test-yahoo-jp"])
def test_a_declared_encoding_is_the_one_that_browsers_find(sources, file):
    """html5lib's encoding tests; where nothing is declared they say windows-1252, and we would go on to detect."""
    folder = sources("html5lib") / "html5lib" / "tests" / "testdata" / "encoding"
    tally = Tally(f"encoding-html5lib-{file.removeprefix('test-')}")
    for number, (data, wanted) in enumerate(_cases((folder / f"{file}.dat").read_bytes())):
        bom = any(data.startswith(mark) for mark, _ in _BOMS)
        used = decode(data, None)[0] if bom else prescan(data[:PRESCAN_BYTES]) or FALLBACK
        tally.case(_name(number, data), standard(wanted).name, used)

    tally.verify()


def _codec(label: str | None) -> str | None:
    """Return what w3lib calls an encoding: the name of Python's codec."""
    name = lookup(label) if label else None
    return None if name is None else codecs.lookup(standard(name).codec_info.name).name


def _of_header(header: str | None) -> str | None:
    return _codec(_media_type(header.removeprefix("Content-Type:"))[1]) if header else None


def _of_body(body: bytes | str) -> str | None:
    return _codec(prescan((body if isinstance(body, bytes) else body.encode())[:PRESCAN_BYTES]))


def _to_unicode(data: bytes, encoding: str) -> str:
    text = decode(data, encoding)[1]
    return text if isinstance(text, str) else text.decode()


def _html_to_unicode(header: str | None, body: bytes, default_encoding=None, auto_detect_fun=None):
    if default_encoding or auto_detect_fun:
        raise theirs.NotOurs
    name, text = decode(body, _media_type(header.removeprefix("Content-Type:"))[1] if header else None)
    return _codec(name), text if isinstance(text, str) else text.decode()


def test_w3lib_s_own_tests_of_encodings_hold_for_us(sources):
    """Each test function or row is a case, but for those that choose a default or a detector of their own."""
    encoding = theirs.stand_in(
        "w3lib.encoding",
        http_content_type_encoding=_of_header,
        html_body_declared_encoding=_of_body,
        resolve_encoding=_codec,
        to_unicode=_to_unicode,
        html_to_unicode=_html_to_unicode,
    )
    path = sources("w3lib") / "tests" / "test_encoding.py"
    tally = Tally("encoding-w3lib")
    for name, call in theirs.tests(theirs.module(path, theirs.stand_in("w3lib"), encoding)):
        if (passes := theirs.passes(call)) is not None:
            tally.case(name, True, passes)

    tally.verify()
