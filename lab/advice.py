"""Which way to crawl, for a workload and a goal, by how much, how sure, and why the other pools lost.

What cannot be told apart by the spread of its runs (`lab.spread`) is called no difference, and the cheaper is advised.
A trial that is not valid is never advised; it is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawl.settings import Settings
from lab import spread
from lab.goal import GOALS, LATENCY_STAGES, THROUGHPUT, Goal, stage_p95
from lab.reason import HOST_BATCHES, Reason, explain, interpreters
from lab.results import usable
from lab.spread import NO_DIFFERENCE
from lab.way import Way
from worker.pools import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.results import Row

#: A cheaper way that cannot be told apart from the best is advised only if its median is this close: wide spreads
#: hide real differences too, and advice should not depend on how noisy the machine was.
CLOSE = 0.95
#: ... and only if it takes this share of the best's memory, or less: nobody gives up a chance of speed for a few MB.
CHEAPER = 0.9

#: What people call a stage.
_STAGES = dict(zip(LATENCY_STAGES, ("its fetch", "the wait for its parse", "its parse"), strict=True))


def default_way() -> Way:
    """Return the way a crawl takes on one machine when nobody set anything."""
    pool = TABLE[Settings.model_fields["pool"].default]
    return Way(pool.name, pool.default_concurrency(), Settings.model_fields["workers"].default)


def advise(result: Row, goals: Iterable[Goal] = tuple(GOALS.values())) -> list[Row]:
    """Return one row per workload and goal, for `advice` in JSON.

    - `way`, `pool`, `concurrency`, `processes`, ... as in a trial, and `settings`, the variables that choose it; None
      where no trial competes;
    - `value` and `unit`: the goal's measure;
    - `sure`: "sure", "likely" or "no difference" against the best way of another pool; None where there is no other;
    - `over`: `runner_up` (of another pool) and `default` with `way`, `value`, `ratio`, how many times as good the
      advised way is, and `sure`; None where it was not measured;
    - `losers`: the best way of each other pool with `pool`, `way`, `value`, `ratio`, `cause`, `why`, `needs`;
    - `invalid`: `way` and `why` of the trials that do not count;
    - `sentence`: all of it but the losers, for people; each of `losers` has one too.
    """
    return [_advise(result, workload, goal) for workload in result["workloads"] for goal in goals]


def sentences(advice: Iterable[Row]) -> list[str]:
    """Return the advice for people, one sentence a line; why the others lost is told of throughput only."""
    lines = []
    for row in advice:
        lines.append(f"{row['workload']}, {row['goal']}: {row['sentence']}")
        if row["goal"] != THROUGHPUT.name:
            continue
        lines += [f"  {loser['sentence']}" for loser in row.get("losers") or ()]
        lines += [f"  {bad['way']} does not count: {bad['why']}" for bad in row.get("invalid") or ()]
    return lines


def choose(trials: Iterable[Row], goal: Goal = THROUGHPUT) -> Row | None:
    """Return the trial that is best for the goal; among those no different from it the cheapest, None for none.

    Cheaper is at least a tenth fewer MB of all workers, then fewer slots.
    """
    ranked = goal.rank(trials)
    if not ranked:
        return None
    best = ranked[0]
    equals = [trial for trial in ranked if _told_apart(goal, best, trial) == NO_DIFFERENCE]
    close = [trial for trial in equals if _is_close(goal, trial, best)]
    best_mb = _or_infinite(best.get("workers_mb"))

    def cost(trial: Row) -> tuple[float, int]:
        megabytes = _or_infinite(trial.get("workers_mb"))
        return (megabytes if megabytes <= CHEAPER * best_mb else best_mb, trial["slots"])

    # Of equally dear ones `min` takes the first, which is the better.
    return min(close, key=cost)


def kind(trial: Row) -> str:
    """Return the pool of a trial, or both pools of a split one, which competes as a pool of its own."""
    return f"{trial['pool']}+{trial['parse_pool']}" if trial.get("parse_pool") else str(trial["pool"])


def _advise(result: Row, workload: Row, goal: Goal) -> Row:
    trials = [trial for trial in result["trials"] if trial["workload"] == workload["name"]]
    row: Row = {
        "workload": workload["name"],
        "goal": goal.name,
        "unit": goal.unit,
        "way": None,
        "losers": [],
        "invalid": [{"way": t["way"], "why": _why_invalid(t)} for t in trials if not usable(t)],
    }
    chosen = choose(trials, goal)
    if chosen is None:
        return row | {"sentence": _nothing(trials, goal)}
    rivals = _rivals(trials, chosen, goal)
    runner_up = next((rival for rival in goal.rank(trials) if kind(rival) != kind(chosen)), None)
    default = next((t for t in trials if t["way"] == default_way().name and usable(t)), None)
    row |= {name: chosen.get(name) for name in Way(chosen["pool"], 1).row()}
    row |= {"settings": _settings(chosen), "value": _rounded(goal.value(chosen))}
    row["sure"] = None if runner_up is None else _told_apart(goal, chosen, runner_up)
    row["over"] = {"runner_up": _over(goal, chosen, runner_up), "default": _over(goal, chosen, default)}
    row["losers"] = [_loser(result, workload, goal, rival, chosen) for rival in rivals]
    return row | {"sentence": _sentence(row, goal, chosen, runner_up)}


def _rivals(trials: list[Row], chosen: Row, goal: Goal) -> list[Row]:
    """Return the best trial of each other pool: for the goal, or the fastest where none competes for it."""
    found: dict[str, Row] = {kind(chosen): chosen}
    for trial in (*goal.rank(trials), *THROUGHPUT.rank(trials)):
        found.setdefault(kind(trial), trial)
    return list(found.values())[1:]


def _loser(result: Row, workload: Row, goal: Goal, rival: Row, chosen: Row) -> Row:
    reason = _reason(result, workload, goal, rival, chosen)
    over = _over(goal, chosen, rival) or {"way": rival["way"], "value": None, "ratio": None}
    value = "not measured" if over["value"] is None else f"{_shown(over['value'])} {goal.unit}"
    sentence = f"{rival['way']} ({value}): {reason.sentence}"
    row = {"pool": kind(rival), **over, "cause": reason.cause, "why": reason.why, "needs": reason.needs}
    return row | {"sentence": sentence}


def _reason(result: Row, workload: Row, goal: Goal, rival: Row, chosen: Row) -> Reason:
    """Return why a rival is not the one: too slow to compete, no different, or the goal's own reason."""
    slower = _slower(result, workload, rival, chosen)
    if goal is THROUGHPUT:
        return slower
    fastest = THROUGHPUT.rank(t for t in result["trials"] if t["workload"] == workload["name"])[0]
    if rival["pages_s"] < goal.share * fastest["pages_s"]:
        return _too_slow(goal, rival, fastest, _slower(result, workload, rival, fastest))
    if goal.value(rival) is None:
        return Reason("unknown", f"its {goal.name} could not be measured")
    if _told_apart(goal, chosen, rival) == NO_DIFFERENCE:
        return _no_difference()
    return _own_reason(goal, rival, chosen)


