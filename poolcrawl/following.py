"""One run of `crawl` or `demo`: find or start Redis and workers, submit, pump to the end, say what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import redis

from crawl import broker, connection, names, results
from crawl.errors import CrawlExistsError, NoCrawlYetError, StoppedError, UnknownCrawlError, UsageError
from crawl.frontier import Frontier
from crawl.records import CrawlOptions
from embedded.stack import Stack, attach
from export import files
from poolcrawl import recrawling, scoping, submission, summary
from producer import seeds as seeding
from producer.progress import ProgressDisplay
from producer.pump import OWN_WORKER_WAIT_S, WORKER_WAIT_S, Pump
from producer.submitter import Submitter
from worker import pools
from worker.parse import extractor

if TYPE_CHECKING:
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


def say(text: str) -> None:
    """Print one line for people."""
    print(text, file=sys.stderr, flush=True)


def run(plan: Plan) -> int:
    """Carry out a plan with the Redis of CRAWL_REDIS_URL, or with a private stack; return the exit code."""
    own: Settings = plan.settings
    named = plan.name is not None
    if plan.name is None:
        plan.name = _new_name(plan)
    address = own.redis_address()
    if address is not None:
        return _with_workers_elsewhere(plan, address, named=named)
    from poolcrawl import detaching

    pools.check_installed(pools.TABLE[plan.pool or own.pool])
    if "recrawl" in plan.given:
        with attach(own) as private:
            _look_at_older(plan, connection.connect(private))
    if named and not _continue_private(plan):
        return 0
    plan.extractor = plan.given.get("extractor", plan.extractor)
    if plan.detach:
        return detaching.to_stack(plan, _extractors(plan))
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
        worker_variables=_extractors(plan),
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
    from poolcrawl import detaching

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


def _extractors(plan: Plan) -> dict[str, str]:
    """Return the setting that lets the private workers import the crawl's function. Raises UsageError if none can."""
    if plan.extractor is None:
        return {}
    try:
        extractor.load(plan.extractor)
    except ValueError as error:
        message = f"--extractor {plan.extractor}: {error}; its folder must be on PYTHONPATH"
        raise UsageError(message) from None
    return {"CRAWL_EXTRACTORS": ",".join((*plan.settings.extractors, plan.extractor))}


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
            _refuse_ended(plan.name, state)
            _refuse_other_options(plan, options)
            if state == names.FINISHED and not submission.brings_news(
                plan, Frontier(client, plan.name), options
            ):
                _said_finished(plan, client, options, None)
                return False
            plan.allow = (*plan.allow, *(options.allow_addresses or ()))
            plan.extractor = options.extractor
            plan.demo = plan.demo or options.demo
            return True
    except NoCrawlYetError:
        if not plan.brings_seeds:
            raise
        return True


def _said_finished(plan: Plan, client: redis.Redis, options: CrawlOptions, stack: Stack | None) -> int:
    say(f"crawl '{plan.name}' is finished already; nothing is left to do")
    _end(plan, client, options, None, stack)
    return 0


def _new_name(plan: Plan) -> str:
    prefix = "demo" if plan.demo else "crawl"
    return f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid() % 1000:03d}"


def _unfinished_demo(client: redis.Redis) -> str | None:
    """Return the newest demo crawl that has not ended."""
    for name in reversed(results.crawls(client)):
        stored = None
        with contextlib.suppress(UsageError):  # of another release: not ours to continue
            stored = Frontier(client, name).options()
        if stored is not None and stored[0].demo and stored[3] == names.RUNNING:
            return name
    return None


def _options(plan: Plan) -> CrawlOptions:
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


def _refuse_other_options(plan: Plan, options: CrawlOptions) -> None:
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


def _refuse_ended(crawl: str, state: str) -> None:
    """Raise UsageError for a crawl that a person ended."""
    if state in names.OVER:
        message = (
            f"crawl '{crawl}' was {state} and does not go on; choose another --name, "
            f"or remove it with `{_command()} delete {crawl}`"
        )
        raise UsageError(message)


