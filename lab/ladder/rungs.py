"""The table of rungs: what each is called, which file it is, and the one sentence it is there for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from crawl.errors import UsageError
from lab.ladder.pages import COUNT

#: Slots of every rung that has slots, but for those that say otherwise.
SLOTS = 4
#: What is not a rung but can be asked for by name: the table of costs.
COSTS = "costs"


@dataclass(frozen=True)
class Rung:
    """One way. `module` is its file in lab/ladder; `crew` names the Celery workers it needs (`lab.ladder.workers`)."""

    name: str
    module: str
    shows: str
    slots: int = SLOTS
    #: How many pages: beyond ten they come round again.
    count: int = COUNT
    #: Whether the pages answer at once and parse for nothing.
    instant: bool = False
    #: Whether its time can be set against the serial rung's: same pages, nothing else to wait for.
    compared: bool = True
    #: Sockets watched beside the pages; None for rungs that watch none.
    idle: int | None = None
    #: Whether its server comes up only after the start.
    late: bool = False
    #: Whether each result is stored on a server, too.
    stores: bool = False
    crew: str | None = None
    #: Package that must be installed, or None.
    needs: str | None = None


def _pools() -> list[Rung]:
    sentences = {
        "process_sync": "A pool used synchronously is the serial crawl",
        "thread_sync": "The same with threads: no faster, a little cheaper",
        "process_collect": "v1: all parses wait for the last fetch, then run one by one",
        "thread_collect": "v1: the same, fetched by threads",
        "process_fused": "v2: parses run beside fetches, on all cores; fetch and parse are coupled",
        "thread_fused": "v2: parses run beside fetches, but one at a time",
        "process_callback": "v3: decoupled; the callback runs in the main process, one at a time, and frees the slot",
        "thread_callback": "v3: decoupled; the callback runs in the thread that fetched, and holds its slot",
    }
    rungs = [Rung(module.replace("_", "-"), module, shows) for module, shows in sentences.items()]
    for kind in ("process", "thread"):
        shows = f"23 tasks on 5 {kind} slots: whoever is free takes the next"
        rungs.append(Rung(f"{kind}-tasks", f"{kind}_tasks", shows, slots=5, count=23, compared=False))
    return rungs


def _callbacks_and_events() -> list[Rung]:
    return [
        Rung(
            "callback-io",
            "callback_io",
            "A callback that waits: callbacks queue up, and set the time",
            stores=True,
        ),
        Rung("callback-io-pool", "callback_io_pool", "The cure: a second pool does the waiting", stores=True),
        Rung(
            "event-flag",
            "event_flag",
            "A polled flag: looks for nothing, noticed late",
            late=True,
            compared=False,
        ),
        Rung(
            "event-wait", "event_wait", "Event.wait(): no looks, noticed at once", late=True, compared=False
        ),
        Rung(
            "event-timeout",
            "event_timeout",
            "wait(timeout): may say that it still waits, or give up",
            late=True,
            compared=False,
        ),
        Rung("event-shutdown", "event_shutdown", "Event as the end: every thread finishes its page"),
    ]


def _one_thread() -> list[Rung]:
    greenlets = "Greenlets: waiting overlaps, a parse stops all the others"
    everything = "All ten at once: more slots, not the callback's place, is the lever"
    rungs = [
        Rung("gevent", "gevent_pool", greenlets, needs="gevent"),
        Rung("asyncio", "asyncio_streams", "Coroutines: the same, and the code shows where it may switch"),
        Rung("asyncio-all", "asyncio_streams", everything, slots=COUNT),
        Rung("select", "select_loop", "One loop over non-blocking sockets, by hand"),
        Rung("selector", "selector_loop", "The same loop on epoll or kqueue"),
    ]
    for idle in (10, 100, 1000):
        for name, price in (("select", "every call looks at all of them"), ("selector", "they cost no time")):
            rungs.append(
                Rung(
                    f"{name}-idle-{idle}",
                    f"{name}_loop",
                    f"1000 quick pages beside {idle} idle sockets: {price}",
                    count=1000,
                    instant=True,
                    compared=False,
                    idle=idle,
                )
            )
    return rungs


def _celery() -> list[Rung]:
    ways = {
        "collect": ("v1", "the sender parses all by itself, whatever the pool is"),
        "fused": ("v2", ""),
        "callback": ("v3", ""),
    }
    crews = {
        "prefork": "parses run on all cores",
        "threads": "parses take turns",
        "gevent": "a parse stops all fetches of its worker",
        "split": "greenlets fetch, processes parse",
    }
    rungs = []
    for crew, parses in crews.items():
        for way, (version, shows) in ways.items():
            sentence = shows or (
                "the worker for parsing idles" if (way, crew) == ("fused", "split") else parses
            )
            needs = "gevent" if crew in ("gevent", "split") else None
            rung = Rung(
                f"celery-{way}-{crew}", f"celery_{way}", f"{version}: {sentence}", crew=crew, needs=needs
            )
            rungs.append(rung)
    return rungs


RUNGS: dict[str, Rung] = {
    rung.name: rung
    for rung in (
        Rung("serial", "serial", "One page after the other: what the others are measured against"),
        *_pools(),
        *_callbacks_and_events(),
        *_one_thread(),
        *_celery(),
    )
}


def chosen(only: tuple[str, ...]) -> list[Rung]:
    """Return the rungs asked for, in the table's order; all of them for none.

    Raises UsageError, which lists the nearest names or all, for a name that is none.
    """
    names = [*RUNGS, COSTS]
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, 5, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
            message = f"--only: there is no rung '{name}'; {hint}"
            raise UsageError(message)
    return [rung for rung in RUNGS.values() if not only or rung.name in only]
