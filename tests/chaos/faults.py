"""Everything that may happen to a crawl, by name: what is done to it half-way, and what that may cost."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.judge import Terms
from chaos.scene import CRAWL, LEASE_S, beside, frozen
from stack import POOLCRAWL, wait_for

from crawl import keys, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chaos.scene import Scene

#: Longer than a lease: whoever is silent for so long has lost what it held.
PAST_A_LEASE_S = LEASE_S + 1.5
#: How long Redis cannot be reached, in seconds; `make chaos` takes the long time.
OUTAGE_S, LONG_OUTAGE_S = 8.0, 60.0
#: A worker's clock is off by so many seconds.
OFF_S = 600
#: Runs a command whose files may not grow beyond 8 KB: what a full disk is to it, and nobody need be root.
_LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY)); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_SHIFTED = Path(__file__).with_name("shifted")


@dataclass(frozen=True)
class Fault:
    """One thing that happens. `act` returns a remark for the table, or None."""

    name: str
    act: Callable[[Scene], str | None]
    terms: Terms = field(default_factory=Terms)
    #: Whether workers and producer reach Redis through a link that can be disturbed.
    linked: bool = False
    #: Pools it makes sense in; all, when it is empty.
    pools: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Variables of the first worker alone.
    first_worker: Mapping[str, str] = field(default_factory=dict)
    #: Whether the producer is to write the records to a file at the end.
    output: bool = False


def nothing(scene: Scene) -> None:
    """The undisturbed crawl that all others are compared with."""


def one_worker(scene: Scene) -> None:
    """SIGKILL of one worker, all its processes; it is started again."""
    with scene.disturbance():
        scene.kill(scene.workers[0])


def all_workers(scene: Scene) -> None:
    """SIGKILL of every worker at once."""
    with scene.disturbance():
        scene.kill(*scene.workers)


def parent_of_pool(scene: Scene) -> None:
    """SIGKILL of a worker's own process; the children of its pool find out by themselves."""
    own = scene.workers[0].processes()[0]
    with scene.disturbance():
        own.kill()
    scene.workers[0].kept = True
    # Ended by us, so it does not count as deserted.
    wait_for(lambda: scene.deserted, "the worker is started again")
    scene.deserted.clear()


def pool_child(scene: Scene) -> None:
    """SIGKILL of one process of a pool; its parent goes on."""
    # A worker that was started a moment ago has nothing in hand; losing a child then would try nothing.
    child = wait_for(lambda: scene.settled(scene.workers[0]), "a pool has children", 90)[-1]
    with scene.disturbance():
        child.kill()


def producer(scene: Scene) -> None:
    """SIGKILL of the producer; the same command with `--name` alone goes on."""
    with scene.disturbance():
        scene.kill_producer()
        scene.produce()


def producer_and_workers(scene: Scene) -> None:
    """SIGKILL of everybody but Redis."""
    before = set(scene.alive())
    with scene.disturbance():
        scene.kill_producer()
        scene.kill(*scene.workers)
        # A producer that meets no worker for ten seconds says so and ends; those of before still count as alive.
        wait_for(lambda: set(scene.alive()) - before, "a new worker is alive", 90)
        scene.produce()


def frozen_worker(scene: Scene) -> None:
    """SIGSTOP of a worker for longer than its leases, then SIGCONT."""
    with scene.disturbance():
        frozen(scene, scene.workers[0], PAST_A_LEASE_S)


def redis_killed(scene: Scene) -> None:
    """SIGKILL of Redis, and a start on its append-only file."""
    with scene.disturbance():
        scene.server.kill()
        time.sleep(0.5)
        scene.server.start()


def redis_frozen(scene: Scene) -> None:
    """SIGSTOP of Redis for longer than a lease."""
    with scene.disturbance():
        scene.server.freeze()
        time.sleep(PAST_A_LEASE_S)
        scene.server.freeze(False)


def unreachable(scene: Scene) -> None:
    """Every connection to Redis is reset and none is taken for a while."""
    assert scene.link is not None
    with scene.disturbance():
        scene.link.cut()
        time.sleep(outage_s())
        scene.link.mend()


def silent(scene: Scene) -> None:
    """No byte passes between Redis and anybody for a while; nobody is told."""
    assert scene.link is not None
    with scene.disturbance():
        scene.link.silence()
        time.sleep(outage_s())
        scene.link.silence(False)


def answers_lost(scene: Scene) -> None:
    """Commands arrive and run, and their answers are lost; then the connections are reset."""
    assert scene.link is not None
    with scene.disturbance():
        for _ in range(3):
            scene.link.deafen()
            time.sleep(0.4)
            scene.link.reset()
            time.sleep(0.6)


def slow(scene: Scene) -> None:
    """Every answer of Redis comes 200 ms late, from here to the end."""
    assert scene.link is not None
    with scene.disturbance():
        scene.link.slow(0.2)


def stalling(scene: Scene) -> None:
    """The connection to Redis stands still for 2 s, again and again."""
    assert scene.link is not None
    with scene.disturbance():
        for _ in range(3):
            scene.link.silence()
            time.sleep(2)
            scene.link.silence(False)
            time.sleep(0.5)


def memory_full(scene: Scene) -> str:
    """Redis reaches its memory limit, which is raised a while later."""
    with scene.disturbance():
        scene.server.limit_memory(scene.server.used_memory() + 16 * 1024)
        time.sleep(4)
        scene.server.limit_memory(0)
    said = "paused: memory" in scene.logs()
    return "the producer said that it paused" if said else "no pause was needed"


