"""The one judge of every scene: was anything lost, double, asked too often or too soon, or said with a traceback?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from chaos.scene import CRAWL, Scene

from crawl import audit, keys, politeness, results
from crawl.errors import PoolcrawlError

if TYPE_CHECKING:
    from stack import Done

_TRACEBACK = "Traceback (most recent call last)"


class Row(msgspec.Struct):
    """What came of one fault in one pool; `wrong` names everything that should not be."""

    fault: str
    pool: str
    pages: int
    lost: int
    duplicate: int
    #: Requests beyond one per URL, by the site's own log; robots.txt files count like pages.
    refetched: int
    #: From the end of the fault to the next page that was done; None where no page was left.
    resume_s: float | None
    #: The whole crawl.
    seconds: float
    #: Workers' deaths charged to URLs.
    losses: int = 0
    #: Workers that ended though nobody killed them.
    deserted: int = 0
    wrong: list[str] = []
    #: What a reader of the table should know.
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether every promise held."""
        return not self.wrong


class Terms(msgspec.Struct, frozen=True):
    """What a fault may cost. `refetches` is how often one URL may be asked for again: once per kill.

    Deaths are charged to nobody by default: only a suspect is charged, and it takes two deaths to become one (decision
    0025), whether a worker was killed, froze past its lease, or could not hand over what it had.
    """

    refetches: int = 1
    #: Deaths of workers that may be charged, over all URLs.
    losses: int = 0
    #: Not so where a worker is frozen past its lease, which no crawler can notice from outside.
    polite: bool = True
    #: Workers that may end by themselves.
    deserted: int = 0


def judge(scene: Scene, name: str, done: Done, terms: Terms, note: str = "") -> Row:
    """Judge a scene whose crawl has ended and whose workers are stopped."""
    wrong = []
    if done.code != 0:
        wrong.append(f"the producer ended with {done.code}: {_last_line(done.stderr)}")
    try:
        found = audit.audit(scene.client, CRAWL)
        status = results.status(scene.client, CRAWL)
    except PoolcrawlError as error:
        return Row(name, scene.pool, 0, scene.site.pages, 0, 0, None, 0.0, wrong=[*wrong, str(error)])
    # The audit counts a double record twice.
    lost = scene.site.pages - found.records
    if lost or found.missing or found.pending:
        wrong.append(f"{lost} pages lost ({found.missing} missing, {found.pending} pending)")
    if found.duplicate:
        wrong.append(f"{found.duplicate} records are double")
    if found.digest != scene.site.digest():
        wrong.append(f"the records differ from those of an undisturbed crawl: {'; '.join(_odd(scene))}")
    asked = scene.site.asked()
    often = {where: count - 1 for where, count in asked.items() if count > 1}
    worst = max(often.values(), default=0)
    if worst > terms.refetches:
        urls = [f"{host}{path}" for (host, path), count in often.items() if count > terms.refetches]
        wrong.append(f"asked for again more than {terms.refetches} times: {', '.join(urls[:5])}")
    if status.losses > terms.losses:
        wrong.append(f"{status.losses} losses were charged, at most {terms.losses} may be")
    if len(scene.deserted) > terms.deserted:
        wrong.append(f"workers ended by themselves, exit codes {scene.deserted}")
    if terms.polite:
        wrong += _impolite(scene)
    wrong += _outbursts(scene.logs())
    return Row(
        fault=name,
        pool=scene.pool,
        pages=found.records,
        lost=max(lost, found.missing),
        duplicate=found.duplicate,
        refetched=sum(often.values()),
        resume_s=_resumed(scene),
        seconds=_seconds(scene),
        losses=status.losses,
        deserted=len(scene.deserted),
        wrong=wrong,
        note=note,
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it printed nothing"])[-1]


def _impolite(scene: Scene) -> list[str]:
    found = politeness.audit(scene.client, CRAWL)
    named = [
        f"{one.kind} of {one.gap_ms} ms at {one.host}: {', '.join(one.urls)}" for one in found.violations
    ]
    return [f"impolite: {complaint}" for complaint in [*named, *scene.site.too_soon()][:5]]


def _outbursts(logs: str) -> list[str]:
    """Return what each traceback in the logs ended with, and how often."""
    ends = Counter[str]()
    lines = iter(logs.splitlines())
    for line in lines:
        if _TRACEBACK in line:
            indent = line.index(_TRACEBACK)
            end = next((text for text in lines if text[: indent + 1].strip()), "it was cut off")
            ends[end.strip()[:200]] += 1
    return [f"traceback ({count}): {end}" for end, count in ends.items()]


def _odd(scene: Scene) -> list[str]:
    """Return records that are not what the site gives: they tell more than two digests that differ."""
    promised = {told.url: told for told in scene.site.told()}
    odd = []
    for _, line in results.lines(scene.client, CRAWL):
        told = msgspec.json.decode(line, type=audit.Told)
        if promised.get(told.url) != told:
            odd.append(f"{told.url} {told.outcome} {told.reason} {told.status}")
    return odd[:5]


def _times(scene: Scene) -> list[float]:
    """Return when each page was done, by the server's clock, which is this machine's."""
    entries = scene.client.xrange(keys.results(CRAWL))
    return [int(identifier.partition(b"-")[0]) / 1000 for identifier, _ in entries]


def _resumed(scene: Scene) -> float | None:
    ended = scene.disturbed[1]
    after = [at for at in _times(scene) if at > ended]
    return round(min(after) - ended, 2) if ended and after else None


def _seconds(scene: Scene) -> float:
    times = _times(scene)
    visits = scene.site.visits
    return round(max(times) - visits[0].at, 1) if times and visits else 0.0
