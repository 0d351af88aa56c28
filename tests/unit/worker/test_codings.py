"""Content codings: what each becomes, and what a hostile one costs."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import brotli
import pytest

from crawl.errors import FinalFetchError
from worker.codings import ACCEPTED, MAX_MEMBERS, CutBodyError, decoded, zstd

LIMIT = 100_000
TEXT = b"<p>" + b"hello " * 500


def _zstd_window(data, log):
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return packer.compress(data) + packer.flush()


PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("coding", PACK)
def test_every_coding_that_is_asked_for_is_undone(coding):
    """Accept-Encoding names each, and each gives the bytes back."""
    assert coding in ACCEPTED.split(", ")
    assert decoded(coding, PACK[coding](TEXT), LIMIT) == TEXT


def test_layers_are_undone_from_the_last_to_the_first():
    """The header lists codings in the order they were applied."""
    raw = zstd.compress(brotli.compress(gzip.compress(TEXT)))

    assert decoded("gzip, br, zstd", raw, LIMIT) == TEXT


def test_names_are_read_without_case_and_space():
    """RFC 9110 section 8.4.1: content codings are case-insensitive."""
    assert decoded(" BR ", brotli.compress(TEXT), LIMIT) == TEXT


@pytest.mark.parametrize("coding", [*PACK, "x-gzip"])
def test_an_empty_body_with_a_coding_is_empty(coding):
    """Servers label bodies that are not there."""
    assert decoded(coding, b"", LIMIT) == b""


@pytest.mark.parametrize("coding", PACK)
def test_exactly_the_limit_fits(coding):
    """The cap is the largest size, not the first too large."""
    body = b"x" * LIMIT

    assert decoded(coding, PACK[coding](body), LIMIT) == body


@pytest.mark.parametrize("coding", PACK)
def test_one_byte_more_is_too_large(coding):
    """And with `cut` the rest is dropped."""
    raw = PACK[coding](b"x" * (LIMIT + 1))

    with pytest.raises(FinalFetchError) as raised:
        decoded(coding, raw, LIMIT)

    assert raised.value.reason == "too_large"
    assert decoded(coding, raw, LIMIT, cut=True) == b"x" * LIMIT


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("keep", [0.5, -1])
def test_a_body_that_ends_too_early_is_recognised(coding, keep):
    """Half of it, or all but its last byte; `cut` keeps what is there."""
    raw = PACK[coding](bytes(range(256)) * 40)
    raw = raw[: int(len(raw) * keep) if keep > 0 else keep]

    with pytest.raises(CutBodyError) as raised:
        decoded(coding, raw, LIMIT)

    assert raised.value.reason == "decode"
    assert (bytes(range(256)) * 40).startswith(decoded(coding, raw, LIMIT, cut=True))


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("raw", [b"\0\0\0\0\0\0\0\0", b"plain text is no coding at all", b"\xff" * 40])
def test_garbage_is_decode(coding, raw):
    """What is no coding at all never comes through as a page."""
    with pytest.raises(FinalFetchError) as raised:
        decoded(coding, raw, LIMIT)

    assert raised.value.reason == "decode"
    assert raised.value.detail.isprintable()


@pytest.mark.parametrize(
    ("label", "coding"),
    [(a, b) for a in PACK for b in PACK if a != b and {a, b} != {"gzip", "deflate"}],
)
def test_a_wrong_label_is_decode(label, coding):
    """But gzip and deflate are taken for each other, as browsers do."""
    with pytest.raises(FinalFetchError) as raised:
        decoded(label, PACK[coding](TEXT), LIMIT)

    assert raised.value.reason == "decode"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_what_follows_the_end_is_ignored(coding):
    """Servers append line feeds and zeros."""
    assert decoded(coding, PACK[coding](TEXT) + b"\0\0\r\n", LIMIT) == TEXT


def test_what_follows_the_end_of_br_is_decode():
    """Its library refuses it; documented in docs/http.md."""
    with pytest.raises(FinalFetchError) as raised:
        decoded("br", brotli.compress(TEXT) + b"\r\n", LIMIT)

    assert raised.value.reason == "decode"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_are_joined(coding):
    """Several gzip members, several zstd frames (and skippable ones) are one body."""
    pack = PACK[coding]
    raw = pack(TEXT[:7]) + (b"\x50\x2a\x4d\x18\x03\0\0\0abc" if coding == "zstd" else b"") + pack(TEXT[7:])

    assert decoded(coding, raw, LIMIT) == TEXT


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_endless_empty_members_are_refused(coding):
    """Each costs a copy of the rest: half a million of them would be minutes."""
    with pytest.raises(FinalFetchError) as raised:
        decoded(coding, PACK[coding](b"") * (MAX_MEMBERS + 1), LIMIT)

    assert raised.value.reason == "decode"


def test_a_zstd_window_above_8_mb_is_refused():
    """RFC 9659 section 3: a decoder need not have more, so memory is bounded."""
    with pytest.raises(FinalFetchError) as raised:
        decoded("zstd", _zstd_window(b"abc" * 1000, 24), LIMIT)

    assert raised.value.reason == "decode"
    assert decoded("zstd", _zstd_window(b"abc" * 1000, 23), LIMIT) == b"abc" * 1000


@pytest.mark.parametrize(
    "codings", [("gzip",), ("deflate",), ("br",), ("zstd",), ("gzip", "br", "zstd"), ("zstd",) * 3]
)
def test_a_bomb_costs_no_more_than_the_cap(codings):
    """Thirty megabytes in a few kilobytes, alone or nested, peak below four times the cap."""
    limit = 1_000_000
    raw = b"\0" * 30_000_000
    for coding in codings:
        raw = brotli.compress(raw, quality=3) if coding == "br" else PACK[coding](raw)
    tracemalloc.start()

    with pytest.raises(FinalFetchError) as raised:
        decoded(", ".join(codings), raw, limit)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raised.value.reason == "too_large"
    assert peak < 4 * limit


def test_too_many_layers_and_foreign_codings_are_decode():
    """Nothing is tried that was not asked for."""
    for header in ("gzip, gzip, gzip, gzip", "compress", "dcb"):
        with pytest.raises(FinalFetchError) as raised:
            decoded(header, b"abc", LIMIT)
        assert raised.value.reason == "decode"


def test_what_is_no_coding_changes_nothing():
    """`identity`, and labels that are none, as in browsers."""
    assert decoded("identity, utf-8, none", TEXT, LIMIT) == TEXT
