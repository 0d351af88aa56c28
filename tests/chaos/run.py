"""One scene from its beginning to its judgement, and a life with many kills."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import redis
from chaos.faults import all_workers, one_worker, pool_child, producer, redis_killed
from chaos.judge import Row, Terms, judge
from chaos.scene import Scene

if TYPE_CHECKING:
    from chaos.faults import Fault

#: Pages of a scene's site: 5 to 15 s of crawling.
PAGES = 120
#: Of the one with many kills.
MANY_PAGES = 1200
#: Kills in one pool, and the longest time between two.
KILLS = 20
_BETWEEN_S = 4.0
#: Longest time from the last of them to the end of the crawl.
_LONG_END_S = 400.0
#: What a producer ends with that meets no worker or no Redis.
_UNAVAILABLE = 3
#: What ends a scene: it is a row that went wrong, and the others go on.
_BROKEN = (AssertionError, redis.RedisError, OSError, subprocess.SubprocessError, psutil.Error)
#: What a life of kills consists of, and which of them end a process that works on pages.
_ACTS = (one_worker, one_worker, all_workers, producer, redis_killed)
_DEADLY = (one_worker, all_workers, pool_child)


def scene_of(fault: Fault, pool: str, folder: Path, pages: int = PAGES) -> Scene:
    """Return the scene in which a fault is to happen."""
    scene = Scene(
        folder,
        pool,
        pages=pages,
        linked=fault.linked,
        settings=dict(fault.settings),
        output=fault.output,
        split=fault.split,
        serviced=fault.serviced,
        doubled=fault.doubled,
    )
    scene.workers[0].variables.update(fault.first_worker)
    return scene


def play(fault: Fault, pool: str, *, kept: Path | None = None) -> Row:
    """Let a fault happen half-way through a crawl, and judge what came of it; `kept` keeps the logs of a bad one."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    note = ""
    try:
        with scene_of(fault, pool, folder) as scene:
            try:
                scene.reach(0.5)
                note = fault.act(scene) or ""
                done = scene.ended()
                scene.stop()
                row = judge(scene, fault.name, done, fault.terms, note)
            except _BROKEN as error:
                return _broken(fault.name, pool, scene, _why(error), kept)
            if not row.good:
                _keep(scene, row, kept)
            return row
    except _BROKEN as error:
        return _not_begun(fault.name, pool, PAGES, error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"


def _not_begun(fault: str, pool: str, pages: int, error: Exception) -> Row:
    return Row(fault, pool, 0, pages, 0, 0, None, 0.0, wrong=[f"it did not begin: {_why(error)}"])


def _broken(fault: str, pool: str, scene: Scene, why: str, kept: Path | None) -> Row:
    row = Row(fault, pool, scene.done(), scene.site.pages - scene.done(), 0, 0, None, 0.0, wrong=[why])
    _keep(scene, row, kept)
    return row


def _keep(scene: Scene, row: Row, kept: Path | None) -> None:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        name = f"{row.fault} {row.pool}.log".replace(" ", "-").replace(":", "").replace(",", "")
        (kept / name).write_text(scene.logs())


def most_losses(deaths: int) -> int:
    """Return how many losses so many kills of workers may be charged as, over all URLs.

    A crawl has one suspect under way, and it takes two deaths to become one; so each kill after those two charges one
    URL at most. The first time that counts two (decision 0025), and it may be another URL each time.
    """
    return 2 * max(0, deaths - 2)


def many_kills(pool: str, seed: int, *, kept: Path | None = None) -> Row:
    """Kill somebody at random twenty times during one crawl, and judge it."""
    chance = random.Random(f"{seed} {pool}")
    acts = [*_ACTS, *([pool_child] if pool == "prefork" else [])]
    # No page is at fault here, however often the workers die under it.
    settings = {"CRAWL_MAX_LOSSES": "25"}
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    name = f"{KILLS} kills"
    try:
        with Scene(folder, pool, pages=MANY_PAGES, settings=settings) as scene:
            killed = deadly = 0
            try:
                scene.reach(0.02)
                while killed < KILLS and scene.done() < 0.97 * scene.site.pages:
                    time.sleep(chance.uniform(0.2, _BETWEEN_S))
                    act = chance.choice(acts)
                    act(scene)
                    killed += 1
                    deadly += act in _DEADLY
                done = scene.ended(_LONG_END_S)
                while done.code == _UNAVAILABLE:
                    # Nobody was alive when it began: whoever starts things again starts it again.
                    scene.produce()
                    done = scene.ended(_LONG_END_S)
                scene.stop()
            except _BROKEN as error:
                return _broken(name, pool, scene, _why(error), kept)
            note = f"{killed} kills, seed {seed}"
            row = judge(scene, name, done, Terms(refetches=killed, losses=most_losses(deadly)), note)
            if killed < KILLS:
                row.wrong.append(f"the crawl was over after {killed} kills")
            if not row.good:
                _keep(scene, row, kept)
            return row
    except _BROKEN as error:
        return _not_begun(name, pool, MANY_PAGES, error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
