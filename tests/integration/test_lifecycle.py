"""Pause, resume, cancel and delete at the frontier: what each leaves behind, and what comes too late for it."""

from __future__ import annotations

import inspect
import itertools
import time

import pytest
import standin
from stack import wait_for

from crawl import audit, connection, keys, lifecycle, names, results
from crawl.batches import Renewal
from crawl.errors import StoppedError, UnknownCrawlError, UsageError
from crawl.frontier import Frontier, renew
from worker.leases import Renewer
from worker.notices import Notices


def _state(frontier):
    return results.status(frontier.client, frontier.crawl).state


def test_a_paused_crawl_leases_nothing_and_takes_batches_back(frontier, batch_of_four):
    """What was sent comes back uncharged; nothing new goes out until `resume`."""
    batch, options = batch_of_four
    lifecycle.pause(frontier.client, frontier.crawl)

    assert frontier.start(batch.lease, nonce="n", worker="w", options=options) == names.PAUSED
    assert standin.lease(frontier, options) == []
    status = results.status(frontier.client, frontier.crawl)
    assert (status.state, status.paused_by, status.leased) == (names.PAUSED, names.BY_USER, 0)

    told = lifecycle.resume(frontier.client, frontier.crawl)
    again = standin.lease(frontier, options)

    assert (told.before, _state(frontier)) == (names.PAUSED, names.RUNNING)
    assert sum(one.count for one in again) == 4


def test_what_was_fetched_is_still_completed_while_paused(frontier, batch_of_four):
    """A pause loses no page that was asked for."""
    batch, options = batch_of_four
    started = standin.start(frontier, batch, options)
    lifecycle.pause(frontier.client, frontier.crawl)

    assert standin.fetched(frontier, started, options)
    assert standin.complete(frontier, standin.load(frontier, batch.lease, options), options)
    assert results.status(frontier.client, frontier.crawl).done == 4


def test_a_late_worker_cannot_write_into_a_cancelled_crawl(frontier, host, batch_of_four):
    """Its `fetched`, `complete`, `add` and `start` are refused from the first moment; its host is reported."""
    batch, options = batch_of_four
    (other,) = _admitted(frontier, options, f"http://{host}:81/")
    (third,) = _admitted(frontier, options, f"http://{host}:82/")
    asking, asked = standin.start(frontier, batch, options), standin.start(frontier, other, options)
    assert standin.fetched(frontier, asked, options)
    loaded = standin.load(frontier, other.lease, options)
    frontier.cancel()

    assert not standin.fetched(frontier, asking, options)
    assert not standin.complete(frontier, loaded, options)
    assert frontier.start(third.lease, nonce="n", worker="w", options=options) == names.CANCELLED
    assert frontier.client.scard(keys.queues(frontier.crawl)) == 0
    with pytest.raises(StoppedError, match="was cancelled"):
        frontier.add(standin.links(options, f"http://{host}/late"), max_pages=None)
    assert frontier.client.zcard(keys.host_out(host)) == 0
    assert frontier.client.hexists(keys.host(host), "ended")
    lifecycle.cancel(frontier.client, frontier.crawl)
    found = audit.audit(frontier.client, frontier.crawl)

    assert (found.records, found.cancelled, found.missing, found.pending) == (0, 6, 0, 0)


def _admitted(frontier, options, *pages):
    standin.admit(frontier, options, *pages)
    return standin.lease(frontier, options)


def test_a_cancelled_crawl_keeps_its_records_and_holds_nothing_else_back(new_frontier, host, monkeypatch):
    """Queues, retries, leases and bodies go; other crawls have the host at once."""
    monkeypatch.setattr("crawl.frontier.states.CLEARED_PER_CALL", 3)
    monkeypatch.setattr("crawl.lifecycle.HAND_BACK_S", 0.1)
    frontier, other = new_frontier(), new_frontier()
    standin.pump(frontier, other)
    options = standin.options(delay_s=5.0)
    origins = [f"http://{host}:{port}/{page}" for port in range(81, 91) for page in range(3)]
    done, dead = f"http://{frontier.crawl}-done.test/", f"http://{frontier.crawl}-dead.test/"
    standin.admit(frontier, options, done, dead)
    batches = {batch.url: batch for batch in standin.lease(frontier, options)}
    standin.visit(frontier, batches[done], options)
    standin.start(frontier, batches[dead], options)
    standin.admit(frontier, options, *origins)
    (sent,) = standin.lease(frontier, options)
    standin.admit(other, standin.options(), f"http://{host}/other")
    assert standin.lease(other, standin.options()) == []

    told = lifecycle.cancel(frontier.client, frontier.crawl)
    again = lifecycle.cancel(frontier.client, frontier.crawl)
    found = audit.audit(frontier.client, frontier.crawl)
    whole = keys.crawl(frontier.crawl)
    left = {key.decode().removeprefix(whole).strip(":").partition(":")[0] for key in standin.image(frontier)}

    assert sent.count == 1
    assert (told.records, told.cancelled) == (again.records, again.cancelled) == (1, 31)
    assert (found.clean, found.cancelled, found.pending) == (True, 31, 0)
    assert left == {"", "seen", "records", "results", "counts", "hosts", "wake", "pump"}
    assert frontier.client.hget(keys.host(host), f"delay {frontier.crawl}") is None
    assert len(standin.lease(other, standin.options())) == 1
    # Nobody knows whether the silent worker still asks; until its lease would have ended the host counts it.
    assert frontier.client.zcard(keys.host_out(f"{frontier.crawl}-dead.test")) == 1


