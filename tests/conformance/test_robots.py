"""robots.txt: Google's cases, Protego's own, and thousands of real files, against `worker.robots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import theirs
from deviations import Tally

from crawl.urls import join
from worker.robots import Rules

if TYPE_CHECKING:
    import types

pytestmark = pytest.mark.timeout(600)

#: Cases give paths too; we are only ever asked about whole URLs.
_ORIGIN = "http://robots.test/"


def _allowed(rules: Rules, agent: str, url: str) -> bool:
    """Return whether we would ask: never for what is no http(s) URL."""
    target = join(_ORIGIN, url)
    return target is not None and rules.allowed(target, agent)


def _verdicts(found: types.ModuleType):
    """Yield (test, row) of every parametrised test that gives robots.txt, agent, URL and verdict."""
    for name, test in vars(found).items():
        for mark in getattr(test, "pytestmark", ()) if name.startswith("test_") else ():
            if mark.name == "parametrize" and mark.args[0] == "robots_txt,agent,path,allowed":
                yield from ((name.removeprefix("test_"), row) for row in mark.args[1])


@pytest.mark.parametrize(
    "file", ["test_google.py", "test_google_correctness.py", "test_google_stress.py", "test_robots.py"]
)
def test_google_s_cases_get_google_s_verdicts(sources, file):
    """From Google's parser and its conformance suite, as robotspy keeps them (test_robots: Python's and its own)."""
    verdicts = {"ALLOWED": True, "DISALLOWED": False}
    agents = {"FOOBOT_AGENT": "FooBot", "DEFAULT_AGENT": "test_robotparser"}
    core = theirs.stand_in("theirs.core", **verdicts, **agents)
    found = theirs.module(sources("robotspy") / "tests" / file, core, theirs.stand_in("robots"))
    tally = Tally(f"robots-{file.removeprefix('test_').removesuffix('.py').replace('_', '-')}")
    for name, (body, agent, url, allowed) in _verdicts(found):
        tally.case(
            f"{name}: {agent or 'no name'} {url or 'no URL'}",
            allowed,
            _allowed(Rules.from_text(body.encode()), agent, url),
        )

    tally.verify()


class _Protego:
    """Our rules in the shape of Protego's, as far as its tests ask for what we have."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    @classmethod
    def parse(cls, content: str) -> _Protego:
        if isinstance(content, bytes):
            raise theirs.NotOurs("text")
        return cls(Rules.from_text(content.encode()))

    def can_fetch(self, url: str, agent: str) -> bool:
        return _allowed(self._rules, agent, url)

    def crawl_delay(self, agent: str) -> float | None:
        return self._rules.crawl_delay(agent)

    def __getattr__(self, name: str) -> object:
        raise theirs.NotOurs(name)


@pytest.mark.parametrize(
    ("suite", "file"),
    [("robots-protego", "test_protego.py"), ("robots-protego-google", "test_on_google_spec.py")],
)
def test_protego_s_own_tests_hold_for_us(sources, suite, file):
    """Each test function is a case, but for those about rates, times of visit and preferred hosts: none is read."""
    path = sources("protego") / "tests" / file
    stand_ins = (theirs.stand_in("protego", Protego=_Protego), theirs.stand_in("protego._utils"))
    tally = Tally(suite)
    for name, call in theirs.tests(theirs.module(path, *stand_ins)):
        if (passes := theirs.passes(call)) is not None:
            tally.case(name, True, passes)

    tally.verify()


def _questions(body: str) -> list[str]:
    """Return the root and up to six paths that the rules of a file speak of, where stars stand for something."""
    found = (
        line.partition(":")[2].partition("#")[0].strip() for line in body.splitlines() if "allow" in line
    )
    paths = (path.replace("*", "x").rstrip("$") for path in found if path.startswith("/"))
    return ["/", *list(dict.fromkeys(paths))[:6]]


def test_real_robots_txt_are_read_as_protego_reads_them(sources):
    """Files of thousands of websites, each asked about what its own rules name, for us and for a crawler it knows."""
    protego = theirs.imported("protego", sources("protego") / "src" / "protego")
    tally = Tally("robots-real")
    for path in sorted((sources("protego") / "tests" / "test_data").iterdir()):
        content = path.read_bytes()
        body = content.decode("utf-8-sig", "replace")
        rules, parser = Rules.from_text(content), protego.Protego.parse(body)
        for agent in ("poolcrawl", "googlebot"):
            asked = [(page, join(_ORIGIN, page)) for page in _questions(body)]
            wanted = [page for page, url in asked if url and not parser.can_fetch(url, agent)]
            actual = [page for page, url in asked if url and not rules.allowed(url, agent)]
            tally.case(f"{path.name} {agent}", wanted, actual)

    tally.verify()
