"""What a crawl came to, in lines and as JSON: numbers by outcome and reason, sample records, a politeness audit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from crawl import results, tombstones
from crawl.connection import MEMORY_REMEDY

if TYPE_CHECKING:
    import redis

    from crawl.politeness import Politeness, Violation
    from crawl.results import Status

#: Fields of a sample record, those a newcomer wants to see first.
_SHOWN = ("url", "outcome", "reason", "status", "title", "depth", "fetch_ms", "pool", "slot", "worker")


def as_dict(status: Status, **more: Any) -> dict[str, Any]:
    """Return the machine-readable summary (`--json`)."""
    return {
        "crawl": status.crawl,
        "state": status.state,
        "pages": status.done,
        "admitted": status.admitted,
        "waiting": status.waiting,
        "leased": status.leased,
        "pumped": status.pumped,
        "outcomes": status.outcomes,
        "reasons": status.reasons,
        "refused": status.refused,
        "elapsed_s": round(status.elapsed_s, 3),
        "pages_per_s": round(status.done / status.elapsed_s, 2),
        "cancelled": status.cancelled,
        "seeds_cut": status.seeds_cut,
        **more,
    }


def lines(status: Status) -> list[str]:
    """Return a crawl's state for people."""
    # What `state` says in Redis changes only at the end; a person wants to know whether anybody works on it.
    idle = status.state == "running" and not status.pumped
    ended = (
        ""
        if status.state not in ("running", "paused") or not status.paused_by
        else f", paused: {status.paused_by}"
    )
    text = [
        (
            f"{status.crawl}: {status.state}{ended}; {status.done} of {status.admitted} pages done "
            f"({status.done_share:.0%}) in {status.elapsed_s:.1f} s, {status.done / status.elapsed_s:.1f} pages/s"
        )
    ]
    if ended and status.paused_by == "memory":
        text.append(f"  memory: {MEMORY_REMEDY}")
    if idle:
        verb = "demo" if status.demo else "crawl"
        text.append(f"  no producer works on it; continue it with `poolcrawl {verb} --name {status.crawl}`")
    if status.state == "paused":
        text.append(f"  `poolcrawl resume {status.crawl}` lets it go on")
    if status.state == "deleted":
        text.append(f"  being deleted; `poolcrawl delete {status.crawl}` goes on with it")
    if status.seeds_cut and status.state in ("running", "paused"):
        text.append("  its seed source was cut before its end; submit the same seeds again to complete it")
    if status.cancelled:
        text.append(f"  cancelled {status.cancelled} URLs: they waited, and have no record")
    if status.waiting or status.leased:
        text.append(
            f"  waiting {status.waiting}, in flight {status.leased}, of them retried later {status.delayed}"
        )
    if status.retrying:
        text.append(
            f"  of them with an older record, tried again (generation {status.generation}): {status.retrying}"
        )
    for outcome, count in status.outcomes.items():
        text.append(f"  {outcome:<9}{count:>7}")
    if status.reasons:
        reasons = ", ".join(f"{name} {count}" for name, count in status.reasons.items())
        text.append(f"  reasons: {reasons}")
    if status.reasons.get("address"):
        text.append(
            "  address: private networks are refused; allow yours with --allow-address, such as 127.0.0.1"
        )
    if status.refused:
        refused = ", ".join(f"{name} {count}" for name, count in status.refused.items())
        text.append(f"  links not admitted: {refused}")
    if status.refused.get("trap") or status.refused.get("budget"):
        text.append(
            f"  trap, budget: set aside, not lost; `poolcrawl parked {status.crawl}` lists them, "
            f"`poolcrawl release {status.crawl} --pattern P` admits them"
        )
    if status.trimmed:
        text.append(f"  {tombstones.told(status.trimmed, status.trimmed_to)}")
    if status.losses:
        text.append(f"  URLs charged with a lost worker: {status.losses}")
    return text


def samples(client: redis.Redis, crawl: str, count: int = 3) -> list[str]:
    """Return a few records in short form: the first of each outcome, then the first ones."""
    first: dict[str, dict[str, Any]] = {}
    others: list[dict[str, Any]] = []
    for _, line in results.lines(client, crawl):
        record = json.loads(line)
        if record["outcome"] not in first:
            first[record["outcome"]] = record
        elif len(others) < count:
            others.append(record)
        if len(first) >= count and len(others) >= count:
            break
    chosen = [*first.values(), *others][:count]
    return [
        json.dumps(
            {name: record[name] for name in _SHOWN if record.get(name) is not None}, ensure_ascii=False
        )
        for record in chosen
    ]


def manners(found: Politeness) -> list[str]:
    """Return what a politeness audit found, for people."""
    count = len(found.violations) + found.more
    verdict = f"{count} VIOLATIONS" if count else "polite"
    text = [f"{found.crawl}: {verdict}; {found.requests} requests to {found.hosts} hosts, by all crawls here"]
    text += [f"  {_violation(one)}" for one in found.violations]
    if found.more:
        text.append(f"  and {found.more} more")
    if found.trimmed:
        text.append(f"  not judged: {found.trimmed} batches, which Redis does not keep any more")
    return text


def _violation(one: Violation) -> str:
    what = {
        "gap": f"{one.gap_ms} ms after the end of the one before, delay {one.delay_ms} ms",
        "overlap": f"{one.at_once} at once, cap {one.cap}",
        "hold": f"{one.left_ms} ms before the end of the hold that the one before began",
    }[one.kind]
    return (
        f"{one.kind} at {one.host}: {one.urls[1]} ({one.workers[1]}) {what}: {one.urls[0]} ({one.workers[0]})"
    )