def test_the_audit_of_a_cancelled_crawl_still_finds_what_is_missing(frontier, host):
    """A record that was removed is not taken for a cancelled URL."""
    options = standin.options()
    standin.admit(frontier, options, *standin.pages(host, 5))
    standin.visit(frontier, standin.lease(frontier, options)[0], options)
    lifecycle.cancel(frontier.client, frontier.crawl)
    clean = audit.audit(frontier.client, frontier.crawl)
    frontier.client.hdel(keys.records(frontier.crawl), *frontier.client.hkeys(keys.records(frontier.crawl)))
    frontier.client.xtrim(keys.results(frontier.crawl), maxlen=0)

    assert clean.clean
    assert audit.audit(frontier.client, frontier.crawl).missing == clean.records > 0


def test_a_cancel_that_was_killed_in_the_middle_is_finished_by_the_next(frontier, host, monkeypatch):
    """Each slice counts what it takes, so nothing is counted twice or forgotten."""
    monkeypatch.setattr("crawl.frontier.states.CLEARED_PER_CALL", 2)
    options = standin.options()
    standin.admit(frontier, options, *(f"http://{host}:{port}/" for port in range(81, 90)))
    frontier.cancel()
    frontier._run("clear", limit=2, skip=0, force=False)
    middle = audit.audit(frontier.client, frontier.crawl)
    told = lifecycle.cancel(frontier.client, frontier.crawl)

    assert (middle.cancelled, middle.pending, middle.missing) == (2, 7, 0)
    assert told.cancelled == 9


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_a_verb_for_a_crawl_in_the_wrong_state_names_state_and_remedy(frontier, verb):
    """One line, and nothing changes."""
    standin.admit(frontier, standin.options())
    frontier.finish()

    with pytest.raises(UsageError, match=rf"is finished, so there is nothing to {verb}; "):
        getattr(lifecycle, verb)(frontier.client, frontier.crawl)
    assert _state(frontier) == names.FINISHED


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "delete"])
def test_a_verb_for_a_crawl_that_does_not_exist_says_so(client, verb):
    with pytest.raises(UnknownCrawlError, match="there is no crawl 'nosuch'"):
        getattr(lifecycle, verb)(client, "nosuch")


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "delete"])
def test_a_crawl_of_another_release_is_left_alone(frontier, verb):
    """Its keys mean something else."""
    standin.admit(frontier, standin.options())
    frontier.client.hset(keys.crawl(frontier.crawl), "schema", 99)
    before = standin.image(frontier)

    with pytest.raises(UsageError, match="another release"):
        getattr(lifecycle, verb)(frontier.client, frontier.crawl)
    assert standin.image(frontier) == before


def test_a_crawl_of_another_release_is_deleted_by_force(frontier, host):
    """Else its keys would stay for good; nobody here can judge its state."""
    standin.admit(frontier, standin.options(), f"http://{host}/")
    frontier.client.hset(keys.crawl(frontier.crawl), "schema", 99)

    with pytest.raises(UsageError, match="--force"):
        lifecycle.delete(frontier.client, frontier.crawl)
    lifecycle.delete(frontier.client, frontier.crawl, force=True)

    assert not list(frontier.client.scan_iter(f"{keys.crawl(frontier.crawl)}*"))


def test_a_running_crawl_is_deleted_only_by_force(frontier, host):
    """The remedy is named; with --force it is cancelled first."""
    standin.admit(frontier, standin.options(), f"http://{host}/")

    with pytest.raises(UsageError, match=f"poolcrawl cancel {frontier.crawl}"):
        lifecycle.delete(frontier.client, frontier.crawl)
    assert _state(frontier) == names.RUNNING
    lifecycle.delete(frontier.client, frontier.crawl, force=True)

    assert frontier.options() is None


def _of_crawl():
    """Every key function of crawl/keys.py that names a key of one crawl, with arguments."""
    for name, function in vars(keys).items():
        if not inspect.isfunction(function) or name.endswith("_prefix") or name == "part":
            continue
        parameters = list(inspect.signature(function).parameters)
        if parameters[:1] == ["name"] and function(*("X" for _ in parameters)).startswith(keys.crawl("X")):
            yield name, function, len(parameters) - 1


