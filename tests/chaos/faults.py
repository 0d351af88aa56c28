"""Everything that may happen to a crawl, by name: what is done to it half-way, and what that may cost."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.judge import Terms
from chaos.scene import CRAWL, LEASE_S, SLOTS, beside, frozen
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
#: Bytes that a file may have on a full disk: more than a producer says to people, less than its records take.
_ROOM = 16 * 1024
#: Runs a command whose files may not grow beyond that: what a full disk is to it, and nobody need be root.
_LIMITED = (
    f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({_ROOM}, resource.RLIM_INFINITY)); "
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
    #: Whether the producer writes the records to a file at the end.
    output: bool = False
    #: Whether one worker only fetches and the other one only parses.
    split: bool = False
    #: Whether a pump service is there from the beginning.
    serviced: bool = False
    #: Whether the same command runs twice, from the beginning.
    doubled: bool = False


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


def producer_with_standby(scene: Scene) -> str:
    """SIGKILL of the producer while a second one stands by; nobody starts anything again."""
    _, standby = scene.tell_apart()
    owner = _owner(scene)
    with scene.disturbance():
        scene.kill_producer()
    # It has the rest to do, and its end is what is judged.
    scene.producer = standby
    return _replaced(scene, owner)


def producer_with_service(scene: Scene) -> str:
    """SIGKILL of the producer while a pump service is there; nobody starts anything again."""
    owner = _owner(scene)
    with scene.disturbance():
        scene.kill_producer()
    note = _replaced(scene, owner)
    scene.serve()
    return note


def two_producers(scene: Scene) -> str:
    """Two run from the first moment; the one that pumps is stopped until the other has taken over, and goes on."""
    owner, standby = scene.tell_apart()
    mark = _owner(scene)
    with scene.disturbance():
        owner.process.send_signal(signal.SIGSTOP)
        try:
            note = _replaced(scene, mark)
        finally:
            owner.process.send_signal(signal.SIGCONT)
    done = owner.ended(90)
    assert done.code == 0, done.stderr
    scene.producer = standby
    return note


def _owner(scene: Scene) -> bytes:
    """Return the mark of who pumps the crawl."""
    found: bytes = wait_for(lambda: scene.client.get(keys.pump(CRAWL)), "somebody pumps the crawl")
    return found


def _replaced(scene: Scene, owner: bytes) -> str:
    """Wait until another one pumps the crawl, and say how long that took; pages under way are done meanwhile."""
    began = time.monotonic()
    wait_for(lambda: scene.client.get(keys.pump(CRAWL)) not in (owner, None), "another producer takes over")
    return f"replaced after {time.monotonic() - began:.1f} s"


def split_workers(scene: Scene) -> None:
    """SIGKILL of the only worker that fetches, and of the only one that parses as soon as the former is back."""
    fetching, parsing = scene.workers
    with scene.disturbance():
        scene.kill(fetching)
        # What was asked for by the dead one may still arrive.
        asked = len(scene.site.visits) + SLOTS
        wait_for(lambda: len(scene.site.visits) > asked, "the new fetch worker asks for pages", 90)
        scene.kill(parsing)


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
        refused = scene.server.refused("OOM")
        scene.server.limit_memory(0)
    said = "paused: memory" in scene.logs()
    assert said or refused, "Redis never came to its limit"
    return f"{refused} writes refused{', the producer said that it paused' if said else ''}"


def disk_full(scene: Scene) -> str:
    """Redis cannot write its append-only file for a while."""
    with scene.disturbance():
        scene.server.fill_disk()
        time.sleep(5)
        refused = scene.server.refused("MISCONF")
        scene.server.fill_disk(False)
    assert refused, "Redis never met a full disk"
    return f"{refused} commands refused"


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
    _check_complete(scene, file)
    return told[0].replace(str(file), "FILE")


def output_full(scene: Scene) -> str:
    """The disk is full when the producer writes its `--output`: one line; the same command completes it later."""
    assert scene.producer is not None
    assert scene.output is not None
    with scene.disturbance():
        # What it says to people goes elsewhere, but the limit is for all files of a process.
        limits = (_ROOM, resource.RLIM_INFINITY)
        resource.prlimit(scene.producer.process.pid, resource.RLIMIT_FSIZE, limits)
    failed = scene.ended()
    assert failed.code == 2, failed
    told = failed.stderr.splitlines()[-1]
    assert "cannot be written" in told, failed.stderr
    # The judge is shown the end of the command that completes it.
    scene.producer = scene.spawn(*scene.submission(), "--json")
    again = scene.ended()
    assert again.code == 0, again.stderr
    _check_complete(scene, scene.output)
    return told.replace(str(scene.output), "FILE")


def _check_complete(scene: Scene, file: Path) -> None:
    lines = file.read_text().splitlines()
    urls = {json.loads(line)["url"] for line in lines}
    assert len(lines) == len(urls) == scene.site.pages, f"{len(lines)} lines, {len(urls)} URLs"


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


_FORKING = ("prefork",)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("undisturbed", nothing, Terms(refetches=0)),
        Fault("worker killed", one_worker),
        Fault("all workers killed", all_workers),
        Fault("pool child killed", pool_child, pools=_FORKING),
        Fault("pool parent killed", parent_of_pool, pools=_FORKING),
        Fault("producer killed", producer, Terms(refetches=0)),
        Fault("producer and workers killed", producer_and_workers),
        Fault("producer killed, standby", producer_with_standby, Terms(refetches=0), doubled=True),
        Fault("producer killed, pump service", producer_with_service, Terms(refetches=0), serviced=True),
        Fault("two producers", two_producers, Terms(refetches=0), doubled=True),
        # Whoever is killed while it parses has asked for nothing: one request at most is repeated for both.
        Fault("worker killed, split", split_workers, split=True),
        Fault("worker frozen", frozen_worker, Terms(polite=False)),
        Fault("redis killed", redis_killed),
        Fault("redis frozen", redis_frozen),
        Fault("redis unreachable, with reset", unreachable, linked=True),
        Fault("redis unreachable, without reset", silent, linked=True),
        Fault("answers lost", answers_lost, Terms(refetches=3), linked=True),
        Fault("redis slow", slow, Terms(refetches=0), linked=True),
        Fault("redis stalling", stalling, linked=True),
        Fault("memory limit", memory_full),
        Fault("disk full: redis", disk_full),
        Fault("disk full: export", export_full, Terms(refetches=0)),
        Fault("disk full: output", output_full, Terms(refetches=0), output=True),
        Fault(
            "clock off",
            clock_off,
            first_worker={**beside(_SHIFTED), "CHAOS_CLOCK_S": str(OFF_S)},
        ),
        Fault("messages doubled and late", doubled_and_late),
        Fault("seeds submitted twice", seeds_twice, Terms(refetches=0)),
        Fault("rolling restart", rolling, Terms(refetches=0)),
    )
}