def _submit(plan: Plan, frontier: Frontier) -> tuple[CrawlOptions, str]:
    """Make or continue the crawl; return its options and state.

    Raises UnknownCrawlError, or CrawlExistsError when options differ from those the crawl was made with.
    """
    stored = frontier.options()
    if stored is None and not plan.brings_seeds:
        raise results.unknown(frontier.client, frontier.crawl)
    if stored is None:
        if plan.stream is not None and not plan.seeds and plan.older is None:
            plan.stream.wait_for_first()
        planned = _options(plan)
        _, unnamed = submission.further(plan, frontier, planned)
        _, options, state = frontier.create(planned, unnamed=unnamed or plan.stream is not None)
    else:
        options, _, _, state = stored
    _refuse_ended(frontier.crawl, state)
    _refuse_other_options(plan, options)
    if state == names.FINISHED and not submission.brings_news(plan, frontier, options):
        return options, state
    new, unnamed = submission.further(plan, frontier, options)
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


def _follow(plan: Plan, client: redis.Redis, address: str, *, stack: Stack | None) -> int:
    """Submit the crawl, pump it to its end, and say what came of it."""
    assert plan.name is not None
    frontier = Frontier(client, plan.name)
    with Submitter(client, plan.name) as submitter:
        options, state = _submit(plan, frontier)
        flower = _flower_line(stack)
        if flower and plan.demo:
            say(flower)
        if state == names.FINISHED:
            return _said_finished(plan, client, options, stack)
        if plan.stream is not None:
            say(f"seeds are read from {plan.stream.shown} while the crawl runs; it ends after that")
        say(_first_line(plan.name, options, stack))
        with ProgressDisplay(client, plan.name) as display:
            state = _pumped(plan, frontier, options, address, stack, display, submitter)
    if state != names.FINISHED:
        return _ended_early(plan, client, state)
    return _end(plan, client, options, flower, stack)


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
        display.say(_interrupted(plan, frontier.client, options, stack))
        raise


def _interrupted(plan: Plan, client: redis.Redis, options: CrawlOptions, stack: Stack | None) -> str:
    with contextlib.suppress(redis.RedisError):
        if stack is None and results.pump_services(client):
            return (
                f"interrupted; a pump service goes on with '{plan.name}'. "
                f"`{_command()} pause {plan.name}` stops it"
            )
    verb = "demo" if options.demo else "crawl"
    return f"interrupted; '{plan.name}' is kept and continues with `{_command()} {verb} --name {plan.name}`"


def _ended_early(plan: Plan, client: redis.Redis, state: str) -> int:
    """Say that somebody paused or cancelled the crawl, and what can be done; return the exit code."""
    name = plan.name
    if state == names.PAUSED:
        say(f"crawl '{name}' was paused; it goes on with `{_command()} crawl --name {name}`")
    elif state in names.OVER:
        say(f"crawl '{name}' was cancelled; its records are kept: `{_command()} export {name}`")
    else:
        say(f"crawl '{name}' is gone: somebody deleted it")
    if plan.as_json and state in (names.PAUSED, *names.OVER):
        with contextlib.suppress(UnknownCrawlError):
            print(json.dumps(summary.as_dict(results.status(client, str(name)))), flush=True)
    return StoppedError.exit_code


def _first_line(name: str, options: CrawlOptions, stack: Stack | None) -> str:
    depth = "no depth limit" if options.depth is None else f"depth {options.depth}"
    pages = "no page limit" if options.max_pages is None else f"at most {options.max_pages} pages"
    workers = f"; {stack.workers} x {stack.pool} worker" if stack is not None else ""
    robots = options.robots
    if robots == "obey":
        robots += f" (Crawl-delay up to {options.max_crawl_delay_s:g} s)"
    again = f" (again what '{options.recrawl}' crawled)" if options.recrawl is not None else ""
    return (
        f"crawl '{name}'{again}: scope {options.scope}, {depth}, {pages}, delay {options.delay_s:g} s per host, "
        f"robots {robots}, batches of up to {options.batch}, pipeline {options.pipeline}{workers}"
    )


def _in_compose() -> bool:
    return bool(os.environ.get("POOLCRAWL_IN_COMPOSE"))


def _command() -> str:
    """Return how the person calls poolcrawl where this process runs, so that what we print can be pasted."""
    if _in_compose():
        return "docker compose run --rm -T producer"
    called = Path(sys.argv[0])
    found = shutil.which("poolcrawl")
    if called.name != "poolcrawl" or (found and Path(found).samefile(called)):
        return "poolcrawl"
    with contextlib.suppress(ValueError):
        return str(called.absolute().relative_to(Path.cwd()))
    return str(called)


