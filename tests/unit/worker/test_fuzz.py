"""Whatever bytes a server sends: a document, or one of the documented failures; in seconds, and in little memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawl.errors import FinalFetchError
from crawl.records import PageRecord, to_json
from demo.charsets import PAGES, encode
from worker.parse import Reading, parse
from worker.parse.document import Extracted
from worker.parse.encoding import lookup

URL = "http://h.test/map.xml.gz"
TYPES = (
    *(None, "text/html", "application/xhtml+xml", "text/plain", "application/xml", "text/xml"),
    *("application/rss+xml", "application/atom+xml", "application/gzip", "application/octet-stream"),
)
LABELS = ("utf-8", "gbk", "gb18030", "shift_jis", "euc-jp", "iso-2022-jp", "euc-kr", "big5", "utf-16", "utf-16be",
          "latin1", "x-user-defined", "hz-gb-2312", "replacement", "no-such", "\udc80", "é", "")  # fmt: skip
REAL = (
    *(encode(f"<!doctype html><title>{one.title}</title>{one.head}<p>{one.text}<a href=/x>", one) for one in PAGES),
    b"<?xml version='1.0'?><urlset><url><loc>http://h.test/a?x&amp;y</loc></url></urlset>",
    b"<rss><channel><title>t</title><item><link>/x</link><guid>g</guid></item></channel></rss>",
    b"<feed xml:base='/b/'><entry><link rel='next' href='x'/></entry></feed>",
    b"<script type='application/ld+json'>{\"a\": [1]}</script><meta property='og:image' content='x'><base href='/'>",
    gzip.compress(b"<urlset><url><loc>/a</loc></url></urlset>"),
)  # fmt: skip
SOUP = (
    *("<a href=x>", "<b>", "</b>", "<table>", "<td>", "<svg>", "<math>", "<script>", "</script>", "<!--", "-->"),
    *("<template>", "<select>", "<frameset>", "<title>", "<base href='", "'>", "<html lang=", "&#xD800;", "ü", "𐐷"),
    *("<meta http-equiv=refresh content='0;url=", "<meta property=og:x content=", " ", "\f", ">", "\0", "\\ud800"),
    *("<script type=application/ld+json>", "{", "[", '"'),
)  # fmt: skip
XML = (
    *("<?xml version='1.0' encoding='gbk'?>", "<!DOCTYPE x [", "]>", "<!ENTITY a 'b'>", "<urlset>", "<url>", "<loc>"),
    *("</loc>", "</url>", "<rss>", "<channel>", "<item>", "<link>", "</link>", "</item>", "<feed xml:base='a'>"),
    *("<entry>", "<link href='x' rel='next'/>", "<![CDATA[", "]]>", "&a;", "&#0;", "&", "<x:y z:b='1'>", "</x:y>"),
    *("http://h.test/", "\x01", "ü", "<", ">"),
)  # fmt: skip
#: The same number of examples everywhere, so that it takes the same few seconds everywhere.
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)


def check(body, content_type, label, *, main_text=False):
    """Read a body in every way a crawl can; a record of it can be written."""
    reading = Reading(
        main_text=main_text, extract=lambda page: Extracted({"n": len(page.tree.css("a"))}), max_bytes=100_000
    )
    if body.startswith(b"\x1f\x8b"):
        # What is compressed may be broken or too large, and says so.
        with suppress(FinalFetchError):
            parse(URL, body, content_type, label, 20, reading=reading)
        return
    document = parse(URL, body, content_type, label, 20, reading=reading, sitemap=main_text)
    shared = set(document.__struct_fields__) & set(PageRecord.__struct_fields__)
    fields = {name: getattr(document, name) for name in shared}
    to_json(PageRecord("c", URL, "seed", None, 0, 1, "ok", **fields))


@FUZZ
@given(
    st.binary(max_size=2000),
    st.sampled_from(TYPES),
    st.sampled_from(LABELS) | st.text(max_size=12),
    st.booleans(),
)
def test_no_bytes_break_the_reading(body, content_type, label, main_text):
    """Any bytes under any type and label."""
    check(body, content_type, label, main_text=main_text)


@FUZZ
@given(st.data(), st.sampled_from(REAL), st.sampled_from(TYPES), st.booleans())
def test_no_damage_to_a_real_page_breaks_the_reading(data, body, content_type, main_text):
    """Pages, sitemaps and feeds with bytes changed, lost and doubled."""
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(changed)))
        changed[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    check(bytes(changed), content_type, data.draw(st.sampled_from(LABELS)), main_text=main_text)


@FUZZ
@given(st.lists(st.sampled_from(SOUP), max_size=60), st.sampled_from(TYPES), st.booleans())
def test_no_tag_soup_breaks_the_reading(parts, content_type, main_text):
    """Elements in any order, in text of any kind."""
    check("".join(parts).encode("utf-8"), content_type, None, main_text=main_text)


@FUZZ
@given(st.lists(st.sampled_from(XML), max_size=40), st.sampled_from(TYPES))
def test_no_xml_breaks_the_reading(parts, content_type):
    """Well-formed or not."""
    check("".join(parts).encode("utf-8"), content_type, None)


@FUZZ
@given(st.text(max_size=40))
def test_no_label_breaks_the_lookup(label):
    """A charset label is whatever a header holds."""
    assert lookup(label) is None or isinstance(lookup(label), str)


MEGABYTES = 10 * 1024 * 1024
DEAR = {
    "lt": (lambda: b"<" * MEGABYTES, "text/html"),
    "nested": (lambda: b"<div><b>" * (MEGABYTES // 8), "text/html"),
    "elements": (lambda: b"<p>" * (MEGABYTES // 3), "text/html"),
    "ends": (lambda: b"</x>" * (MEGABYTES // 4), "text/html"),
    "one attribute": (lambda: b"<a href='" + b"x" * MEGABYTES + b"'>", "text/html"),
    "attributes": (lambda: b"<p " + b"".join(b"a%d " % n for n in range(MEGABYTES // 9)), "text/html"),
    "links": (lambda: b"".join(b"<a href=/%d>" % n for n in range(700_000)), "text/html"),
    "open graph": (lambda: b"<meta property=og:x content=y>" * (MEGABYTES // 30), "text/html"),
    "json-ld": (lambda: b"<script type=application/ld+json>" + b"[" * 1_000_000 + b"</script>", "text/html"),
    "unclosed quotes": (lambda: b"<a '<b \"" * (MEGABYTES // 8), "text/html"),
    "late declaration": (lambda: b"<!--<a <meta" * (MEGABYTES // 12) + b"\xe4", "text/html"),
    "binary": (lambda: bytes(range(256)) * (MEGABYTES // 256), "text/html"),
    "gbk of nothing": (lambda: b"<meta charset=gbk>" + b"\x80" * MEGABYTES, "text/html"),
    "xhtml": (lambda: b"<a/>" * (MEGABYTES // 4), "application/xhtml+xml"),
    "deep xml": (lambda: b"<rss>" + b"<a>" * (MEGABYTES // 3), "application/xml"),
    "xml attributes": (lambda: b"<rss " + b"".join(b"a%d='' " % n for n in range(800_000)) + b"/>", "application/xml"),
    "ampersands": (lambda: b"<rss>" + b"&" * MEGABYTES, "application/xml"),
    "cdata": (lambda: b"<rss>&" + b"<![CDATA[" * (MEGABYTES // 9), "application/xml"),
    "prolog": (lambda: b"<!--<?<!DOCTYPE[" * (MEGABYTES // 16), "application/xml"),
    "one location": (lambda: b"<urlset><url><loc>" + b"x" * MEGABYTES, "application/xml"),
    "laughs": (
        lambda: b"<!DOCTYPE r [<!ENTITY l0 'ha'>"
        + b"".join(b"<!ENTITY l%d '%s'>" % (n + 1, b"&l%d;" % n * 10) for n in range(12))
        + b"]><urlset><url><loc>&l12;</loc></url></urlset>",
        "application/xml",
    ),
    "bomb": (lambda: gzip.compress(bytes(200_000_000), 1), "application/gzip"),
    "text of urls": (lambda: b"http://a\n" * (MEGABYTES // 9), "text/plain"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEAR)
def test_nothing_takes_longer_than_seconds(name):
    """CPU time of one body, main text included: what people send to hang a parser does not.

    Each takes up to 2 s on a quiet machine; what grows with the square of its length would take hours.
    """
    make, content_type = DEAR[name]
    body = make()
    begun = time.thread_time()
    with suppress(FinalFetchError):
        parse(URL, body, content_type, None, 10_000, reading=Reading(main_text=True), sitemap=True)

    assert time.thread_time() - begun < 20


#: Parses one page in a process of its own and prints what that process came to, in MB.
MEASURE = """
import pathlib, re, resource, sys
from worker.parse import Reading, parse
kind, encoding = sys.argv[1:]
unit = {
    "links": '<li><a href="/path/page-{0:07d}.html?x=1">中文标题 {0} läuft</a></li>\\n',
    "text": "<p>" + "中文维基百科是维基百科协作计划的中文版本于正式成立。The pool opens at six. " * 8 + "{0}</p>\\n",
}[kind]
most = 10 * 1024 * 1024
body = bytearray(f"<!doctype html><meta charset={encoding}><title>x</title>".encode())
number = 0
while len(body) < most - 2000:
    body += unit.format(number).encode(encoding, "replace")
    number += 1
document = parse("http://h.test/", bytes(body), "text/html", None, 10_000, reading=Reading(main_text=True))
assert document.text_length > 2_000_000 and len(document.links) == (10_000 if kind == "links" else 0)
assert document.text
# Linux hands the peak of whoever forked to the child in ru_maxrss, but not in VmHWM.
status = pathlib.Path("/proc/self/status")
if status.exists():
    print(int(re.search("VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.parametrize("kind", ["links", "text"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_a_page_of_ten_megabytes_takes_at_most_300(kind, encoding):
    """The whole process, interpreter, page and main text included."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, encoding],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip

    assert float(done.stdout) < 300
