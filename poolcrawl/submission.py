"""A crawl is made or continued, and where its seeds go: the first ones into its options, the others to the frontier."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import redis

from crawl import names, results
from crawl.frontier import Frontier
from poolcrawl import recrawling, scoping
from poolcrawl.plan import options_of, refuse_ended, refuse_other_options
from poolcrawl.saying import say
from producer import seeds as seeding
from producer.pressure import Pressure
from producer.seeds import Intake

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawl.records import CrawlOptions
    from poolcrawl.plan import Plan


def submit(plan: Plan, frontier: Frontier) -> tuple[CrawlOptions, str]:
    """Make or continue the crawl; return its options and state.

    Raises UnknownCrawlError, or CrawlExistsError when options differ from those the crawl was made with.
    """
    stored = frontier.options()
    if stored is None and not plan.brings_seeds:
        raise results.unknown(frontier.client, frontier.crawl)
    if stored is None:
        if plan.stream is not None and not plan.seeds and plan.older is None:
            plan.stream.wait_for_first()
        planned = options_of(plan)
        _, unnamed = further(plan, frontier, planned)
        _, options, state = frontier.create(planned, unnamed=unnamed or plan.stream is not None)
    else:
        options, _, _, state = stored
    refuse_ended(frontier.crawl, state)
    refuse_other_options(plan, options)
    if state == names.FINISHED and not brings_news(plan, frontier, options):
        return options, state
    new, unnamed = further(plan, frontier, options)
    if new:
        for warning in scoping.check_seeds(options, new):
            say(warning)
    if new or unnamed:
        options = msgspec.structs.replace(options, seeds=(*options.seeds, *new))
        frontier.reopen(options if new else None, unnamed=unnamed)
    if state == names.PAUSED:
        # Whoever continues a crawl wants it to go on.
        frontier.resume()
        return options, names.RUNNING
    return options, names.RUNNING if new or unnamed or plan.stream is not None else state


def brings_news(plan: Plan, frontier: Frontier, options: CrawlOptions) -> bool:
    """Whether there are seeds that a finished crawl has not had; a stream is taken at its word."""
    if plan.demo:
        return False
    if plan.stream is not None:
        return True
    intake = Intake(frontier, options)
    unnamed = set(plan.seeds) - set(options.seeds)
    return intake.unseen(unnamed) or (
        plan.source is not None and intake.unseen(seeding.Verdicts(plan.source))
    )


def further(plan: Plan, frontier: Frontier, options: CrawlOptions) -> tuple[list[str], bool]:
    """Return the seeds that the options are to name beside those they do, and whether there will be unnamed ones."""
    named = set(options.seeds)
    new = [] if plan.demo else [seed for seed in plan.seeds if seed not in named]
    unnamed = len(named) + len(new) > seeding.MOST_NAMED or plan.source is not None
    if options.recrawl is not None:
        unnamed = unnamed or Frontier(frontier.client, options.recrawl).has_unnamed_seeds()
    return new[: max(0, seeding.MOST_NAMED - len(named))], unnamed


def admit(
    plan: Plan,
    frontier: Frontier,
    options: CrawlOptions,
    watch: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Admit every seed but those of a stream, and say that no more come; `watch` is called between the slices.

    Raises StoppedError when Redis is full.
    """
    intake = Intake(frontier, options)
    pressure = Pressure(frontier.client, frontier.crawl, limit_bytes=plan.settings.max_redis_bytes)

    def look() -> None:
        watch()
        pressure.require_room_for_seeds()

    named = set(options.seeds)
    others = itertools.chain(
        recrawling.seeds(frontier.client, options.recrawl) if options.recrawl else (),
        (seed for seed in plan.seeds if seed not in named),
    )
    try:
        intake.admit_named()
        room = intake.admit_all(others, look)
        if plan.source is not None and room:
            complaints = seeding.Complaints(plan.source.shown, say)
            room = intake.admit_all(seeding.Verdicts(plan.source, complaints.tell), look)
            complaints.end()
        if not room:
            say("the crawl has its pages (--max-pages); the rest of the seeds is not read")
    except redis.exceptions.OutOfMemoryError:
        raise pressure.no_room_for_seeds() from None
    if plan.stream is None:
        intake.close()
