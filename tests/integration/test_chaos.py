"""Random lives of a crawl: lost and doubled messages, dead workers, late reports, pauses. The audit is the judge."""

from __future__ import annotations

import itertools
import secrets

import hypothesis
import hypothesis.stateful
import msgspec
import pytest
import standin
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crawl import keys, names, results
from crawl.audit import audit
from crawl.batches import RobotsAnswer, Started
from crawl.frontier import Frontier
from crawl.records import FetchRequest

#: Pages of the made-up site, and how many of them are seeds; every page can be reached.
PAGES = 30
SEEDS = 5
#: A lease so short that some end while their worker still works.
LEASE_S = 0.02

_numbers = itertools.count(1)


class Life(RuleBasedStateMachine):
    """One crawl, its broker (lists of messages that may be lost or doubled) and its workers (lists of work at hand)."""

    client = None

    def __init__(self) -> None:
        super().__init__()
        self.frontier = Frontier(self.client, f"chaos-{next(_numbers)}-{secrets.token_hex(3)}")
        self.to_fetch = []
        self.to_parse = []
        self.fetching = []
        self.parsing = []
        self.options = None

    @initialize(
        depth=st.sampled_from([None, None, 2, 20]),
        batch=st.sampled_from([1, 4]),
        delay_s=st.sampled_from([0.0, 0.003]),
        robots=st.sampled_from(["ignore", "obey"]),
        max_pages=st.sampled_from([None, None, 12]),
        max_losses=st.sampled_from([1, 3]),
    )
    def submit(self, **changes):
        self.options = standin.options(lease_s=LEASE_S, host_concurrency=2, seen_buckets=4, **changes)
        standin.admit(self.frontier, self.options, *(self.url(number) for number in range(SEEDS)))

    def host(self, number):
        return f"h{number % 3}.{self.frontier.crawl}.test"

    def url(self, number):
        return f"http://{self.host(number)}/{number}"

    def links_of(self, request):
        number = int(request.url.rsplit("/", 1)[1])
        targets = {(2 * number + 1) % PAGES, (2 * number + 2) % PAGES, (number * 7 + 3) % PAGES}
        depth = request.depth + 1
        if self.options.depth is not None and depth > self.options.depth:
            return []
        return [FetchRequest(url=self.url(target), depth=depth, via=names.LINK) for target in sorted(targets)]

    # The producer.

    @rule(window=st.integers(1, 8), lost=st.booleans())
    def pump(self, window, lost):
        leased = self.frontier.lease(self.options, window=window, slots=2)
        if not lost:
            self.to_fetch += leased.batches

    @rule(lost=st.booleans())
    def reap(self, lost):
        fetch, parse, _ = self.frontier.reap(self.options)
        if not lost:
            self.to_fetch += fetch
            self.to_parse += [batch.lease for batch in parse]

    @rule()
    def leases_run_out(self):
        standin.wait_until(self.client, standin.now_ms(self.client) + LEASE_S * 1000)

    @rule(pick=st.integers(0, 99))
    def pause_for_a_moment(self, pick):
        """A message that comes meanwhile is given back."""
        self.pump(window=8, lost=False)
        self.frontier.pause(names.BY_USER)
        self.deliver_fetch(pick, doubled=True)
        self.frontier.resume()

    # The workers. What is done never depends on a precondition: time decides what is there, and Hypothesis must not see
    # it. Where nothing is at hand, the step before is taken first.

    @rule(pick=st.integers(0, 99), doubled=st.booleans())
    def deliver_fetch(self, pick, doubled):
        if not self.to_fetch:
            self.pump(window=8, lost=False)
        if not self.to_fetch:
            return
        batch = self.to_fetch.pop(pick % len(self.to_fetch))
        if doubled:
            self.to_fetch.append(batch)
        nonce = secrets.token_hex(4)
        started = self.frontier.start(batch.lease, nonce=nonce, worker="w", options=self.options)
        if isinstance(started, Started):
            if started.requests[0].suspect and not started.doom:
                self.frontier.isolate(started.lease, started.nonce)
            self.fetching.append(started)

    @rule(pick=st.integers(0, 99), done=st.integers(0, 4), lost=st.booleans(), stored=st.booleans())
    def end_fetch(self, pick, done, lost, stored):
        if not self.fetching:
            self.deliver_fetch(pick, doubled=False)
        if not self.fetching:
            return
        started = self.fetching.pop(pick % len(self.fetching))
        count = min(done, len(started.requests))
        said = standin.report(
            started,
            requests=0 if started.doom else count,
            mean_ms=5.0,
            ended_ms=standin.now_ms(self.client),
        )
        kept = standin.fetched(
            self.frontier, started, self.options, count=count, said=said, store=stored, body=b"x"
        )
        if kept and count and not lost:
            self.to_parse.append(started.lease)

    @rule(pick=st.integers(0, 99), doubled=st.booleans())
    def deliver_parse(self, pick, doubled):
        if not self.to_parse:
            self.end_fetch(pick, done=4, lost=False, stored=True)
        if not self.to_parse:
            return
        lease = self.to_parse.pop(pick % len(self.to_parse))
        if doubled:
            self.to_parse.append(lease)
        loaded = self.frontier.load(lease, nonce=secrets.token_hex(4), options=self.options, with_bodies=True)
        if loaded is not None:
            self.parsing.append(loaded)

    @rule(pick=st.integers(0, 99), retry=st.integers(0, 9), repeated=st.booleans())
    def end_parse(self, pick, retry, repeated):
        if not self.parsing:
            self.deliver_parse(pick, doubled=False)
        if not self.parsing:
            return
        loaded = self.parsing.pop(pick % len(self.parsing))
        for _ in range(1 + repeated):
            self.complete(loaded, retry)

    def complete(self, loaded, retry):
        robots = None
        found = standin.links(self.options)
        done, retries = [], []
        now_ms = standin.now_ms(self.client)
        for ref in loaded.fetched.refs:
            request = loaded.requests[ref.index]
            if request.kind == names.ROBOTS:
                hop = f"http://{self.host(retry)}/robots-{retry}" if 1 < retry < 4 else None
                robots = RobotsAnswer(
                    origin=loaded.origin,
                    fresh_ms=60_000,
                    retry_ms=2 if retry == 1 else None,
                    ask_url=hop if request.hops < 2 else None,
                    hops=request.hops + 1,
                )
            elif request.losses >= self.options.max_losses:
                done.append(standin.result(self.frontier.crawl, request, "failed", "lost"))
            elif retry == ref.index and request.attempts < 2:
                retries.append((msgspec.structs.replace(request, attempts=request.attempts + 1), now_ms + 3))
            else:
                done.append(standin.result(self.frontier.crawl, request))
                for link in self.links_of(request):
                    fingerprint = found.offer(link.url)
                    if fingerprint is not None:
                        found.put(fingerprint, link)
        self.frontier.complete(loaded.lease, done, retries, found, options=self.options, robots=robots)

    @rule(pick=st.integers(0, 99), kind=st.sampled_from(["fetching", "parsing", "to_fetch", "to_parse"]))
    def something_is_lost(self, pick, kind):
        """A worker dies over its batch, or the broker loses a message."""
        held = getattr(self, kind)
        if held:
            held.pop(pick % len(held))

    # What holds at every moment.

    @invariant()
    def the_sets_mirror_the_queues(self):
        if self.options is None:
            return
        crawl = self.frontier.crawl
        possible = {
            keys.queue(crawl, level, f"http://{self.host(number)}"): level
            for level in range(21)
            for number in range(3)
        }
        full = {key.encode() for key in possible if self.client.llen(key)}
        due = {member for level in range(21) for member in self.client.zrange(keys.due(crawl, level), 0, -1)}
        assert self.client.smembers(keys.queues(crawl)) == full
        assert due == full

    @invariant()
    def no_number_is_negative_and_all_add_up(self):
        if self.options is None:
            return
        crawl = self.frontier.crawl
        status = results.status(self.client, crawl)
        levels = [int(count) for count in self.client.hvals(keys.levels(crawl))]
        assert min(levels) >= 0
        assert sum(levels) == status.admitted - status.done
        assert status.waiting >= 0
        unfinished = list(results.unfinished_fingerprints(self.client, crawl))
        assert len(unfinished) == len(set(unfinished)) == status.waiting + status.leased

    @invariant()
    def no_host_is_asked_more_often_than_it_may_be(self):
        if self.options is None:
            return
        cap = 1 if self.options.delay_s else self.options.host_concurrency
        now_ms = standin.now_ms(self.client)
        for number in range(3):
            assert self.client.zcount(keys.host_out(self.host(number)), now_ms + 1, "+inf") <= cap

    # The end.

    def teardown(self):
        """Whatever happened, ordinary work now brings the crawl to its end, with one record for every URL."""
        if self.options is None:
            return
        crawl = self.frontier.crawl
        until_ms = standin.now_ms(self.client) + 10_000
        while (state := self.turn()) != names.FINISHED:
            assert standin.now_ms(self.client) < until_ms, (
                state,
                results.status(self.client, crawl),
            )
        self.look_back()

    def turn(self):
        leased = self.frontier.lease(self.options, window=8, slots=2)
        self.to_fetch += leased.batches
        self.reap(lost=False)
        while self.to_fetch:
            self.deliver_fetch(pick=0, doubled=False)
        while self.fetching:
            self.end_fetch(pick=0, done=99, lost=False, stored=True)
        while self.to_parse:
            self.deliver_parse(pick=0, doubled=False)
        while self.parsing:
            self.end_parse(pick=0, retry=99, repeated=False)
        return self.frontier.finish() if leased.ended else leased.state

    def look_back(self):
        crawl = self.frontier.crawl
        status = results.status(self.client, crawl)
        found = audit(self.client, crawl)
        records = {standin.url_of(line) for _, line in results.lines(self.client, crawl)}
        assert (found.missing, found.duplicate, found.pending) == (0, 0, 0)
        assert found.records == len(records) == status.done == status.admitted
        assert (status.waiting, status.leased, status.delayed, status.suspects) == (0, 0, 0, 0)
        if self.options.max_pages is not None:
            assert status.admitted <= self.options.max_pages
        elif not status.reasons:
            assert records == self.reachable()
        leases = int(self.client.hget(keys.crawl(crawl), "seq"))
        left = [keys.lease(crawl, f"l{number}") for number in range(leases + 1)]
        assert self.client.exists(*left) == 0

    def reachable(self):
        """Return the URLs that every crawl of these options has to find."""
        level, depth = [self.url(number) for number in range(SEEDS)], 0
        known = set(level)
        while level and (self.options.depth is None or depth < self.options.depth):
            pages = [link.url for url in level for link in self.links_of(FetchRequest(url=url, depth=depth))]
            level = [url for url in dict.fromkeys(pages) if url not in known]
            known |= set(level)
            depth += 1
        return known


