"""What a URL has waited for, told from the requests that were made meanwhile."""

from __future__ import annotations

import json

import standin

from crawl import keys
from poolcrawl.waits import waits


def _asked(frontier, reported_ms, *rows, hold_ms=None):
    """Write one batch of requests: (URL, host, kind, start, end, delay)."""
    told = [(*row, "w", "ok 200", 1) for row in rows]
    fields = {"a": json.dumps(told)} | ({} if hold_ms is None else {"h": hold_ms})
    frontier.client.xadd(keys.attempts(frontier.crawl), fields, id=f"{reported_ms}-*")


def test_a_wait_is_told_by_what_it_was_for(frontier, host):
    """robots.txt, the host's delay, a hold, the pause before another attempt, and the rest: together the whole wait."""
    frontier.create(standin.options())
    url, other = f"http://{host}/page", f"http://{host}/other"
    _asked(frontier, 1_300, (f"http://{host}/robots.txt", host, "robots", 1_100, 1_300, 0))
    _asked(frontier, 1_500, (other, host, "page", 1_400, 1_500, 400))
    _asked(frontier, 2_100, (other, host, "page", 2_000, 2_100, 0), hold_ms=2_600)
    _asked(frontier, 3_000, (url, host, "page", 2_900, 3_000, 0))
    _asked(frontier, 3_100, ("http://elsewhere.test/", "elsewhere.test", "page", 1_000, 3_100, 0))

    found = waits(frontier.client, url, 1_000, 3_800, [(2_900, 3_000)])

    assert {"robots": 300, "host": 600, "hold": 500, "pause": 800, "turn": 500} == {
        one.cause: one.ms for one in found
    }
    assert f"because {host} was on hold" in {one.what for one in found}


def test_a_wait_of_nothing_is_nothing(frontier, host):
    """Asked in the millisecond in which it was admitted."""
    frontier.create(standin.options())

    assert [] == waits(frontier.client, f"http://{host}/", 5_000, 5_000)
