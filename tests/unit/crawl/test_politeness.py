"""The politeness audit names what was asked too soon, too often at once, or while the host was held."""

from __future__ import annotations

import pytest

from crawl.politeness import Asked, Violation, violations


def _asked(
    start_ms: int,
    end_ms: int,
    *,
    host: str = "a.test",
    delay_ms: int = 100,
    cap: int | None = 1,
    hold_ms: int = 0,
    url: str = "",
) -> Asked:
    url = url or f"http://{host}/{start_ms}"
    return Asked(host, start_ms, end_ms, delay_ms, cap, hold_ms, end_ms, "crawl-1", url, f"worker-{start_ms}")


def test_requests_that_keep_their_distance_are_clean() -> None:
    """The delay counts from the end of one request to the start of the next."""
    rows = [_asked(0, 50), _asked(150, 900), _asked(1000, 1010), _asked(5, 60, host="b.test")]

    assert list(violations(rows)) == []


def test_a_gap_shorter_than_the_delay_is_named() -> None:
    """Host, both URLs, the gap, the delay in force and both workers."""
    rows = [_asked(0, 50), _asked(110, 150)]

    assert list(violations(rows)) == [
        Violation(
            kind="gap",
            host="a.test",
            urls=("http://a.test/0", "http://a.test/110"),
            gap_ms=60,
            delay_ms=100,
            cap=1,
            at_once=1,
            left_ms=0,
            at_ms=110,
            workers=("worker-0", "worker-110"),
            crawls=("crawl-1", "crawl-1"),
        )
    ]


def test_a_long_request_counts_until_its_end_whatever_came_between() -> None:
    """The gap is measured from the latest end, not from the request that began last."""
    rows = [_asked(0, 500, delay_ms=0, cap=2), _asked(10, 20, delay_ms=0, cap=2), _asked(550, 560)]

    (found,) = violations(rows)

    assert (found.kind, found.gap_ms, found.urls[0]) == ("gap", 50, "http://a.test/0")


def test_more_requests_at_once_than_the_cap_are_named() -> None:
    """At a host without delay the cap counts; at one with a delay, two at once are one too many."""
    without_delay = [_asked(at, 100, delay_ms=0, cap=3) for at in (0, 1, 2, 3)]
    with_delay = [_asked(0, 100, host="b.test"), _asked(50, 120, host="b.test")]

    found = [(one.kind, one.host, one.at_once, one.gap_ms) for one in violations(without_delay + with_delay)]

    assert found == [("overlap", "a.test", 4, -97), ("overlap", "b.test", 2, -50)]


def test_hosts_do_not_count_for_each_other() -> None:
    """Politeness is owed to a host."""
    rows = [_asked(0, 50), _asked(10, 60, host="b.test"), _asked(20, 70, host="c.test")]

    assert list(violations(rows)) == []


def test_a_request_during_a_hold_is_named_with_the_time_that_was_left() -> None:
    """A refusal holds its host until the time its report says."""
    rows = [_asked(0, 50, hold_ms=1050), _asked(400, 450), _asked(1050, 1100)]

    (found,) = violations(rows)

    assert (found.kind, found.urls, found.left_ms) == ("hold", ("http://a.test/0", "http://a.test/400"), 650)


@pytest.mark.parametrize(("start_ms", "kinds"), [(250, []), (400, ["hold"])])
def test_what_was_under_way_may_take_a_moment_to_hear_of_a_hold(start_ms: int, kinds: list[str]) -> None:
    """At a host without delay other batches are told, which takes up to `NOTICE_MS`."""
    rows = [_asked(0, 50, delay_ms=0, cap=8, hold_ms=1050), _asked(start_ms, start_ms + 9, delay_ms=0, cap=8)]

    assert kinds == [one.kind for one in violations(rows)]


def test_rounding_is_no_violation() -> None:
    """Times are whole milliseconds of two machines."""
    rows = [_asked(0, 50), _asked(148, 200)]

    assert list(violations(rows)) == []


def test_requests_of_an_older_release_have_no_cap_to_judge_by() -> None:
    """What is not known is not held against anybody."""
    rows = [_asked(at, 100, delay_ms=0, cap=None) for at in (0, 1, 2)]

    assert list(violations(rows)) == []
