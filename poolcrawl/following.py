"""One run of `crawl` or `demo`: find or start Redis and workers, submit, pump to the end, say what came of it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from crawl import broker, connection, names, results
from crawl.errors import NoCrawlYetError, UsageError
from crawl.frontier import Frontier
from embedded.stack import Stack, attach
from poolcrawl import detaching, recrawling, saying, submission
from poolcrawl.plan import extractors, new_name, refuse_ended, refuse_other_options
from poolcrawl.saying import say
from producer.progress import ProgressDisplay
from producer.pump import OWN_WORKER_WAIT_S, WORKER_WAIT_S, Pump
from producer.submitter import Submitter
from worker import pools

if TYPE_CHECKING:
    import redis

    from crawl.records import CrawlOptions
    from crawl.settings import Settings
    from poolcrawl.plan import Plan


def run(plan: Plan) -> int:
    """Carry out a plan with the Redis of CRAWL_REDIS_URL, or with a private stack; return the exit code."""
    own: Settings = plan.settings
    named = plan.name is not None
    if plan.name is None:
        plan.name = new_name(plan)
    address = own.redis_address()
    if address is not None:
        return _with_workers_elsewhere(plan, address, named=named)
    pools.check_installed(pools.TABLE[plan.pool or own.pool])
    if "recrawl" in plan.given:
        with attach(own) as private:
            _look_at_older(plan, connection.connect(private))
    if named and not _continue_private(plan):
        return 0
    plan.extractor = plan.given.get("extractor", plan.extractor)
    if plan.detach:
        return detaching.to_stack(plan, extractors(plan))
    stack = Stack(
        own,
        pool=plan.pool,
        concurrency=plan.concurrency,
        workers=plan.workers,
        flower=plan.demo,
        site=plan.demo,
        events=own.events if own.events is not None else plan.demo,
        allow_addresses=(*own.allow_addresses, *plan.allow),
        resolve=(*own.resolve, *plan.resolve),
        site_options=() if plan.latency is None else ("--latency", str(plan.latency)),
        worker_variables=extractors(plan),
        say=say,
    )
    with stack:
        client = connection.connect(stack.redis_url)
        code = _follow(plan, client, stack.redis_url, stack=stack)
        if plan.stay:
            _stay(stack)
        return code


def _with_workers_elsewhere(plan: Plan, address: str, *, named: bool) -> int:
    """Carry out a plan on the Redis of CRAWL_REDIS_URL, whose workers somebody else started."""
    for option in ("pool", "concurrency", "workers", "stay", "latency"):
        if getattr(plan, option) not in (None, False):
            message = (
                f"--{option} belongs to the embedded stack, but CRAWL_REDIS_URL is set: the workers there choose "
                "their own (CRAWL_POOL, CRAWL_CONCURRENCY); leave the option out, or unset CRAWL_REDIS_URL"
            )
            raise UsageError(message)
    client = connection.connect(address)
    connection.check_for_work(client, address)
    with connection.explained(address):
        if "recrawl" in plan.given:
            _look_at_older(plan, client)
        if plan.demo and not named and plan.older is None:
            plan.name = _unfinished_demo(client) or plan.name
        if plan.detach:
            return detaching.to_service(plan, client)
        return _follow(plan, client, address, stack=None)


def _look_at_older(plan: Plan, client: redis.Redis) -> None:
    """Read what the crawl to be crawled again was made with, before anything is started."""
    seeded = bool(plan.seeds or plan.source or plan.stream)
    plan.older = recrawling.look(client, plan.given["recrawl"], plan.name, plan.given, say, seeded=seeded)
    plan.allow = (*plan.allow, *(plan.older.allow_addresses or ()))
    plan.demo = plan.older.demo
    plan.extractor = plan.older.extractor


def _continue_private(plan: Plan) -> bool:
    """Look at the crawl that is to be continued before anything is started; False when nothing is left to do.

    What the private stack needs comes from the crawl's own options: which private networks its workers may fetch, and
    whether it is a demo crawl, which needs its site. Raises UnknownCrawlError when there is none and no URL to start
    one with.
    """
    assert plan.name is not None
    try:
        attached = attach(plan.settings)
        with attached as private:
            client = connection.connect(private)
            stored = Frontier(client, plan.name).options()
            if stored is None:
                if not plan.brings_seeds:
                    raise results.unknown(client, plan.name)
                return True
            options, _, _, state = stored
            refuse_ended(plan.name, state)
            refuse_other_options(plan, options)
            if state == names.FINISHED and not submission.brings_news(
                plan, Frontier(client, plan.name), options
            ):
                saying.said_finished(plan, client, options, None)
                return False
            plan.allow = (*plan.allow, *(options.allow_addresses or ()))
            plan.extractor = options.extractor
            plan.demo = plan.demo or options.demo
            return True
    except NoCrawlYetError:
        if not plan.brings_seeds:
            raise
        return True


def _unfinished_demo(client: redis.Redis) -> str | None:
    """Return the newest demo crawl that has not ended."""
    for name in reversed(results.crawls(client)):
        stored = None
        with contextlib.suppress(UsageError):  # of another release: not ours to continue
            stored = Frontier(client, name).options()
        if stored is not None and stored[0].demo and stored[3] == names.RUNNING:
            return name
    return None


def _follow(plan: Plan, client: redis.Redis, address: str, *, stack: Stack | None) -> int:
    """Submit the crawl, pump it to its end, and say what came of it."""
    assert plan.name is not None
    frontier = Frontier(client, plan.name)
    with Submitter(client, plan.name) as submitter:
        options, state = submission.submit(plan, frontier)
        flower = saying.flower_line(stack)
        if flower and plan.demo:
            say(flower)
        if state == names.FINISHED:
            return saying.said_finished(plan, client, options, stack)
        if plan.stream is not None:
            say(f"seeds are read from {plan.stream.shown} while the crawl runs; it ends after that")
        say(saying.first_line(plan.name, options, stack))
        with ProgressDisplay(client, plan.name) as display:
            state = _pumped(plan, frontier, options, address, stack, display, submitter)
    if state != names.FINISHED:
        return saying.ended_early(plan, client, state)
    return saying.end(plan, client, options, flower, stack)


def _pumped(
    plan: Plan,
    frontier: Frontier,
    options: CrawlOptions,
    address: str,
    stack: Stack | None,
    display: ProgressDisplay,
    submitter: Submitter,
) -> str:
    """Admit the seeds and pump the crawl, or stand by while another producer does; return its state."""
    if stack is not None:
        stack.say = display.say

    def watch() -> None:
        if stack is not None:
            stack.watch()
        if plan.stream is not None and not plan.stream.open:
            submitter.release()
        submitter.keep()
        display.tick()

    pump = Pump(
        frontier.client,
        broker.make_app(address),
        frontier,
        options,
        watch=watch,
        say=display.say,
        memory_limit_bytes=plan.settings.max_redis_bytes,
        bodies_bytes=plan.settings.max_bodies_bytes,
        worker_wait_s=WORKER_WAIT_S if stack is None else OWN_WORKER_WAIT_S,
        stream=plan.stream,
    )
    try:
        submission.admit(plan, frontier, options, watch, display.say)
        if plan.stream is None:
            # In this order no pump service comes in between.
            pump.take()
            submitter.release()
        return pump.run()
    except KeyboardInterrupt:
        display.say(saying.interrupted(plan, frontier.client, options, stack))
        raise


def _stay(stack: Stack) -> None:
    say("Flower and the site stay up until Ctrl-C")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            stack.watch()
            time.sleep(0.5)