def _same_crawl(options: CrawlOptions, *, unnamed: bool) -> str:
    """Return the arguments that make the same crawl again; a seeds file or standard input is named, not repeated."""
    told: list[str] = ["crawl"]
    told += options.seeds if len(options.seeds) <= 3 else []
    told += ["--seeds", "FILE"] if unnamed or len(options.seeds) > 3 else []
    plain = CrawlOptions()
    for name, option in (
        ("depth", "--depth"),
        ("max_pages", "--max-pages"),
        ("max_pages_per_host", "--max-pages-per-host"),
        ("scope", "--scope"),
        ("adaptive_delay", "--adaptive-delay"),
        ("traps", "--traps"),
        ("recrawl", "--recrawl"),
        ("extractor", "--extractor"),
        ("delay_s", "--delay"),
        ("robots", "--robots"),
    ):
        value = getattr(options, name)
        if value != getattr(plain, name):
            told += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    for flag, option in (
        (options.cookies, "--cookies"),
        (options.sitemaps, "--sitemaps"),
        (options.main_text, "--text"),
    ):
        told += [option] if flag else []
    # Neither secrets nor whole files are repeated.
    for value, option in ((options.credentials, "--credentials"), (options.extract, "--extract")):
        told += [option, "FILE"] if value else []
    for values, option in (
        (options.include, "--include"),
        (options.exclude, "--exclude"),
        (options.drop_query, "--drop-query"),
        (tuple(f"{name}: {value}" for name, value in options.headers), "--header"),
        (options.allow_addresses or (), "--allow-address"),
        (options.resolve, "--resolve"),
    ):
        for value in values:
            told += [option, value]
    return shlex.join(told)


def _next_commands(plan: Plan, options: CrawlOptions, stack: Stack | None) -> list[str]:
    """Return what a person may want to do next: take the records, try another pool."""
    names_of_pools = list(pools.TABLE)
    used = stack.pool if stack is not None else plan.settings.pool
    other = names_of_pools[(names_of_pools.index(used) + 1) % len(names_of_pools)]
    command = _command()
    if _in_compose():
        again = f"CRAWL_POOL={other} docker compose up"
        # Without --no-deps, compose would also bring every service back to its declared scale.
        reading = command.replace(" -T ", " -T --no-deps ")
        return [f"{reading} export {plan.name} > pages.jsonl", again]
    taken = f"{command} export {plan.name} --output pages.jsonl"
    if stack is None:  # workers elsewhere have chosen their pool already
        return [taken]
    same = _same_crawl(options, unnamed=bool(plan.source or plan.stream))
    again = f"CRAWL_POOL={other} {command} {'demo' if options.demo else same}"
    return [taken, again]


def _flower_line(stack: Stack | None) -> str | None:
    if stack is not None:
        if stack.flower_url is None:
            return None
        return f"Flower: {stack.flower_url} user {stack.flower_user} password {stack.flower_password}"
    if os.environ.get("FLOWER_PORT") and os.environ.get("FLOWER_USER"):
        return (
            f"Flower: http://127.0.0.1:{os.environ['FLOWER_PORT']}/ user {os.environ['FLOWER_USER']} "
            "password: `make flower-password`"
        )
    return None


def _end(
    plan: Plan, client: redis.Redis, options: CrawlOptions, flower: str | None, stack: Stack | None
) -> int:
    """Print the summary, write the output file, name the next commands; return the exit code."""
    assert plan.name is not None
    status = results.status(client, plan.name)
    for text in summary.lines(status):
        say(text)
    say("three of its records:")
    for text in summary.samples(client, plan.name):
        say(f"  {text}")
    written = None
    if plan.output:
        written = files.to_file(client, plan.name, plan.format_name, plan.output)
        say(f"{written} records in {plan.output}")
        if _in_compose():
            say(f"copy it out: docker compose cp producer:{Path(plan.output).absolute()} .")
    say("next:")
    for text in _next_commands(plan, options, stack):
        say(f"  {text}")
    if flower:
        say(flower)
    if plan.as_json:
        print(json.dumps(summary.as_dict(status, output=plan.output, written=written)), flush=True)
    fetched = (
        status.outcomes.get("ok", 0)
        + status.outcomes.get("redirect", 0)
        + status.reasons.get("content_type", 0)
    )
    return 0 if fetched else 1


def _stay(stack: Stack) -> None:
    say("Flower and the site stay up until Ctrl-C")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            stack.watch()
            time.sleep(0.5)