def disk_full(scene: Scene) -> None:
    """Redis cannot write its append-only file for a while."""
    with scene.disturbance():
        scene.server.fill_disk()
        time.sleep(5)
        scene.server.fill_disk(False)


def export_full(scene: Scene) -> str:
    """The disk of the exported file is full: one line says so, and a later export completes the same file."""
    file = scene.directory.path / "half.jsonl"
    words = ("export", CRAWL, "--output", str(file))
    with scene.disturbance():
        command = (sys.executable, "-c", _LIMITED, *POOLCRAWL, *words)
        failed = scene.directory.spawn(command, CRAWL_REDIS_URL=scene.url).ended()
    scene.ended()
    again = scene.directory.run(*words, CRAWL_REDIS_URL=scene.url)
    told = [line for line in failed.stderr.splitlines() if line.strip()]
    assert failed.code == 2, failed
    assert len(told) == 1, failed.stderr
    assert "cannot be written" in told[0], told
    assert again.code == 0, again.stderr
    lines = file.read_text().splitlines()
    urls = {json.loads(line)["url"] for line in lines}
    assert len(lines) == len(urls) == scene.site.pages, f"{len(lines)} lines, {len(urls)} URLs"
    return told[0].replace(str(file), "FILE")


def clock_off(scene: Scene) -> str:
    """One worker's wall clock is wrong from its start; half-way it is killed and comes back as wrong as before."""
    with scene.disturbance():
        scene.kill(scene.workers[0])
    return f"{OFF_S} s ahead, and killed"


def doubled_and_late(scene: Scene) -> str:
    """Broker messages are delivered twice, and long after their lease was given to others."""
    queues = [broker_queue(name) for name in names.QUEUES]
    held: list[tuple[bytes, bytes]] = []
    doubled = 0
    until = time.monotonic() + 5
    with scene.disturbance():
        while time.monotonic() < until and len(held) < 3:
            # Waiting like a worker does, and served in turn with them.
            taken = scene.client.brpop(queues, timeout=1)
            if taken is None:
                continue
            queue, message = taken
            if doubled < 6:
                scene.client.rpush(queue, message, message)
                doubled += 1
            else:
                held.append((queue, message))
        # The reaper has sent these leases again meanwhile, and somebody has finished them.
        time.sleep(PAST_A_LEASE_S)
        for queue, message in held:
            scene.client.rpush(queue, message)
    assert doubled, "no message was met in the broker"
    return f"{doubled} messages doubled, {len(held)} late"


def seeds_twice(scene: Scene) -> None:
    """The same command with the same name runs a second time, at the same time."""
    with scene.disturbance():
        second = scene.spawn(*scene.submission(), "--json")
    done = second.ended(90)
    assert done.code == 0, done.stderr


def rolling(scene: Scene) -> str:
    """One worker after the other is stopped, and another pool takes its place."""
    other = "gevent" if scene.pool != "gevent" else "threads"
    with scene.disturbance():
        for worker in scene.workers:
            scene.replace(worker, other)
            time.sleep(0.5)
    return f"{scene.pool} to {other}"


def outage_s() -> float:
    """Return how long Redis is to be out of reach."""
    return float(os.environ.get("CHAOS_OUTAGE_S") or OUTAGE_S)


def broker_queue(name: str) -> str:
    """Return the list in which Celery keeps a queue's messages."""
    return keys.BROKER_PREFIX + name


#: What the death of a worker may cost: each of its slots held one page.
_DEATH = Terms(losses=2)
#: A report that Redis refuses leaves its lease to run out, which looks like a death where one URL travelled alone.
_REFUSED = Terms(losses=2)
_FORKING = ("prefork",)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("undisturbed", nothing, Terms(refetches=0)),
        Fault("worker killed", one_worker, _DEATH),
        Fault("all workers killed", all_workers, Terms(losses=4)),
        Fault("pool child killed", pool_child, _DEATH, pools=_FORKING),
        Fault("pool parent killed", parent_of_pool, _DEATH, pools=_FORKING),
        Fault("producer killed", producer, Terms(refetches=0)),
        Fault("producer and workers killed", producer_and_workers, Terms(losses=4)),
        Fault("worker frozen", frozen_worker, Terms(losses=2, polite=False)),
        Fault("redis killed", redis_killed),
        Fault("redis frozen", redis_frozen),
        Fault("redis unreachable, with reset", unreachable, linked=True),
        Fault("redis unreachable, without reset", silent, linked=True),
        Fault("answers lost", answers_lost, Terms(refetches=3), linked=True),
        Fault("redis slow", slow, Terms(refetches=0), linked=True),
        Fault("redis stalling", stalling, linked=True),
        Fault("memory limit", memory_full, _REFUSED),
        Fault("disk full: redis", disk_full, _REFUSED),
        Fault("disk full: export", export_full, Terms(refetches=0)),
        Fault(
            "clock off",
            clock_off,
            _DEATH,
            first_worker={**beside(_SHIFTED), "CHAOS_CLOCK_S": str(OFF_S)},
        ),
        Fault("messages doubled and late", doubled_and_late),
        Fault("seeds submitted twice", seeds_twice, Terms(refetches=0)),
        Fault("rolling restart", rolling, Terms(refetches=0)),
    )
}
