"""Extraction by rules and by a function of one's own, in every pool."""

from __future__ import annotations

HOST = "extract.test"
SEEDS = ("/", "/raises")
OPTIONS = ("--extract", "rules.yaml", "--extractor", "room_extract:read")
FILES = {
    "rules.yaml": (
        "extract_price:\n  css: .extract-price\n  match: '([0-9.]+)'\n  type: number\n"
        "extract_tags:\n  css: .extract-tag\n  many: true\n"
        "extract_photo:\n  css: img.extract\n  attribute: src\n  type: url\n"
    ),
    "room_extract.py": (
        "def read(url, tree, data):\n"
        "    if '//extract.test' not in url:\n"
        "        return {}\n"
        "    if url.endswith('/raises'):\n"
        "        raise ValueError('on purpose')\n"
        "    return {'extract_doubled': data['extract_price'] and 2 * data['extract_price']}\n"
    ),
}

_PAGE = (
    "<title>tea</title><script>var notThis = 1</script><p class=extract-price>only 4.50</p>"
    "<i class=extract-tag>green</i><i class=extract-tag>loose</i><img class=extract src=/img/tea.jpg>"
)


def answer(request):
    """Two pages with values and one whose price is none."""
    if request.path in ("/", "/raises"):
        return f"{_PAGE}<a href=/odd>odd</a>"
    if request.path == "/odd":
        return "<title>odd</title><p class=extract-price>1.2.3</p>"
    return _missing()


def _missing():
    from website import Response

    return Response("no such page", 404)


def test_rules_and_the_function_fill_data(crawled):
    """Values of their types; the function saw what the rules had found."""
    assert {
        "extract_price": 4.5,
        "extract_tags": ["green", "loose"],
        "extract_photo": crawled.url(HOST, "/img/tea.jpg"),
        "extract_doubled": 9.0,
    } == crawled.record(HOST)["data"]


def test_a_value_of_another_type_is_null_and_told(crawled):
    """The page is as good as any other."""
    record = crawled.record(HOST, "/odd")

    assert ("ok", None) == (record["outcome"], record["data"]["extract_price"])
    assert "extraction: extract_price: '1.2.3' is not a number" == record["detail"]


def test_a_function_that_raises_costs_its_own_data(crawled):
    """What the rules found is kept, and the record says what happened."""
    record = crawled.record(HOST, "/raises")

    assert ("ok", 4.5) == (record["outcome"], record["data"]["extract_price"])
    assert "extractor room_extract:read: ValueError: on purpose" == record["detail"]
