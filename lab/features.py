"""What each feature of a crawl costs: CPU per page with and without it, in alternating runs on one site.

A feature that is on by default is switched off, one that is off by default is switched on; the difference to the plain
crawl is its price. Runs alternate, so that whatever else the machine does meets all of them alike, and medians count.
Beside them stand what a robots verdict, a canonical URL and a page of 10 MB cost (`lab.costs`).
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crawl import settings
from crawl.errors import ViolationError
from lab import costs, load
from lab.conditions import conditions
from lab.rig import Rig, Target
from lab.running import directory
from lab.site import generate
from lab.way import Way
from lab.webserver import serve
from worker import pools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.marks import Mark
    from lab.trial import Run

#: The row of the crawl that every other is compared with.
PLAIN = "plain crawl"
#: Rules for what the lab's pages have.
RULES = """\
heading:
  css: h1
paragraphs:
  css: p
  many: true
first_link:
  css: a
  attribute: href
  type: url
"""
RULES_FILE = "rules.yaml"
CREDENTIALS_FILE = "credentials.txt"


@dataclass(frozen=True)
class Feature:
    """One row: its name, the options that switch it, and whether they switch it off (then it is on by default)."""

    name: str
    options: tuple[str, ...] = ()
    switches_off: bool = False


FEATURES = (
    Feature("robots.txt", ("--robots", "ignore"), switches_off=True),
    Feature("traps and budgets", ("--traps", "ignore"), switches_off=True),
    Feature("pages per host", ("--max-pages-per-host", "1000000")),
    Feature("dropped query parameters", ("--drop-query", "utm_source", "--drop-query", "session")),
    Feature("request headers", ("--header", "Accept-Language: de, en;q=0.5")),
    Feature("cookies", ("--cookies",)),
    Feature("credentials", ("--credentials", CREDENTIALS_FILE)),
    Feature("sitemaps", ("--sitemaps",)),
    Feature("extraction rules (3)", ("--extract", RULES_FILE)),
    Feature("main text", ("--text",)),
)


@dataclass(frozen=True)
class Plan:
    """What to run: pages of the site, rounds, the pool of the two workers."""

    pages: int
    repeat: int
    pool: str = "threads"
    features: tuple[Feature, ...] = FEATURES
    keep: Path | None = None


@dataclass
class Result:
    """Worker CPU seconds per 1000 pages of every round, by feature, and the marks."""

    conditions: dict[str, Any]
    cpu: dict[str, list[float]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)

    def rows(self, features: tuple[Feature, ...] = FEATURES) -> list[dict[str, Any]]:
        """Return, per feature, its median and its price: what it adds to a crawl without it, as a share of that.

        Each round is compared with the plain crawl of the same round; the median of these differences counts.
        """
        plain = self.cpu[PLAIN]
        found: list[dict[str, Any]] = [_row(PLAIN, plain, None)]
        for one in features:
            runs = self.cpu.get(one.name)
            if not runs:
                continue
            pairs = list(zip(plain, runs, strict=True))
            if one.switches_off:
                pairs = [(without, with_) for with_, without in pairs]
            found.append(_row(one.name, runs, statistics.median(b / a - 1 for a, b in pairs)))
        return found

    def row(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return {
            "conditions": self.conditions,
            "features": self.rows(),
            "marks": [mark.row() for mark in self.marks],
        }


def _row(name: str, runs: list[float], share: float | None) -> dict[str, Any]:
    return {
        "feature": name,
        "cpu_s_per_1000": round(statistics.median(runs), 3),
        "least": round(min(runs), 3),
        "most": round(max(runs), 3),
        "share": None if share is None else round(share, 4),
    }


def run(plan: Plan, say: Callable[[str], None]) -> Result:
    """Crawl the site once per feature and round.

    Raises UsageError for a wrong setting, UnavailableError when something does not start, ViolationError when a crawl
    was not clean.
    """
    own = settings.load()
    result = Result({"pages": plan.pages, "repeat": plan.repeat, "pool": plan.pool, **conditions()})
    say("single costs: a robots verdict, a canonical URL, a page of 10 MB")
    result.marks = costs.marks()
    way = Way(plan.pool, pools.TABLE[plan.pool].default_concurrency(), processes=2, batch=own.batch)
    rows = (Feature(PLAIN), *plan.features)
    result.cpu = {one.name: [] for one in rows}
    with directory(plan.keep) as place:
        site = generate(place / "www", plan.pages)
        with serve(site.root, place / "server") as server:
            alone = load.measure(load.of_site(server.port, plan.pages))
            target = Target((server.url,), plan.pages, plan.pages)
            for number in range(1, plan.repeat + 1):
                # Every second round backwards: a machine that grows slower burdens no row more than another.
                for one in rows if number % 2 else rows[::-1]:
                    measured = _crawl(one, way, target, place / f"{one.name.replace(' ', '-')}-{number}")
                    load.require_headroom(alone, measured.pages_s, one.name)
                    cpu = 1000 * measured.worker_cpu_s / measured.pages
                    result.cpu[one.name].append(cpu)
                    say(f"round {number} of {plan.repeat}: {one.name} {cpu:.3f} worker CPU s/1000")
    return result


def _crawl(one: Feature, way: Way, target: Target, place: Path) -> Run:
    """Crawl once. Raises ViolationError when what came of it is not the site."""
    files = {
        RULES_FILE: RULES,
        CREDENTIALS_FILE: f"{target.seeds[0].rstrip('/')} basic lab:none\n",
    }
    place.mkdir(parents=True, exist_ok=True)
    options = []
    for option in one.options:
        if option in files:
            path = place / option
            path.write_text(files[option])
            path.chmod(0o600)
            options.append(str(path))
        else:
            options.append(option)
    # A sitemap that is not there is a record of its own.
    extra = 1 if "--sitemaps" in options else 0
    wanted = Target(target.seeds, target.records + extra, target.good)
    with Rig(one.name, way, wanted, place / "state", crawl_options=options) as rig:
        measured = rig.run()
    if measured.invalid is not None:
        message = f"{one.name}: {measured.invalid}"
        raise ViolationError(message)
    return measured
