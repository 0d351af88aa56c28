"""JSON Lines: one record per line, byte for byte as it stands in Redis."""

from __future__ import annotations

import io
import json

from export import jsonl


def test_each_record_is_one_line():
    """A record never holds a raw line break, so lines are records; the size is told for the cursor."""
    records = [
        json.dumps({"url": "http://a.test/", "title": "two\nlines"}).encode(),
        b'{"url":"http://b.test/"}',
    ]
    stream = io.BytesIO()

    size = jsonl.write(stream, iter(records))

    assert stream.getvalue().splitlines() == records
    assert size == len(stream.getvalue())


def test_nothing_is_written_for_no_records():
    """An empty crawl gives an empty file."""
    stream = io.BytesIO()

    assert (jsonl.write(stream, []), stream.getvalue()) == (0, b"")
