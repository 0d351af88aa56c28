"""The one sentence under a timeline: what to look for, from what was measured."""

from __future__ import annotations

from lab.report.timeline import (
    LITTLE_PARSING,
    SIDE_BY_SIDE,
    Timeline,
    at_once,
    kind,
    parsing_share,
    stopped_for,
)


def caption(timeline: Timeline) -> str:
    """Return the sentence."""
    parses = timeline.spans("parse")
    if not parses:
        return "No parse was recorded: the picture shows fetching and waiting only."
    under_way = at_once((span.start, span.end) for span in parses).most
    if all(span.runs is None for span in parses) and under_way > 1:
        return (
            f"Up to {under_way} parses were under way at the same moment; "
            "how they shared the processor was not recorded."
        )
    if parsing_share(timeline) < LITTLE_PARSING:
        return _of_little_parsing(timeline)
    ran = at_once(timeline.ran())
    if ran.mean >= SIDE_BY_SIDE:
        return (
            f"{kind(timeline).capitalize()} run side by side: while any page was parsed, "
            f"{ran.mean:.1f} parses really ran at the same moment on average, {ran.most} at most."
        )
    stopped = stopped_for(timeline)
    if stopped and under_way == 1:
        return (
            f"One parse stops all the others: while a page was parsed, no other {kind(timeline, 1)} made a step "
            f"for up to {stopped:.0f} ms."
        )
    return _of_turns(timeline, under_way, ran.mean)


def _of_little_parsing(timeline: Timeline) -> str:
    fetching = at_once((span.start, span.end) for span in timeline.spans("fetch"))
    share = parsing_share(timeline)
    part = f"{share:.0%}" if share >= 0.01 else "less than 1%"
    return (
        f"Parsing took {part} of one processor's time, so what counts is how many requests "
        f"wait for the site at once: {fetching.mean:.0f} on average, {fetching.most} at most."
    )


def _of_turns(timeline: Timeline, under_way: int, mean: float) -> str:
    if under_way == 1:
        return "One page was parsed after the other: two parses were never under way at the same moment."
    ran = "never more than one of them ran" if mean < 1.005 else f"on average {mean:.2f} of them ran"
    return (
        f"{kind(timeline).capitalize()} take turns: up to {under_way} parses were under way at the same moment, "
        f"but {ran}."
    )
