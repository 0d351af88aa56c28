"""Reading pages: encodings, sitemaps, feeds, metadata, main text, and what is recorded and not read."""

from __future__ import annotations

import gzip

HOST = "reading.test"
OPTIONS = ("--text",)

#: Path -> (encoding of the bytes, what the header says, title that must be read, encoding that was used).
ENCODED = {
    "/gbk": ("gbk", "text/html; charset=GB2312", "游泳池€", "gb18030"),
    "/shift-jis": ("cp932", "text/html; charset=Shift_JIS", "プール①", "shift_jis"),
    "/euc-kr": ("cp949", "text/html; charset=ks_c_5601-1987", "수영장 똠", "euc-kr"),
    "/lie": ("cp1252", "text/html; charset=utf-8", "Caf\ufffd", "utf-8"),
    "/unknown-label": ("utf-8", "text/html; charset=no-such", "Café", "utf-8"),
}
_LIE = "Café"
_TEXT = "The slow swimmer keeps to one lane, whatever the fast ones think of it, and nobody has to wait for anybody. "
_ARTICLE = f"<main><article><h1>Lanes</h1><p>{_TEXT * 5}</p></article></main>"
_URLSET = "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>{}</loc></url></urlset>"
_RSS = "<rss version='2.0'><channel><title>News</title><item><link>/from-rss</link></item></channel></rss>"
_ATOM = "<feed xmlns='http://www.w3.org/2005/Atom'><title>Blog</title><entry><link href='/from-atom'/></entry></feed>"
_HEAD = (
    '<meta property="og:title" content="Lanes"><meta property="og:image" content="/1.png">'
    '<meta property="og:image" content="/2.png"><script type="application/ld+json">{"@type": "Article"}</script>'
    '<script type="application/ld+json">{broken</script><meta http-equiv=content-language content=en>'
)
_LEAVES = ("/from-map", "/from-rss", "/from-atom")
_PAGES = ("/index.xml", "/rss", "/atom", "/article", "/plain", "/file.pdf", "/other.xml", "/bomb.xml.gz")
_LINKS = (*ENCODED, *_PAGES)


def _bodies(origin):
    """Return path -> (body, content type) of what is not in ENCODED."""
    return {
        "/": ("".join(f"<a href={path}>x</a>" for path in _LINKS), "text/html"),
        "/index.xml": (f"<sitemapindex><sitemap><loc>{origin}/map.xml.gz</loc></sitemap></sitemapindex>", "text/xml"),
        "/map.xml.gz": (gzip.compress(_URLSET.format(f"{origin}/from-map").encode()), "application/octet-stream"),
        "/bomb.xml.gz": (gzip.compress(bytes(12 * 1024 * 1024)), "application/gzip"),
        "/rss": (_RSS, "application/rss+xml"),
        "/atom": (_ATOM, "text/html"),
        "/article": (f"<title>A</title>{_HEAD}<nav><a href=/>Navigation</a></nav>{_ARTICLE}", "text/html"),
        "/plain": (" plain <a href=/no>  text ", "text/plain"),
        "/file.pdf": (b"%PDF-1.7 <a href=/no>", "application/pdf"),
        "/other.xml": ("<catalog><a href='/no'/></catalog>", "application/xml"),
        **dict.fromkeys(_LEAVES, ("<title>leaf</title>", "text/html")),
    }  # fmt: skip


def answer(request):
    """A page of each kind."""
    from website import Response

    if request.path in ENCODED:
        codec, content_type, title, _ = ENCODED[request.path]
        title = _LIE if request.path == "/lie" else title
        # Python's gbk has no euro; 0x80 is the one that Windows writes.
        body = f"<title>{title}</title>".encode(codec, "ignore")
        return Response(
            body.replace("游泳池".encode("gbk"), "游泳池".encode("gbk") + b"\x80"), content_type=content_type
        )
    found = _bodies(f"http://{HOST}:{request.port}").get(request.path)
    if found is None:
        return Response("no such page", 404)
    return Response(found[0], content_type=found[1])


def test_titles_are_read_in_the_encoding_that_is_declared(crawled):
    """Chinese, Japanese and Korean by the standard's labels; a lie is read as a browser reads it."""
    records = {path: crawled.record(HOST, path) for path in ENCODED}

    assert {path: (title, used) for path, (_, _, title, used) in ENCODED.items()} == {
        path: (record["title"], record["charset"]) for path, record in records.items()
    }


def test_sitemaps_and_feeds_lead_on(crawled):
    """An index, a compressed sitemap, RSS, and Atom that calls itself HTML."""
    kinds = {
        path: crawled.record(HOST, path)["kind"] for path in ("/index.xml", "/map.xml.gz", "/rss", "/atom")
    }

    assert {"/index.xml": "sitemap", "/map.xml.gz": "sitemap", "/rss": "feed", "/atom": "feed"} == kinds
    assert ["ok"] * 3 == [crawled.record(HOST, path)["outcome"] for path in _LEAVES]
    assert [crawled.url(HOST, "/from-map")] == crawled.record(HOST, "/map.xml.gz")["links"]
    assert "News" == crawled.record(HOST, "/rss")["title"]


def test_a_page_says_what_it_is(crawled):
    """Open Graph, JSON-LD without the broken block, language, main text without navigation."""
    record = crawled.record(HOST, "/article")

    assert {"title": "Lanes", "image": ["/1.png", "/2.png"]} == record["open_graph"]
    assert ([{"@type": "Article"}], "en", "html") == (record["json_ld"], record["lang"], record["kind"])
    assert record["text"].startswith("Lanes\n")
    assert "Navigation" not in record["text"]


def test_plain_text_is_read_and_leads_nowhere(crawled):
    """Markup in it is text."""
    record = crawled.record(HOST, "/plain")

    assert ("text", [], "plain <a href=/no>  text") == (record["kind"], record["links"], record["text"])
    assert len("plain <a href=/no> text") == record["text_length"]


def test_other_types_are_recorded_with_size_and_type(crawled):
    """Their body is not read, so nothing is found in it."""
    pdf, other, bomb = (crawled.record(HOST, path) for path in ("/file.pdf", "/other.xml", "/bomb.xml.gz"))

    assert ("skipped", "content_type", "application/pdf", 21, None) == (
        pdf["outcome"], pdf["reason"], pdf["content_type"], pdf["bytes"], pdf["kind"],
    )  # fmt: skip
    assert ("ok", None, []) == (other["outcome"], other["kind"], other["links"])
    assert ("failed", "too_large") == (bomb["outcome"], bomb["reason"])
    assert crawled.url(HOST, "/no") not in crawled.records