class CutShort(Life):
    """A crawl that is cancelled in the middle of whatever it does, while everything under way comes in late."""

    def teardown(self):
        """Every URL has its record or was counted as cancelled, and nothing but records is left."""
        if self.options is None:
            return
        crawl = self.frontier.crawl
        done = results.status(self.client, crawl).done
        self.frontier.cancel()
        self.frontier.clear(self.options, force=False)
        self.turn()
        while self.frontier.clear(self.options, force=True):
            pass
        self.frontier.forget()
        status, found = results.status(self.client, crawl), audit(self.client, crawl)
        held = (keys.queues, keys.delayed, keys.suspects, keys.leases, keys.levels)
        counted = int(self.client.hget(keys.counts(crawl), "cancelled") or 0)
        leases = int(self.client.hget(keys.crawl(crawl), "seq"))

        assert (found.missing, found.duplicate, found.pending) == (0, 0, 0)
        assert found.records == status.done == done
        assert found.cancelled == counted == status.admitted - done
        assert status.waiting == 0
        assert self.client.exists(*(name(crawl) for name in held)) == 0
        assert self.client.exists(*(keys.lease(crawl, f"l{number}") for number in range(leases + 1))) == 0


@pytest.mark.parametrize(("life", "lives"), [(Life, 12), (CutShort, 6)])
def test_any_life_of_a_crawl_ends_with_one_record_for_each_url(client, life, lives):
    """Whatever dies, is lost, comes twice or comes late: every URL gets exactly one record, or is cancelled."""
    Life.client = client
    hypothesis.stateful.run_state_machine_as_test(
        life,
        settings=hypothesis.settings(
            max_examples=lives,
            stateful_step_count=35,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
