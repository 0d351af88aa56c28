"""`crawl --detach`: submit a crawl and return; somebody else pumps it.

That is a pump service on the Redis of CRAWL_REDIS_URL, else an embedded stack that is left up in the background until
`poolcrawl stop` ends it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from crawl import connection, names, results, settings
from crawl.errors import UnavailableError, UsageError
from crawl.frontier import Frontier
from embedded import detached
from embedded.state import State
from poolcrawl import commandline, saying, submission, summary
from poolcrawl.saying import say
from producer.pressure import Pressure
from producer.seeds import Intake
from producer.submitter import Submitter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from poolcrawl.plan import Plan

#: Seconds until the service of a stack that answers shows its first sign of life.
_SERVICE_S = 30.0
_POLL_S = 0.05


def to_service(plan: Plan, client: redis.Redis) -> int:
    """Submit a plan's crawl to the pump services of this Redis; return the exit code.

    Raises UnavailableError when none is alive: then nothing is submitted.
    """
    if not results.pump_services(client):
        message = (
            "no pump service is alive, so nobody would go on with the crawl; start one with `poolcrawl pump` "
            "(or `docker compose up -d pump`), or leave --detach out"
        )
        raise UnavailableError(message)
    return _submitted(plan, client)


def _submitted(plan: Plan, client: redis.Redis) -> int:
    assert plan.name is not None
    frontier = Frontier(client, plan.name)
    with Submitter(client, plan.name) as submitter:
        options, state = submission.submit(plan, frontier)
        if state == names.FINISHED:
            return saying.said_finished(plan, client, options, None)
        say(saying.first_line(plan.name, options, None))
        if plan.stream is not None:
            frontier.reopen(None, unnamed=True)
        submission.admit(plan, frontier, options, submitter.keep, say)
        intake = Intake(frontier, options)
        pressure = Pressure(client, plan.name, limit_bytes=plan.settings.max_redis_bytes)
        while plan.stream is not None and plan.stream.open:
            pressure.require_room_for_seeds()
            plan.stream.step(intake)
            submitter.keep()
            time.sleep(_POLL_S)
    command = commandline.command()
    say("submitted; it goes on without this command. Next:")
    for verb in ("status", "pause", "export"):
        say(f"  {command} {verb} {plan.name}")
    if plan.settings.redis_address() is None:
        say(f"  {command} stop")
    if plan.as_json:
        print(json.dumps(summary.as_dict(results.status(client, plan.name))), flush=True)
    else:
        print(plan.name, flush=True)
    return 0


def to_stack(plan: Plan, worker_variables: Mapping[str, str]) -> int:
    """Submit a plan's crawl to the stack that is left up in the state directory, started if need be.

    Raises UsageError for what a stack that is up was not started with.
    """
    state = State(plan.settings.state_dir)
    wanted = detached.Wanted(
        pool=plan.pool,
        concurrency=plan.concurrency,
        workers=plan.workers,
        allow_addresses=plan.allow,
        resolve=plan.resolve,
        extractors=() if plan.extractor is None else (plan.extractor,),
    )
    run = detached.left_up(state)
    if run is None:
        run = detached.start(state, wanted, worker_variables)
    elif lacking := wanted.lacking(run):
        message = (
            f"a stack is up (pid {run.parent.pid}) that was not started with {', '.join(lacking)}; "
            "end it with `poolcrawl stop`, its crawls go on with the next one"
        )
        raise UsageError(message)
    client = connection.connect(str(run.redis_url))
    until = time.monotonic() + _SERVICE_S
    while not results.pump_services(client):
        if time.monotonic() > until:
            message = f"the stack in {state.path} does not serve crawls; see {state.log(detached.LOG)}"
            raise UnavailableError(message)
        time.sleep(_POLL_S)
    return _submitted(plan, client)


@click.command(epilog="Example: poolcrawl stop")
def stop() -> None:
    """End the stack that runs in the state directory: one left up by `crawl --detach`, or that of a crawl.

    Its workers finish the requests they are at. Unfinished crawls are kept; `crawl --name` continues them.
    """
    own = settings.load()
    if own.redis_address() is not None:
        message = (
            "CRAWL_REDIS_URL is set, but `stop` ends the embedded stack of a state directory; unset it, or end "
            "services where they run"
        )
        raise UsageError(message)
    state = State(own.state_dir)
    if detached.stop(state, say):
        print(f"stopped; unfinished crawls go on with `{commandline.command()} crawl --name NAME`")
    else:
        print(f"nothing runs in {state.path}")
