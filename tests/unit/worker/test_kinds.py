"""What is read besides HTML: sitemaps, feeds, XHTML, plain text; and what is not."""

from __future__ import annotations

import gzip

import pytest

from crawl.errors import FinalFetchError
from worker.parse import Reading, kinds, parse, xml

URL = "http://h.test/dir/map.xml"
URLSET = """<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"
  xmlns:xhtml="http://www.w3.org/1999/xhtml">
<url><loc> http://h.test/a?x=1&amp;y=2 </loc><lastmod>2026-01-01</lastmod><image:image><image:loc>http://h.test/a.png</image:loc>
</image:image></url><url><loc><![CDATA[http://h.test/b]]></loc><xhtml:link rel="alternate" hreflang="de" href="http://h.test/de/b"/>
</url><url><loc>http://h.test/b#again</loc></url></urlset>"""
INDEX = """<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>http://h.test/1.xml.gz</loc>
</sitemap><sitemap><loc>/2.xml</loc></sitemap></sitemapindex>"""
RSS = """<?xml version="1.0"?><rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel>
<title>News &amp; more</title>
<link>http://h.test/</link><atom:link rel="self" href="http://h.test/rss"/><atom:link rel="next" href="/rss?page=2"/>
<description>All of it</description><language>en</language>
<image><title>logo</title><link>http://h.test/logo</link></image>
<item><title>One</title><link>/one</link><guid>http://h.test/guid-of-one</guid><enclosure url="http://h.test/one.mp3"/></item>
<item><title>Two</title><guid>http://h.test/two</guid></item>
<item><title>Three</title><guid isPermaLink="false">http://h.test/no</guid><comments>http://h.test/no</comments></item>
</channel></rss>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
  xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="http://h.test/"><title>RDF</title><link>http://h.test/</link>
<description>d</description><dc:language>fr</dc:language></channel><item rdf:about="x"><title>t</title><link>http://h.test/x</link>
</item></rdf:RDF>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de" xml:base="http://h.test/blog/"><title>Blog</title>
<subtitle>Of us</subtitle><link rel="self" href="feed"/><link href="."/><entry xml:base="2026/"><title>E</title>
<link rel="alternate" type="text/html" href="one"/><link rel="enclosure" href="one.mp3"/><content type="xhtml">
<a href="/no">no</a></content><source><link href="http://elsewhere.test/"/></source></entry>
<entry><link href="two"/></entry></feed>"""


def read(markup, content_type="application/xml", url=URL, charset=None, **how):
    """Return the document of a body."""
    return parse(
        url, markup if isinstance(markup, bytes) else markup.encode(), content_type, charset, 100, **how
    )


def paths(document):
    """Return the links without their origin."""
    return [link.removeprefix("http://h.test") for link in document.links]


@pytest.mark.parametrize(
    "content_type", ["application/xml", "text/xml", "text/html", "application/octet-stream", None]
)
def test_a_sitemap_is_known_by_its_root(content_type):
    """Locations and other languages of them, each once, in document order; pictures are passed over."""
    document = read(URLSET, content_type)

    assert (document.kind, document.charset) == ("sitemap", "utf-8")
    assert paths(document) == ["/a?x=1&y=2", "/b", "/de/b"]


def test_a_sitemap_index_leads_to_sitemaps():
    """Its links are theirs."""
    document = read(INDEX)

    assert (document.kind, paths(document)) == ("sitemap", ["/1.xml.gz", "/2.xml"])


def test_a_sitemap_with_a_prefix_is_one():
    """Its elements have the root's prefix."""
    markup = '<s:urlset xmlns:s="http://www.sitemaps.org/schemas/sitemap/0.9"><s:url><s:loc>/x</s:loc></s:url></s:urlset>'

    assert paths(read(markup)) == ["/x"]


