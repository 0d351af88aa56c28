"""URLs as pages write them, in every pool: one resource is asked for once; no record holds what must not be kept."""

from __future__ import annotations

from website import Response

HOST = "urls.test"
IDN = "xn--bcher-kva.test"
SEEDS = ("/?urls_sid=0", "/idn")
OPTIONS = ("--drop-query", "urls_sid")


def answer(request):
    """The start page has a base element; everything it links to lies below /d/."""
    here = f"{HOST}:{request.port}"
    if request.path == "/":
        return f"""<base href="/d/"><link rel=canonical href="//me:secret@{here}/?urls_sid=9">
            <a href="same">1</a><a href="./x/../same">2</a><a href="HTTP://URLS.Test:{request.port}/d/same#part">3</a>
            <a href="http://me:secret@{here}/d/s%61me">4</a><a href="/d/same?urls%5Fsid=7">5</a>
            <a href="other?urls_sid=1&amp;q=%7e+&amp;URLS_SID=2">6</a><a href="leads">7</a>
            <a href="{"l" * 5000}">8</a>"""
    if request.path == "/idn":
        return Response("", 302, headers=(("Location", f"http://b%C3%BCcher.test:{request.port}/"),))
    if request.path == "/d/leads":
        target = f"http://me:secret@{here}/d/./end?urls_sid=3#x"
        return Response("", 302, headers=(("Location", target),))
    return f"<title>{request.path}</title>"


def answer_idn(request):
    """Its links are written as people read them."""
    return (
        f'<a href="http://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.test:{request.port}/buch">a page</a>'
    )


HOSTS = {HOST: answer, IDN: answer_idn}


def _pages(crawled, host):
    """Another room's --sitemaps asks every host for one."""
    return [target for target in crawled.asked(host) if target != "/sitemap.xml"]


def test_one_page_written_in_five_ways_is_asked_for_once(crawled):
    """Case, dot segments, escapes, fragment, user name and the parameter that is dropped: by the server's own log."""
    asked = _pages(crawled, HOST)

    assert 1 == sum(target.startswith("/d/s") for target in asked)
    assert ["/", "/d/end", "/d/leads", "/d/other?q=~+&URLS_SID=2", "/d/same", "/idn"] == sorted(asked)


def test_a_record_lists_the_links_that_were_admitted(crawled):
    """Below the base element's URL, in document order, each once; a reference that is too long is none."""
    paths = ("/", "/d/same", "/d/other?q=~+&URLS_SID=2", "/d/leads")
    expected = [crawled.url(HOST, path) for path in paths]

    assert expected == crawled.record(HOST, "/")["links"]
    assert all(url in crawled.records for url in expected)


def test_a_host_in_another_script_is_asked_by_its_a_label(crawled):
    """Linked as it is written and redirected to percent-encoded: one host, its Host header in ASCII."""
    assert ["/", "/buch"] == sorted(_pages(crawled, IDN))
    assert crawled.url(IDN, "/") == crawled.record(HOST, "/idn")["redirect_to"]
    assert "ok" == crawled.record(IDN, "/buch")["outcome"]


def test_no_record_holds_a_user_name_or_a_dropped_parameter(crawled):
    """Neither as url, parent, redirect_to, canonical_link nor in links; and no such password is sent."""
    records = [record for url, record in crawled.records.items() if HOST in url or IDN in url]
    fields = ("url", "parent", "redirect_to", "canonical_link")
    told = [record[field] for record in records for field in fields if record[field]]
    told += [link for record in records for link in record["links"]]

    assert [] == [url for url in told if "@" in url or "urls_sid" in url or "#" in url]
    assert crawled.url(HOST, "/") == crawled.record(HOST, "/")["canonical_link"]
    assert crawled.url(HOST, "/d/end") == crawled.record(HOST, "/d/leads")["redirect_to"]
    assert not any("authorization" in one.headers for one in crawled.log if one.host == HOST)


def test_why_tells_of_every_url_of_the_crawl(crawled):
    """One reading verb after the crawl: what was merged, who links, where a redirect came from."""
    typed = crawled.url(HOST, "/d/./end?urls_sid=5#top")
    done = crawled.directory.run("why", typed, "--json")
    told = done.summary

    assert 0 == done.code
    assert crawled.url(HOST, "/d/end") == told["url"]
    assert ["/d/leads", "/d/end"] == [
        hop["url"].partition(str(crawled.site.port))[2] for hop in told["redirects"]
    ]
    assert ("redirect", 1, ["ok 200"]) == (
        told["via"],
        told["depth"],
        [one["result"] for one in told["attempts"]],
    )
