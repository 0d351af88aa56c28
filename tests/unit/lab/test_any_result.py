"""Whatever a result leaves out: it can be shown, compared and advised on."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from specimen import latency, result, trial

from lab import advice, comparison, forecast, schema
from lab.markdown import to_markdown
from lab.sheet import to_csv
from lab.way import Way

_MAY_BE_NONE = (
    "slowest", "fastest", "worker_cpu", "producer_cpu", "redis_cpu", "workers_mb", "worker_mb", "commands",
    "latency", "failures", "switches", "each", "harness_share",
)  # fmt: skip
_RATES = st.lists(st.floats(0.1, 5000), max_size=3).map(tuple)
_WAYS = st.builds(
    Way,
    pool=st.sampled_from(["prefork", "threads", "gevent", "asyncio", "solo", "fibers"]),
    concurrency=st.integers(1, 300),
    processes=st.integers(1, 4),
    batch=st.sampled_from([1, 20]),
    parse_pool=st.sampled_from([None, "prefork"]),
    parse_concurrency=st.integers(1, 4),
)


@st.composite
def _trials(draw: st.DrawFn) -> dict:
    workload = draw(st.sampled_from(["lan", "web", "heavy"]))
    invalid = draw(st.sampled_from([None, None, "another digest"]))
    found = trial(
        workload,
        draw(_WAYS),
        draw(_RATES),
        invalid=invalid,
        worker_cpu=draw(st.floats(0, 100)),
        workers_mb=draw(st.floats(0, 9000)),
        commands=draw(st.floats(0, 50)),
        latency=latency(*(draw(st.floats(0, 9000)) for _ in range(4))),
    )
    gone = {name: [] if name == "each" else None for name in draw(st.sets(st.sampled_from(_MAY_BE_NONE)))}
    return found | gone


@given(
    st.lists(_trials(), min_size=1, max_size=6, unique_by=lambda row: row["name"]),
    st.sampled_from([None, 1, 8]),
)
@settings(max_examples=60, deadline=None)
def test_every_result_has_its_outputs_and_never_advises_the_invalid(trials, cores):
    """A measure that is not there is a gap in a table, not the end of the command."""
    found = result(*trials)
    found["conditions"]["cores"] = cores
    found["advice"] = advice.advise(found)
    counted = {row["name"] for row in trials if row["valid"]}
    outputs = (to_markdown(found), to_csv(found), forecast.error_sentence(forecast.errors(found)))
    rows = comparison.compare(found, found)

    msgspec.convert(json.loads(json.dumps(found)), schema.Result)
    assert all(outputs)
    assert {"invalid", "no difference"} >= {row["verdict"] for row in rows}
    assert all(f"{row['workload']}/{row['way']}" in counted for row in found["advice"] if row["way"])
    assert all("None" not in line and "nan" not in line for line in advice.sentences(found["advice"]))