@pytest.mark.parametrize(
    "content_type", ["application/gzip", "application/x-gzip", "application/octet-stream", "text/xml"]
)
def test_a_compressed_sitemap_is_unpacked(content_type):
    """A gzip file may have members."""
    half = len(URLSET) // 2
    packed = gzip.compress(URLSET[:half].encode()) + gzip.compress(URLSET[half:].encode())

    assert paths(read(packed, content_type)) == ["/a?x=1&y=2", "/b", "/de/b"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b"<urlset>" + b" " * 20_000, mtime=0), "too_large"),
        (gzip.compress(URLSET.encode(), mtime=0)[:-12], "decode"),
        (b"\x1f\x8b\x08\x00broken", "decode"),
    ],
)
def test_a_broken_or_exploding_sitemap_says_so(body, reason):
    """What is unpacked stays under the cap of a body."""
    with pytest.raises(FinalFetchError) as failed:
        read(body, "application/gzip", reading=Reading(max_bytes=10_000))
    assert failed.value.reason == reason


def test_a_sitemap_has_a_limit_of_its_own():
    """50,000 URLs, whatever a page may have."""
    markup = (
        "<urlset>" + "".join(f"<url><loc>/{number}</loc></url>" for number in range(50_010)) + "</urlset>"
    )

    assert len(read(markup).links) == xml.MAX_SITEMAP_URLS


@pytest.mark.parametrize(
    ("lines", "sitemap", "expected"),
    [
        ("http://h.test/a\n\r\n http://h.test/b \n", True, ("sitemap", ["/a", "/b"])),
        ("http://h.test/a\nhttp://h.test/b\n", False, ("text", [])),
        ("http://h.test/a is a page\n", True, ("sitemap", ["/a%20is%20a%20page"])),
        ("http://h.test/a\nsome text", True, ("text", [])),
        ("", True, ("text", [])),
    ],
)
def test_a_text_of_nothing_but_urls_is_a_sitemap_where_one_is_expected(lines, sitemap, expected):
    """Elsewhere a text is a text."""
    document = read(lines, "text/plain", sitemap=sitemap)

    assert (document.kind, paths(document)) == expected


@pytest.mark.parametrize("content_type", ["application/rss+xml", "text/xml", "text/html", None])
def test_an_rss_feed_gives_its_entries_links(content_type):
    """Channel and entries; a permalink where an entry has no link; no pictures, enclosures, comments."""
    document = read(RSS, content_type)

    assert (document.kind, document.title, document.description, document.lang) == (
        "feed", "News & more", "All of it", "en",
    )  # fmt: skip
    assert paths(document) == ["/", "/rss?page=2", "/one", "/two"]


def test_an_rdf_feed_is_a_feed():
    """RSS 1.0 and 0.90: the entries stand beside the channel."""
    document = read(RDF, "application/rdf+xml")

    assert (document.kind, document.title, document.lang, paths(document)) == (
        "feed",
        "RDF",
        "fr",
        ["/", "/x"],
    )


def test_an_atom_feed_gives_its_entries_links():
    """xml:base counts, on the feed and on an entry; links inside of content and sources do not."""
    document = read(ATOM, "application/atom+xml")

    assert (document.kind, document.title, document.description, document.lang) == (
        "feed",
        "Blog",
        "Of us",
        "de",
    )
    assert paths(document) == ["/blog/", "/blog/2026/one", "/blog/two"]


def test_the_limit_of_links_holds_for_feeds():
    """A feed is no sitemap."""
    items = "".join(f"<item><link>/{number}</link></item>" for number in range(200))

    assert len(read(f"<rss><channel>{items}</channel></rss>").links) == 100


@pytest.mark.parametrize(
    "markup",
    [
        "\n <?xml version='1.0'?><rss><channel><item><link>/x?a=1&b=2</link></item></channel></rss>",
        "<rss><channel><title>&nbsp;&copy; AT&T &#0;&bogus;\x07</title><item><link>/x?a=1&b=2</link></item></channel>",
        "<rss><channel><title>&</title><item><link><![CDATA[/x?a=1&b=2]]></link></item></channel></rss>",
        "<rss><channel><item><link>/x?a=1&amp;b=2</link></item></chan>",
        "<rss><channel><item><link>/x?a=1&amp;b=2</link></item><item><link>/y",
        '<!DOCTYPE rss [<!ENTITY e "/no">]><rss><channel><item><link>/x?a=1&amp;b=2</link></item></channel></rss>',
        "<rss xmlns:q='q'><channel><z:b/><item><q:link>/no</q:link><link>/x?a=1&amp;b=2</link></item></channel></rss>",
    ],
)
def test_feeds_as_people_write_them_are_read(markup):
    """Ampersands, entities of HTML, unknown prefixes, an end that is missing: what is there counts."""
    assert paths(read(markup)) == ["/x?a=1&b=2"]


