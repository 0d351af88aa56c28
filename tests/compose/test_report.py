"""The lab's report in a real browser, without a network. Needs Chromium, but no containers."""

from __future__ import annotations

import pytest
from compose.browser import chromium
from labresult import GRID_WAYS, result, trial
from playwright.sync_api import sync_playwright

from lab.report.html import write_report

_PHONE = {"width": 360, "height": 740}
_DESK = {"width": 1280, "height": 900}

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on PATH to look at the report with")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A report with everything in it: lines, bars, timelines, an invalid trial."""
    made = result(ways=GRID_WAYS, workloads=("web", "heavy"), timelines=("heavy",))
    made["trials"] += [
        {**trial("lan", way), "workload": "a <b>long</b> name of a workload"} for way in GRID_WAYS[:2]
    ]
    made["trials"][0] = trial("web", GRID_WAYS[0], invalid="its digest differs " + "x" * 200)
    return write_report(made, tmp_path_factory.mktemp("report") / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    """One browser for all pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def shown(browser, address):
    """Return a function that opens the report offline; whatever the page asks for or complains about is kept."""
    contexts = []

    def show(viewport, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(address)
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("viewport", [_PHONE, _DESK], ids=["phone", "desk"])
def test_the_report_opens_offline_and_asks_for_nothing(shown, address: str, viewport) -> None:
    """One request, for the file itself; a page of data URLs or less beside it; no complaint of the browser."""
    page = shown(viewport)

    assert [address] == [url for url in page.asked if not url.startswith("data:")]
    assert [] == page.complaints


@pytest.mark.parametrize("viewport", [_PHONE, _DESK], ids=["phone", "desk"])
def test_the_page_is_not_wider_than_its_window(shown, viewport) -> None:
    """Tables scroll in boxes of their own; a phone shows the page without sideways scrolling."""
    page = shown(viewport)
    wide, box = page.evaluate(
        "() => [document.documentElement.scrollWidth,"
        " Math.max(...[...document.querySelectorAll('.scroll')].map(box => box.scrollWidth - box.clientWidth))]"
    )

    assert wide <= viewport["width"]
    assert box > 0


@pytest.mark.parametrize("viewport", [_PHONE, _DESK], ids=["phone", "desk"])
def test_pictures_fill_their_place_and_their_text_can_be_read(shown, viewport) -> None:
    """Each visible SVG is as wide as its figure; the median text in it is at least 9 pixels high, none below 6."""
    page = shown(viewport)
    pictures = page.evaluate(_PICTURES)
    sizes = sorted(size for picture in pictures for size in picture["sizes"])

    assert 4 * 3 + 3 == len(pictures)  # four charts of three workloads, and three timelines
    assert all(picture["width"] > 250 and picture["height"] > 80 for picture in pictures)
    assert all(picture["width"] <= viewport["width"] for picture in pictures)
    assert sizes[len(sizes) // 2] >= 9
    assert sizes[0] >= 6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_readers_scheme(shown, scheme: str) -> None:
    """Paper is light or dark as asked, and the text of page and pictures stands out from it by 4.5 to 1."""
    page = shown(_DESK, scheme)
    paper, inks = page.evaluate(_COLOURS)

    assert (_luminance(paper) > 0.8) is (scheme == "light")
    assert (_luminance(paper) < 0.05) is (scheme == "dark")
    assert len(inks) > 3
    for ink in inks:
        low, high = sorted((_luminance(paper), _luminance(ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, ink


def test_the_contents_lead_to_their_sections(shown) -> None:
    """A click on each entry shows its heading."""
    page = shown(_DESK)
    for link in page.locator("nav a").all():
        link.click()
        target = page.evaluate("() => document.querySelector(':target > h2').getBoundingClientRect().top")

        assert 0 <= target <= _DESK["height"]


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(", ")]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


_PICTURES = """() => [...document.querySelectorAll('figure svg')].filter(svg => svg.checkVisibility()).map(svg => {
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const sizes = [...svg.querySelectorAll('text')].map(text => parseFloat(getComputedStyle(text).fontSize) * scale);
    return {width: box.width, height: box.height, sizes};
})"""

_COLOURS = """() => {
    const texts = [...document.querySelectorAll('svg text, h1, h2, p, td, th')];
    const inks = texts.map(each => {
        const style = getComputedStyle(each);
        return each.tagName === 'text' ? style.fill : style.color;
    });
    return [getComputedStyle(document.body).backgroundColor, [...new Set(inks)]];
}"""
