"""Lines of a seeds file: codings, line ends, packed files, and pieces of any size."""

from __future__ import annotations

import gzip

import pytest

from producer.lines import LONGEST, Line, lines

SIZES = (1, 2, 3, 5, 1000)


def read(data: bytes, size: int) -> list[tuple[int, str]]:
    """Return number and text of the lines of data that come in pieces."""
    return [line[:2] for line in lines(data[at : at + size] for at in range(0, len(data), size))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_in_the_coding_its_mark_names(coding, size):
    """Editors on Windows write marks; a pipe may cut anywhere, also within a character or a mark."""
    assert read("größe\r\n\nb".encode(coding), size) == [(1, "größe"), (2, ""), (3, "b")]


@pytest.mark.parametrize("size", SIZES)
def test_every_line_end_counts_once(size):
    """Unix, Windows and old Macintosh; the numbers are those an editor shows."""
    assert read(b"a\r\nb\rc\nd", size) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


@pytest.mark.parametrize("size", SIZES)
def test_a_gzip_file_is_unpacked_with_all_its_members(size):
    """`cat a.gz b.gz` is a gzip file."""
    packed = gzip.compress(b"a\nb") + gzip.compress(b"c\n")

    assert read(packed, size) == [(1, "a"), (2, "bc")]


@pytest.mark.parametrize("size", SIZES)
def test_a_gzip_file_that_ends_too_early_is_told(size):
    """What came before is read."""
    packed = gzip.compress(b"a\nb\n")[:-4]
    found = []

    with pytest.raises(ValueError, match="ends too early"):
        found.extend(lines(packed[at : at + size] for at in range(0, len(packed), size)))


def test_a_gzip_bomb_is_one_long_line():
    """Ten megabytes without a line end are never held at once."""
    (line,) = lines([gzip.compress(b"x" * 10_000_000)])

    assert line == Line(1, "x" * LONGEST, cut=True)


def test_a_line_is_there_as_soon_as_it_has_its_end():
    """`tail -f` gives a line now and the next one tomorrow."""
    given = []

    def pieces():
        for piece in (b"a\n", b"b", b"\n"):
            given.append(piece)
            yield piece

    assert next(lines(pieces())) == Line(1, "a")
    assert given == [b"a\n"]


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"\xef\xbb\xbf"])
def test_nothing_has_no_lines(data):
    """A mark alone is no line."""
    assert read(data, 1) == []
