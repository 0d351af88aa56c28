"""Every check, and what each guarantee means: each check crawls the site with something in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawl.errors import UnavailableError
from lab.guarantees import endings, fatal, finding, meetings, verdicts
from lab.guarantees.site import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.guarantees.finding import Finding
    from lab.guarantees.stage import Stage

#: The checks, in the order they run; recycling wants workers that have done little else, so it comes last in its lane.
CHECKS: dict[str, Callable[[Stage, str], list[Finding]]] = {
    "deadline": meetings.deadline,
    "dns": meetings.dns,
    "caps": meetings.caps,
    "cancel": endings.cancel,
    "kill": endings.kill,
    "drain": endings.drain,
    "stalled": endings.stalled,
    "recycling": endings.recycling,
    "crash": fatal.crash,
    "hold": fatal.hold,
}
#: Checks that run at the same time, each lane on a server, a site and workers of its own: those of fatal pages wait
#: most of their time for leases to end.
LANES = (("deadline", "dns", "caps", "cancel", "kill", "drain", "recycling"), ("stalled", "crash"), ("hold",))
#: Every guarantee, as a matrix shows it, with what it promises.
GUARANTEES: dict[str, str] = {
    "deadline-header": "a request ends with its total time when header bytes drip",
    "deadline-body": "... when body bytes drip",
    "deadline-silence": "... when no answer comes",
    "deadline-connect": "... when no connection comes about",
    "deadline-dns": "... when the name is never resolved; other names still are",
    "deadline-tls": "... when the TLS handshake never ends",
    "cap-raw": "a body longer than the cap is left at the cap",
    "cap-unpacked": "a small body is unpacked to the cap and no further",
    "cancel": "a cancelled crawl's requests end within seconds",
    "kill": "SIGKILL loses and doubles nothing",
    "drain": "SIGTERM ends with 0 in time, and nothing is asked twice",
    "drain-stalled": "... also while its requests hang: they are cut and handed back",
    "recycling": "a worker that has grown is replaced, or gives memory back, and no work is lost",
    "crash": "a page that crashes its worker ends as lost, and no other page is charged",
    "hold": "... and so does one that never gives the interpreter away",
}
assert set(GUARANTEES) == {
    *verdicts.DEADLINES.values(),
    *(verdicts.DNS, verdicts.CAP_RAW, verdicts.CAP_UNPACKED, verdicts.CANCEL, verdicts.CRASH, verdicts.HOLD),
    *(finding.KILL, finding.DRAIN, finding.STALLED, finding.RECYCLING),
}


def undisturbed(stage: Stage) -> str:
    """Crawl the site with nothing in the way; return the records' digest.

    Raises UnavailableError where that does not work: then nothing else could be told.
    """
    crawled = stage.crawl("undisturbed", [stage.site.seed], {})
    if crawled.code != 0 or crawled.records != PAGES or crawled.missing or crawled.duplicate:
        message = (
            f"{stage.pool}: the undisturbed crawl ended with {crawled.code} and {crawled.records} of {PAGES} "
            f"records; it said: {crawled.said or 'nothing'}"
        )
        raise UnavailableError(message)
    return crawled.digest
