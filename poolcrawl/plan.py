"""What one run of `crawl` or `demo` was asked for, and what that means for the crawl: its name and its options."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from crawl import names
from crawl.errors import CrawlExistsError, UsageError
from poolcrawl import commandline, recrawling
from producer import seeds as seeding
from worker.parse import extractor

if TYPE_CHECKING:
    from crawl.records import CrawlOptions
    from crawl.settings import Settings

#: What a demo crawl freezes: no delay and short timeouts, so that its misbehaving pages end within a minute.
_DEMO = {
    "scope": "domain",
    "delay_s": 0.0,
    "connect_timeout_s": 2.0,
    "read_timeout_s": 2.0,
    "total_timeout_s": 5.0,
    "max_attempts": 2,
}

#: Options whose values no message repeats, and what they are called.
_UNSHOWN = {"credentials": "--credentials", "headers": "--header lines", "extract": "--extract rules"}


class Plan(msgspec.Struct):
    """What one run of `crawl` or `demo` was asked for."""

    settings: Any
    name: str | None
    seeds: list[str]
    #: Options given on the command line, by their name in CrawlOptions.
    given: dict[str, Any]
    output: str | None = None
    format_name: str = "jsonl"
    as_json: bool = False
    pool: str | None = None
    concurrency: int | None = None
    workers: int | None = None
    demo: bool = False
    stay: bool = False
    #: Submit, and leave the rest to a pump service or to a stack that stays up.
    detach: bool = False
    latency: float | None = None
    allow: tuple[str, ...] = ()
    resolve: tuple[str, ...] = ()
    #: A file of further seeds, and a stream of them; at most one of both is given.
    source: Any = None
    stream: Any = None
    #: Function that fills `data`, of the crawl that is made or continued; the private workers may import it.
    extractor: str | None = None
    #: The options of the crawl that is to be crawled again.
    older: CrawlOptions | None = None

    @property
    def brings_seeds(self) -> bool:
        """Whether a crawl could be made of it."""
        return bool(self.seeds or self.source or self.stream or self.older)


def new_name(plan: Plan) -> str:
    """Return the name of a crawl that was given none."""
    prefix = "demo" if plan.demo else "crawl"
    return f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid() % 1000:03d}"


def extractors(plan: Plan) -> dict[str, str]:
    """Return the setting that lets the private workers import the crawl's function. Raises UsageError if none can."""
    if plan.extractor is None:
        return {}
    try:
        extractor.load(plan.extractor)
    except ValueError as error:
        message = f"--extractor {plan.extractor}: {error}; its folder must be on PYTHONPATH"
        raise UsageError(message) from None
    return {"CRAWL_EXTRACTORS": ",".join((*plan.settings.extractors, plan.extractor))}


def options_of(plan: Plan) -> CrawlOptions:
    """Return the options of the crawl that a plan makes."""
    own: Settings = plan.settings
    if plan.older is not None:
        return recrawling.options(
            plan.older, plan.given, seeds=plan.seeds, resolve=plan.resolve, allow=plan.allow
        )
    if plan.demo:
        agent = (
            f"{own.user_agent[:-1]}; crawl {plan.name})" if own.user_agent.endswith(")") else own.user_agent
        )
        return own.options(seeds=tuple(plan.seeds), user_agent=agent, demo=True, **_DEMO)
    return own.options(
        seeds=tuple(plan.seeds[: seeding.MOST_NAMED]),
        resolve=plan.resolve,
        allow_addresses=plan.allow or None,
        **plan.given,
    )


def refuse_other_options(plan: Plan, options: CrawlOptions) -> None:
    """Raise CrawlExistsError when an option differs from what the crawl was made with."""
    for name, value in plan.given.items():
        if getattr(options, name) != value:
            if name in _UNSHOWN:
                message = (
                    f"crawl '{plan.name}' was made with other {_UNSHOWN[name]}; "
                    "leave the option out to continue it, or choose another --name"
                )
                raise CrawlExistsError(message)
            shown, made = name.removesuffix("_s").replace("_", "-"), getattr(options, name)
            with_it = f"without --{shown}" if made is None else f"with --{shown} {made}"
            message = (
                f"crawl '{plan.name}' was made {with_it}, not with {value}; "
                "leave the option out to continue it, or choose another --name"
            )
            raise CrawlExistsError(message)


def refuse_ended(crawl: str, state: str) -> None:
    """Raise UsageError for a crawl that a person ended."""
    if state in names.OVER:
        message = (
            f"crawl '{crawl}' was {state} and does not go on; choose another --name, "
            f"or remove it with `{commandline.command()} delete {crawl}`"
        )
        raise UsageError(message)
