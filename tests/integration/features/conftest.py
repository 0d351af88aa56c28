"""One real crawl per pool over all feature rooms: each `test_<feature>.py` beside this file owns one or more hosts.

A room is a module with `HOST` (or `HOSTS`, host -> answer), `answer(request)`, and, where wanted, `SEEDS` (paths, "/"
by default; on a further host as (host, path)), `OPTIONS` (further options of `poolcrawl crawl`) and `FILES` (name ->
text, put into its directory).
Rooms answer at once and are small, so that everything about all pools costs five short crawls.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from stack import POOLS, Directory
from website import Website

if TYPE_CHECKING:
    from types import ModuleType

    from stack import Done
    from website import Asked

#: Of every crawl here; rooms add theirs.
_OPTIONS = ("--delay", "0", "--concurrency", "4", "--json")


@dataclass(frozen=True)
class Crawled:
    """What one crawl came to."""

    pool: str
    site: Website
    done: Done
    records: dict[str, dict[str, Any]]
    audit: dict[str, Any]
    log: list[Asked]
    directory: Directory

    def url(self, host: str, path: str = "/") -> str:
        """Return the URL of a page of a room."""
        return self.site.url(host, path)

    def record(self, host: str, path: str = "/") -> dict[str, Any]:
        """Return the record of a page of a room."""
        return self.records[self.site.url(host, path)]

    def asked(self, host: str) -> list[str]:
        """Return what a room was asked for (paths with queries), in order, without what every site is asked for."""
        always = ("/robots.txt", "/sitemap.xml")
        return [one.target for one in self.log if one.host == host and one.target not in always]


@cache
def _rooms() -> tuple[ModuleType, ...]:
    found = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"rooms_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    return tuple(found)


def _answers() -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for room in _rooms():
        answers.update(getattr(room, "HOSTS", None) or {room.HOST: room.answer})
    return answers


def _crawl(pool: str, path: Path) -> Crawled:
    answers = _answers()
    # A room may bring a module that the workers import.
    directory = Directory(path, {"PYTHONPATH": str(path)})
    path.mkdir(parents=True, exist_ok=True)
    with Website(answers) as site:
        seeds: list[str] = []
        options: list[str] = []
        for room in _rooms():
            host = getattr(room, "HOST", None) or next(iter(room.HOSTS))
            seeds += [
                site.url(host, seed) if isinstance(seed, str) else site.url(*seed)
                for seed in getattr(room, "SEEDS", ("/",))
            ]
            options += getattr(room, "OPTIONS", ())
            for name, text in getattr(room, "FILES", {}).items():
                # A file may have to name the site's port.
                (path / name).write_text(text.replace("{port}", str(site.port)))
        try:
            done = directory.run(
                "crawl", *seeds, *_OPTIONS, *options, *site.resolve(*answers), "--pool", pool
            )
            assert done.code == 0, done.stderr
            records = {record["url"]: record for record in directory.records()}
            return Crawled(pool, site, done, records, directory.audit(), list(site.log), directory)
        finally:
            directory.end()


@cache
def _crawled(pool: str, path: Path) -> Crawled:
    return _crawl(pool, path)


@pytest.fixture(scope="session", params=POOLS)
def crawled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Crawled:
    """Return the crawl of all rooms in one pool; made once."""
    return _crawled(request.param, tmp_path_factory.getbasetemp() / f"features-{request.param}")