def test_names_of_characters_are_those_of_html():
    """RSS writers use them, and XML does not know them."""
    assert (
        read("<rss><channel><title>caf&eacute; &amp; &lt;b&gt; &#x41;&AMP;</title></channel></rss>").title
        == "café & <b> A&"
    )


def test_no_entity_is_expanded_and_nothing_is_loaded():
    """Billion laughs, files and other servers: none of them has an effect."""
    laughs = (
        '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title></channel></rss>'
    )
    file = '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/hostname">]><rss><channel><title>&f;</title></channel></rss>'

    assert ("&b;", "&f;") == (read(laughs).title, read(file).title)


def test_xml_that_is_neither_is_recorded_and_not_read():
    """No kind, no links."""
    document = read("<?xml version='1.0'?><catalog><link>http://h.test/x</link><a href='/y'/></catalog>")

    assert (document.kind, document.links, document.text_length) == (None, [], None)


@pytest.mark.parametrize(
    ("declaration", "label", "encoding"),
    [
        ('<?xml version="1.0" encoding="gbk"?>', None, "gb18030"),
        ('<?xml version="1.0" encoding="utf-8"?>', "gb18030", "gb18030"),
        ('<?xml version="1.0"?>', None, "utf-8"),
        ('<?xml version="1.0" encoding="no-such"?>', None, "utf-8"),
        ('<?xml version="1.0" encoding="Shift_JIS"?>', None, "shift_jis"),
        ('<?xml version="1.0" encoding="utf-16"?>', None, "utf-16"),
    ],
)
def test_the_encoding_of_xml_is_found(declaration, label, encoding):
    """BOM, header, XML declaration, UTF-8."""
    codec = {"shift_jis": "cp932"}.get(encoding, encoding)
    document = read(
        f"{declaration}<rss><channel><title>中文</title></channel></rss>".encode(codec), charset=label
    )

    assert document.title == "中文"


def test_utf16_without_a_mark_is_seen():
    """`<?x` in two bytes each."""
    body = '<?xml version="1.0"?><rss><channel><title>中</title></channel></rss>'

    assert ["中", "中"] == [read(body.encode(codec)).title for codec in ("utf-16-le", "utf-16-be")]


@pytest.mark.parametrize("content_type", ["application/xhtml+xml", "application/xml"])
def test_xhtml_ends_elements_as_xml_does(content_type):
    """A script or title that ends at once does not swallow the page."""
    markup = (
        '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://w3.test/x.dtd">'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="fr"><head><script src="a>b.js" /><title>T</title></head>'
        '<body><a id="x"/><div/><br/><a href="/y">y</a></body></html>'
    )
    document = read(markup, content_type)

    assert (document.kind, document.title, document.lang, paths(document)) == ("html", "T", "fr", ["/y"])
    assert document.text_length == 1


def test_bytes_without_a_type_that_are_no_text_are_not_read():
    """A picture or a PDF gives no links and no text."""
    document = read(b"%PDF-1.7\n\x00\x01<a href=/no>", None)

    assert (document.kind, document.links, document.text_length) == (None, [], None)
    assert read("plain", None).kind == "html"


@pytest.mark.parametrize(
    ("content_type", "url", "expected"),
    [
        ("text/html", "http://h.test/", True),
        (None, "http://h.test/", True),
        ("application/rss+xml", "http://h.test/", True),
        ("application/pdf", "http://h.test/", False),
        ("image/svg+xml", "http://h.test/", False),
        ("application/json", "http://h.test/map.xml.gz", False),
        ("application/gzip", "http://h.test/map.xml.gz", True),
        ("application/octet-stream", "http://h.test/MAP.XML.GZ?x=1", True),
        ("application/gzip", "http://h.test/dump.tar.gz", False),
        ("application/octet-stream", "http://h.test/?map.xml.gz", False),
    ],
)
def test_what_is_read_follows_from_type_and_path(content_type, url, expected):
    """Everything else is recorded with size and type."""
    assert kinds.readable(content_type, url) is expected
