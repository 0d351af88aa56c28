"""With a finite depth, levels are served strictly in order; without one there is a single level."""

from __future__ import annotations

import standin

from crawl import keys, names, results


def _levels(frontier):
    return {
        int(level): int(count)
        for level, count in frontier.client.hgetall(keys.levels(frontier.crawl)).items()
    }


def test_a_deeper_level_waits_for_the_last_record_of_the_one_above(frontier, host):
    """So every page gets its smallest depth, whatever the pool or the order of answers."""
    options = standin.options(depth=2, batch=1)
    seeds = standin.pages(f"a.{host}", 2)
    standin.admit(frontier, options, *seeds)
    first, second = standin.lease(frontier, options)
    standin.visit(frontier, first, options, found=standin.links(options, f"http://b.{host}/", depth=1))

    while_leased = standin.lease(frontier, options)
    standin.visit(frontier, second, options)
    after = standin.lease(frontier, options)

    assert while_leased == []
    assert [batch.url for batch in after] == [f"http://b.{host}/"]


def test_a_retry_holds_its_level(frontier, host):
    """A delayed URL has no record yet: the level below must not overtake it."""
    options = standin.options(depth=1, batch=1)
    standin.admit(frontier, options, f"http://{host}/")
    standin.admit(frontier, options, f"http://deeper.{host}/", depth=1)
    (batch,) = standin.lease(frontier, options)
    started = standin.start(frontier, batch, options)
    standin.fetched(frontier, started, options)
    loaded = standin.load(frontier, batch.lease, options)
    due_ms = standin.now_ms(frontier.client) + 300
    frontier.complete(
        batch.lease, [], [(loaded.requests[0], due_ms)], standin.links(options), options=options
    )

    early = frontier.lease(options, window=10, slots=4)
    standin.wait_until(frontier.client, due_ms)
    late = standin.lease(frontier, options)

    assert early.batches == []
    assert early.next_ms == due_ms
    assert [batch.url for batch in late] == [f"http://{host}/"]


def test_without_a_depth_limit_there_is_one_level(frontier, host):
    """Strict levels cost parallelism, so they are kept only where the limit makes the depth matter."""
    options = standin.options(depth=None, batch=1)
    standin.admit(frontier, options, f"http://a.{host}/", depth=0)
    standin.admit(frontier, options, f"http://b.{host}/", depth=7)

    assert len(standin.lease(frontier, options)) == 2
    assert _levels(frontier) == {0: 2}


def test_levels_count_what_has_no_record(frontier, host):
    """The count goes down with each record, never with a lease, a release or a retry."""
    options = standin.options(depth=1, batch=1)
    standin.admit(frontier, options, *standin.pages(host, 2))
    first, second = standin.lease(frontier, options)
    standin.fetched(frontier, standin.start(frontier, first, options), options, count=0)
    after_release = _levels(frontier)
    standin.visit(frontier, second, options)

    assert (after_release, _levels(frontier)) == ({0: 2}, {0: 1})


def test_a_suspect_of_a_deeper_level_waits_for_its_level(frontier, host):
    """New seeds may be added while a suspect waits deeper down; it keeps its own level and is not lost."""
    options = standin.options(depth=1, batch=1, lease_s=0.03)
    deep = f"http://deep.{host}/"
    standin.admit(frontier, options, deep, depth=1)
    (batch,) = standin.lease(frontier, options)
    standin.start(frontier, batch, options)
    standin.overdue(frontier)
    frontier.reap(options)
    calm = standin.options(depth=1, batch=1)
    standin.admit(frontier, calm, f"http://{host}/")

    (seed,) = standin.lease(frontier, calm)
    standin.visit(frontier, seed, calm)
    (suspect,) = standin.lease(frontier, calm)
    released = standin.fetched(frontier, standin.start(frontier, suspect, calm), calm, count=0)
    while batches := standin.lease(frontier, calm) or standin.lease(frontier, calm):
        for again in batches:
            standin.visit(frontier, again, calm)

    assert (seed.url, suspect.url, released) == (f"http://{host}/", deep, True)
    assert frontier.finish() == names.FINISHED
    assert results.status(frontier.client, frontier.crawl).done == 2
