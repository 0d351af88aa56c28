"""The table of rungs and the files it names: all there, all short, all documented."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from crawl.errors import UsageError
from lab.ladder import rungs, workers
from lab.ladder.rungs import COSTS, RUNGS, SLOTS

ROOT = Path(__file__).resolve().parents[4]
LADDER = ROOT / "lab/ladder"
MODULES = sorted({rung.module for rung in RUNGS.values()})


def _tree(module: str) -> ast.Module:
    return ast.parse((LADDER / f"{module}.py").read_text(encoding="utf-8"))


def test_every_file_with_a_run_function_is_a_rung():
    """A rung that nobody can call is a rung that nobody checks."""
    found = []
    for path in LADDER.glob("*.py"):
        functions = [node.name for node in _tree(path.stem).body if isinstance(node, ast.FunctionDef)]
        if "run" in functions:
            found.append(path.stem)

    assert MODULES == sorted(found)


@pytest.mark.parametrize("module", MODULES)
def test_a_rung_says_what_blocks_what_runs_in_parallel_and_where_the_callback_runs(module):
    """These are the three questions that the ladder answers."""
    said = ast.get_docstring(_tree(module)) or ""

    assert "Blocks:" in said
    assert "parallel:" in said
    assert "Callback:" in said


@pytest.mark.parametrize("module", MODULES)
def test_a_rung_is_short_enough_to_be_read(module):
    """One screen, docstring and imports included."""
    assert len((LADDER / f"{module}.py").read_text(encoding="utf-8").splitlines()) <= 65


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("celery")])
def test_a_rung_needs_only_the_standard_library_and_gevent(module):
    """Nothing else stands between the reader and the idea."""
    allowed = {
        "concurrent",
        "threading",
        "queue",
        "time",
        "typing",
        "asyncio",
        "select",
        "selectors",
        "socket",
    }
    allowed |= {"__future__", "urllib", "collections", "gevent", "lab", "crawl"}
    found = set()
    for node in ast.walk(_tree(module)):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.split(".")[0] for name in names}

    assert found <= allowed


@pytest.mark.parametrize("document", ["docs/ladder.md", "README.zh-CN.md"])
def test_the_documents_lead_to_the_ladder(document):
    """docs/ladder.md names every file of a rung; the Chinese README leads there."""
    text = (ROOT / document).read_text(encoding="utf-8")
    needed = {f"{module}.py" for module in MODULES} if document.startswith("docs/") else {"docs/ladder.md"}

    assert {name for name in needed if name not in text} == set()


#: The tutorial's headings, as it writes them.
HEADINGS = (
    *("简单方便的“池”", "进程池", "线程池", "异步，同步、阻塞、非阻塞", "阻塞、非阻塞", "异步，同步"),  # noqa: RUF001
    *(
        "异步 + 调用机制",
        "版本一",
        "版本二",
        "版本三",
        "事件",
        "协程",
        "`gevent`",
        "`asyncio`",
        "io多路复用",
        "小结",
    ),
)


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_heading_of_the_tutorial_is_mapped_to_its_file(heading):
    """Whoever comes from the tutorial looks there first."""
    lines = (ROOT / "docs/ladder.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]

    assert [row[0] for row in rows if len(row) == 3 and row[1].startswith(heading)] != []


def test_the_document_has_a_line_for_every_rung():
    """The table of results is of the whole ladder."""
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs/ladder.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert [name for name in RUNGS if name not in rows] == []


def test_all_rungs_are_chosen_unless_some_are_named():
    """In the order of the table, whatever the order of the words; the costs are no rung."""
    assert list(RUNGS.values()) == rungs.chosen(())
    assert [RUNGS["serial"], RUNGS["select"]] == rungs.chosen(("select", "serial"))
    assert rungs.chosen((COSTS,)) == []


def test_an_unknown_rung_is_one_line_with_the_nearest_names():
    """A mistyped name is answered by the right one."""
    with pytest.raises(UsageError) as raised:
        rungs.chosen(("proces-fused",))

    assert "no rung 'proces-fused'; did you mean process-fused" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_rung_like_no_other_is_answered_by_all_names():
    """Who has no idea of the names gets them all."""
    with pytest.raises(UsageError) as raised:
        rungs.chosen(("zzz",))

    assert ", ".join([*RUNGS, COSTS]) in str(raised.value)


def test_every_crew_of_workers_is_used_in_all_three_versions():
    """Celery as collect, fused and callback, in each kind of workers."""
    found = {(rung.crew, rung.module) for rung in RUNGS.values() if rung.crew}
    ways = ("celery_collect", "celery_fused", "celery_callback")

    assert {(crew, way) for crew in workers.CREWS for way in ways} == found


@pytest.mark.parametrize("crew", list(workers.CREWS))
def test_a_crew_fetches_on_as_many_slots_as_every_rung(crew):
    """Otherwise the times could not be compared."""
    assert sum(slots for _, slots, queues in workers.CREWS[crew] if "fetch" in queues) == SLOTS


def test_the_pool_is_a_word_of_its_own_on_a_workers_command_line():
    """Nothing is patched when the name is glued to its option or comes from elsewhere, and nobody says so."""
    line = workers.command("gevent", 4, "fetch", "one")

    assert line[line.index("--pool") + 1] == "gevent"
