"""What a complete crawl of the site with the default seed has to record; tests compare records with it.

Assumes the demo crawl's options: seed `SEED_URL`, scope domain, robots obeyed, body cap 10 MiB, ten
redirects, at least two attempts, a total timeout that the slow pages (below 3 s) keep and the dripping ones
do not.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from demo.behaviours import behaviours, slow_pages
from demo.chance import DEFAULT_SEED
from demo.misbehaviour import MISBEHAVIOURS
from demo.site import DemoSite

if TYPE_CHECKING:
    from demo.behaviour import Verdict


def expected_records(seed: int = DEFAULT_SEED) -> dict[str, Verdict]:
    """Return outcome and reason for every canonical URL that a complete crawl admits."""
    return dict(DemoSite(seed).verdicts)


def expected_counts(seed: int = DEFAULT_SEED) -> Counter[Verdict]:
    """Return how many records a complete crawl has of each outcome and reason."""
    return Counter(expected_records(seed).values())


#: Pages named after their behaviour, ordinary or rough: canonical URL -> (outcome, reason).
EXPECTED: dict[str, Verdict] = {
    **{each.url: each.verdict for each in [*behaviours(), *slow_pages()] if each.verdict is not None},
    **{each.url: (each.outcome, each.reason) for each in MISBEHAVIOURS},
}

#: URLs that are served but that no correct crawl asks for.
NEVER_ASKED = tuple(each.url for each in behaviours() if each.verdict is None)

#: Titles that are only read right if the page's encoding is.
TITLES: dict[str, str] = {each.url: each.title for each in behaviours() if each.title is not None}

#: Failures that are asked for again: each costs as many requests as the crawl allows attempts.
RETRIED = (
    *(each.url for each in MISBEHAVIOURS if each.transient),
    *(each.url for each in behaviours() if each.path == "/server-error"),
)
#: Pages that fail once and then answer: each costs two requests.
RECOVERING = tuple(each.url for each in behaviours() if each.path.startswith("/flaky/"))