def _too_slow(goal: Goal, rival: Row, fastest: Row, slower: Reason) -> Reason:
    """Return that a rival is not fast enough to compete for the goal, and why it is not."""
    least = f"{100 * goal.share:.0f} % of the {_shown(fastest['pages_s'])} pages/s of {fastest['way']}"
    because = f", though with {slower.why}" if slower.cause == NO_DIFFERENCE else f": {slower.why}"
    return Reason("slow", f"{_shown(rival['pages_s'])} pages/s are under {least}{because}", slower.needs)


def _slower(result: Row, workload: Row, rival: Row, chosen: Row) -> Reason:
    if _told_apart(THROUGHPUT, chosen, rival) == NO_DIFFERENCE:
        return _no_difference()
    conditions = result["conditions"]
    batches = (conditions.get("settings") or {}).get("CRAWL_HOST_CONCURRENCY", "")
    cores = conditions.get("cores") or 1
    return explain(rival, chosen, workload, cores, int(batches) if batches.isdigit() else HOST_BATCHES)


def _no_difference() -> Reason:
    return Reason(NO_DIFFERENCE, "no difference outside the spread of the runs")


def _own_reason(goal: Goal, rival: Row, chosen: Row) -> Reason:
    """Return what made a rival heavier, or its pages later, though it was fast enough."""
    if goal.name == "memory":
        needs = "fewer processes" if interpreters(rival) > 1 else "fewer slots"
        return Reason("memory", f"{rival['slots']} slots in {_processes(rival)} weigh more", needs)
    later = {
        stage: (stage_p95(rival, stage) or 0.0) - (stage_p95(chosen, stage) or 0.0)
        for stage in LATENCY_STAGES
    }
    stage = max(later, key=lambda name: later[name])
    why = f"{_STAGES[stage]} takes {_shown(later[stage])} ms longer at p95"
    return Reason(stage.removesuffix("_ms"), why, "fewer slots a process, or more processes")