def test_delete_leaves_no_key_of_any_kind(new_frontier, host):
    """Whatever crawl/keys.py can name; a crawl whose name begins the same is left alone."""
    frontier = new_frontier()
    sibling = Frontier(frontier.client, f"{frontier.crawl}-2")
    options = standin.options()
    for each in (frontier, sibling):
        standin.admit(each, options, *standin.pages(f"{each.crawl}.test", 3))
        standin.lease(each, options, window=1)
    kept = standin.image(sibling)
    made = itertools.count()
    for name, function, more in _of_crawl():
        key = function(frontier.crawl, *(7 for _ in range(more)))
        if not frontier.client.exists(key):
            assert frontier.client.set(key, name)
            next(made)
    # They stand in for what they are named after; cancel would mind their type.
    frontier.client.hset(keys.crawl(frontier.crawl), "state", names.FINISHED)
    lifecycle.delete(frontier.client, frontier.crawl)
    left = [key for key in frontier.client.scan_iter("*") if _names(key, frontier.crawl)]
    fields = frontier.client.hkeys(keys.host(f"{frontier.crawl}.test"))

    assert next(made) > 10
    assert left == []
    assert [field for field in fields if field.endswith(f" {frontier.crawl}".encode())] == []
    assert frontier.client.zscore(keys.crawls(), frontier.crawl) is None
    assert standin.image(sibling) == kept
    lifecycle.delete(frontier.client, sibling.crawl, force=True)


def _names(key, crawl):
    return key.startswith(keys.crawl(crawl).encode()) and key.removeprefix(keys.crawl(crawl).encode())[
        :1
    ] in (
        b"",
        b":",
    )


def test_a_delete_that_was_killed_in_the_middle_is_finished_by_the_next(frontier, host):
    """Until then the crawl is shown as deleted and can be used for nothing else."""
    options = standin.options()
    standin.admit(frontier, options, f"http://{host}/")
    lifecycle.cancel(frontier.client, frontier.crawl)
    frontier.delete()
    frontier.client.unlink(keys.records(frontier.crawl))

    assert _state(frontier) == names.DELETED
    with pytest.raises(StoppedError, match="was deleted"):
        frontier.reopen(None)
    lifecycle.delete(frontier.client, frontier.crawl)

    assert frontier.options() is None


def test_a_deleted_name_can_be_used_again(frontier, host):
    """Nothing of the old crawl is left in the new one."""
    options = standin.options()
    standin.admit(frontier, options, *standin.pages(host, 3))
    lifecycle.delete(frontier.client, frontier.crawl, force=True)
    standin.admit(frontier, options, f"http://{host}/0")
    standin.visit(frontier, standin.lease(frontier, options)[0], options)
    found = audit.audit(frontier.client, frontier.crawl)

    assert (found.records, found.missing, found.cancelled) == (1, 0, 0)
    assert frontier.finish() == names.FINISHED


class _Request:
    aborted = False

    def abort(self):
        self.aborted = True


@pytest.fixture
def held(server, client, frontier, batch_of_four):
    """A lease in the hands of a worker process that listens."""
    batch, options = batch_of_four
    renewer = Renewer(connection.connect(server.url, connections=2))
    listening = Notices(connection.connect(server.url, connections=1), renewer.told)
    before = dict(client.pubsub_numsub(keys.states())).get(keys.states().encode(), 0)
    listening.listen()
    wait_for(lambda: dict(client.pubsub_numsub(keys.states()))[keys.states().encode()] > before, "a listener")
    started = standin.start(frontier, batch, options)
    lease = renewer.hold(Renewal(frontier.crawl, batch.lease, started.host, started.nonce, 30.0))
    yield renewer, lease
    renewer.drop(lease)


def test_a_pause_is_told_to_batches_under_way_and_leaves_the_request_at_hand(frontier, held):
    """They end after it; the next renewal is ten seconds away."""
    _, lease = held
    request = _Request()
    lease.asking(request)
    lifecycle.pause(frontier.client, frontier.crawl)

    wait_for(lambda: not lease.usable(), "the notice", 2)

    assert lease.kept()
    assert not request.aborted


def test_a_cancel_aborts_the_request_under_way_and_any_that_follows(frontier, held):
    """Within moments, not at the next renewal."""
    _, lease = held
    request, next_request = _Request(), _Request()
    lease.asking(request)
    frontier.cancel()

    wait_for(lambda: request.aborted, "the abort", 2)
    lease.asking(next_request)

    assert not lease.kept()
    assert next_request.aborted


def test_a_batch_that_begins_while_its_crawl_is_cancelled_hears_of_it(frontier, held):
    """The notice may come between the answer to `start` and the lease being known to the renewer."""
    renewer, lease = held
    before = time.monotonic()
    frontier.cancel()
    wait_for(lambda: not lease.kept(), "the notice", 2)
    late = renewer.hold(Renewal(frontier.crawl, "late", "h", "n", 30.0), before)
    fresh = renewer.hold(Renewal(frontier.crawl, "fresh", "h", "n", 30.0), time.monotonic())

    assert (late.kept(), fresh.kept()) == (False, True)
    for one in (late, fresh):
        renewer.drop(one)


def test_a_worker_that_missed_the_notice_hears_with_its_next_renewal(frontier, batch_of_four):
    """The answer of `renew` is the crawl's state."""
    batch, options = batch_of_four
    started = standin.start(frontier, batch, options)
    frontier.cancel()

    assert renew(
        frontier.client, [Renewal(frontier.crawl, batch.lease, started.host, started.nonce, 30.0)]
    ) == [names.CANCELLED]