def _sentence(row: Row, goal: Goal, chosen: Row, runner_up: Row | None) -> str:
    value = f"{_shown(row['value'])} {goal.unit}"
    parts = [f"{chosen['way']} ({_spelled(chosen)}): {value}"]
    if runner_up is None:
        fast = "" if goal is THROUGHPUT or not row["losers"] else " is fast enough to compete"
        parts.append(f"no other pool{fast or ' has a valid trial'}")
    elif row["sure"] == NO_DIFFERENCE:
        other = f"{runner_up['way']} ({_shown(row['over']['runner_up']['value'])} {goal.unit})"
        parts.append(f"no difference to {other}{_cheaper(chosen, runner_up)}")
    else:
        times = _times(row["over"]["runner_up"], goal)
        parts.append(
            f"{times} {runner_up['way']}, the best of another pool ({_sureness(row, chosen, runner_up)})"
        )
    return "; ".join([*parts, _against_default(row, goal, chosen)])


def _against_default(row: Row, goal: Goal, chosen: Row) -> str:
    default, over = default_way().name, row["over"]["default"]
    if chosen["way"] == default:
        return "it is the project's default"
    if over is None:
        return f"the default {default} was not measured"
    if over["sure"] == NO_DIFFERENCE:
        return f"no difference to the default {default} ({_shown(over['value'])} {goal.unit})"
    return f"{_times(over, goal)} the default {default}"


def _cheaper(chosen: Row, other: Row) -> str:
    """Return what was saved, where that is why it was chosen."""
    own, its = (_or_infinite(row.get("workers_mb")) for row in (chosen, other))
    if own < its < float("inf"):
        return f", and cheaper: {own:,.0f} MB against {its:,.0f}"
    if own == its and chosen["slots"] < other["slots"]:
        return f", and fewer slots: {chosen['slots']} against {other['slots']}"
    return ", whose median is no better"


def _sureness(row: Row, chosen: Row, other: Row) -> str:
    runs = min(_runs(chosen), _runs(other))
    apart = f"the ranges of {runs} runs each are apart" if runs > 1 else "one run each, but far apart"
    return f"{row['sure']}: {apart}"


def _runs(trial: Row) -> int:
    found = THROUGHPUT.spread(trial)
    return 0 if found is None else found.runs


def _times(over: Row, goal: Goal) -> str:
    """Return a ratio in words; of MB and ms, less is better."""
    if over["ratio"] is None:
        return "beside"
    if goal.most:
        return f"{over['ratio']:.2f} times"
    return f"{100 / over['ratio']:.0f} % of the {goal.unit} of"


def _over(goal: Goal, chosen: Row, other: Row | None) -> Row | None:
    own, its = goal.value(chosen), None if other is None else goal.value(other)
    if other is None or own is None or its is None:
        return None
    sure = _told_apart(goal, chosen, other)
    return {"way": other["way"], "value": _rounded(its), "ratio": goal.better(own, its), "sure": sure}


def _told_apart(goal: Goal, one: Row, other: Row) -> str:
    first, second = goal.spread(one), goal.spread(other)
    return NO_DIFFERENCE if first is None or second is None else spread.compare(first, second)


def _is_close(goal: Goal, trial: Row, best: Row) -> bool:
    low, high = sorted((goal.value(trial) or 0.0, goal.value(best) or 0.0))
    return low >= CLOSE * high


def _settings(trial: Row) -> dict[str, str]:
    """Return the variables that choose a way; of a split one those of `make up-split`, slots left to the workers."""
    if trial.get("parse_pool"):
        return {"CRAWL_FETCH_POOL": str(trial["pool"]), "CRAWL_PARSE_POOL": str(trial["parse_pool"])}
    found = {"POOL": trial["pool"], "CONCURRENCY": trial["concurrency"], "WORKERS": trial["processes"]}
    found |= {"PIPELINE": trial.get("pipeline"), "BATCH": trial.get("batch")}
    return {f"CRAWL_{name}": str(value) for name, value in found.items() if value is not None}


def _nothing(trials: list[Row], goal: Goal) -> str:
    if not any(usable(trial) for trial in trials):
        return "no valid run, so no advice"
    return f"no trial measured its {goal.name}, so no advice"


def _why_invalid(trial: Row) -> str:
    return trial.get("invalid") or "no valid run"


def _spelled(trial: Row) -> str:
    text = f"{_processes(trial)} of {trial['concurrency']} slot{'s'[: trial['concurrency'] > 1]}"
    if not trial.get("parse_pool"):
        return text
    count = trial["parse_processes"] * trial["parse_concurrency"]
    return f"{text} for fetch, {count} of {trial['parse_pool']} for parse"


def _processes(trial: Row) -> str:
    return f"{trial['processes']} worker process{'es'[: 2 * (trial['processes'] > 1)]}"


def _or_infinite(value: Any) -> float:
    found = spread.number(value)
    return float("inf") if found is None else found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
