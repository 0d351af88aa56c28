"""What the documentation promises is what the code has: settings, keys, records, commands, words, links."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import click
import pytest

import poolcrawl
from crawl import keys, records
from crawl import settings as crawl_settings
from crawl.records import CrawlOptions, PageRecord
from crawl.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("crawl", "producer", "worker", "export", "demo", "embedded", "lab", "poolcrawl")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md"))], key=lambda path: path.as_posix()
)
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _rows(path: str) -> dict[str, list[str]]:
    """Return the rows of a document's tables: the name in the first cell -> the other cells."""
    rows: dict[str, list[str]] = {}
    for line in _read(path).splitlines():
        match = re.match(r"^\| `([^`]+)` \|(.*)\|$", line)
        if match:
            assert match[1] not in rows or path != "docs/keys.md", f"{path} has two rows of {match[1]}"
            rows[match[1]] = [cell.strip() for cell in match[2].split(" | ")]
    return rows


def _shown(value: object) -> str:
    """Return a default as the table writes it."""
    if value is None or value == ():
        return "unset"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value)
    return f"`{','.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _scope(field: str) -> str:
    """Return who decides: settings that a crawl's frozen options hold are the crawl's."""
    of_crawl = field in CrawlOptions.__struct_fields__ and field not in {"resolve", "allow_addresses"}
    return "crawl" if of_crawl else "machine"


@pytest.mark.parametrize("field", list(Settings.model_fields))
def test_every_setting_is_documented_with_its_default_and_scope(field: str) -> None:
    """docs/settings.md is the table people read, crawl/settings.py the one that counts."""
    default, scope, meaning = _rows("docs/settings.md")[f"CRAWL_{field.upper()}"]

    assert _shown(Settings.model_fields[field].default) == default
    assert _scope(field) == scope
    assert meaning


def test_no_setting_is_documented_that_does_not_exist() -> None:
    """A removed setting leaves the table too."""
    documented = {name for name in _rows("docs/settings.md") if name.startswith("CRAWL_")}

    assert {f"CRAWL_{field.upper()}" for field in Settings.model_fields} == documented


def _key_functions() -> dict[str, tuple[str, str]]:
    """Return key name with placeholders -> (type, function) for every function that names one key."""
    found = {}
    for name, function in vars(keys).items():
        if not inspect.isfunction(function) or name.endswith("_prefix") or name == "part":
            continue
        found_parameters = inspect.signature(function).parameters.values()
        parameters = [each.name for each in found_parameters if each.default is inspect.Parameter.empty]
        of_crawl = function(*("X" for _ in parameters)).startswith("poolcrawl:crawl:")
        words = ["CRAWL" if word == "name" and of_crawl else word.upper() for word in parameters]
        docstring = inspect.getdoc(function) or ""
        found[function(*words)] = re.split(r"\W", docstring.strip())[0].lower(), name
    return found


@pytest.mark.parametrize("key", list(_key_functions()))
def test_every_redis_key_is_documented_with_its_type(key: str) -> None:
    """docs/keys.md has a row for each function of crawl/keys.py, of the type its docstring opens with."""
    kind, meaning = _rows("docs/keys.md")[key]

    assert _key_functions()[key][0] == kind
    assert meaning


def test_no_redis_key_is_documented_that_does_not_exist() -> None:
    """A removed key leaves the table too."""
    assert set(_key_functions()) == {name for name in _rows("docs/keys.md") if name.startswith("poolcrawl:")}


@pytest.mark.parametrize("field", PageRecord.__struct_fields__)
def test_every_field_of_a_page_record_is_documented(field: str) -> None:
    """docs/records.md is what a reader of an export has."""
    assert _rows("docs/records.md")[field][0]


@pytest.mark.parametrize("reason", records.REASONS)
def test_every_reason_is_documented(reason: str) -> None:
    """Each with what it means and whether it is tried again."""
    meaning, again = _rows("docs/records.md")[reason]

    assert meaning
    expected = "yes" if reason in records.TRANSIENT_REASONS else "no"
    if reason == "http":
        expected = ", ".join(str(status) for status in sorted(records.TRANSIENT_STATUSES))
    assert expected == again


@pytest.mark.parametrize("outcome", records.OUTCOMES)
def test_every_outcome_is_documented(outcome: str) -> None:
    """Four words that every summary uses."""
    assert _rows("docs/records.md")[outcome][0]


def _commands() -> dict[str, click.Command]:
    from poolcrawl.cli import cli

    return cli.loaded()


def _section(command: str) -> str:
    match = re.search(
        rf"^## {command}\n(.*?)(?=^## |\Z)", _read("docs/commands.md"), re.MULTILINE | re.DOTALL
    )
    return match[1] if match else ""


def test_every_command_has_a_section_with_every_option() -> None:
    """docs/commands.md names what `--help` names."""
    missing = []
    for name, command in _commands().items():
        section = _section(name)
        if not section:
            missing.append(name)
        for parameter in command.params:
            hidden = getattr(parameter, "hidden", False)
            if isinstance(parameter, click.Option) and not hidden:
                missing += [f"{name} {opt}" for opt in parameter.opts if f"`{opt}" not in section]

    assert missing == []


def test_no_command_is_documented_that_does_not_exist() -> None:
    """Each heading of docs/commands.md is a verb, apart from the last one on exit codes."""
    headings = set(re.findall(r"^## (.*)$", _read("docs/commands.md"), re.MULTILINE))

    assert set(_commands()) == headings - {"Exit codes"}


def test_the_help_of_every_command_has_an_example() -> None:
    """A newcomer copies a line before reading options."""
    helps = {name: f"{command.help} {command.epilog}" for name, command in _commands().items()}
    without = [name for name, text in helps.items() if f"poolcrawl {name}" not in text]

    assert without == []


@pytest.mark.parametrize("path", ["docker-compose.yml", "compose.split.yml", ".env.example"])
def test_every_setting_of_the_containers_is_one_of_ours(path: str) -> None:
    """An unknown CRAWL_* in a container would stop it with exit code 2."""
    named = set(re.findall(r"(?<![A-Z_])CRAWL_[A-Z][A-Z_]*", _read(path)))

    assert named
    assert named <= {f"CRAWL_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_settings_that_exist(path: Path) -> None:
    """Prose goes stale before tables do."""
    named = set(re.findall(r"(?<![A-Z_])CRAWL_[A-Z][A-Z_]*", path.read_text(encoding="utf-8")))

    assert named <= {f"CRAWL_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """Every relative link is a file of this repository."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))

    assert [target for target in targets if not (path.parent / target).exists()] == []


def _anchors(path: Path) -> set[str]:
    """Return what GitHub makes of a document's headings; those in blocks of code are none."""
    prose = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_a_section_lead_to_one(path: Path) -> None:
    """A heading that was worded anew takes its links along."""
    links = re.findall(r"\]\((?!https?:)([^)#]*\.md|)#([^)]+)\)", path.read_text(encoding="utf-8"))

    assert [
        (target, section)
        for target, section in links
        if section not in _anchors(path.parent / target if target else path)
    ] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_make_verbs_that_exist(path: Path) -> None:
    """`make X` in prose is a target of the Makefile."""
    named = set(re.findall(r"(?:`|^|\n)make ([a-z][a-z-]*)", path.read_text(encoding="utf-8")))
    targets = set(re.findall(r"^([a-z][a-z-]*):", _read("Makefile"), re.MULTILINE))

    assert named <= targets


def test_every_decision_is_in_the_index_under_its_title() -> None:
    """docs/decisions/README.md is how a decision is found."""
    index = _read("docs/decisions/README.md")
    pages = sorted((ROOT / "docs/decisions").glob("0*.md"))
    titles = {page.name: page.read_text(encoding="utf-8").splitlines()[0] for page in pages}
    expected = [f"- [{title[2:6]}]({name}) {title.split('. ', 1)[1]}" for name, title in titles.items()]

    assert expected == [line for line in index.splitlines() if line.startswith("- ")]


def test_every_document_can_be_reached_from_the_readme() -> None:
    """No page is found only by listing the folder."""
    names = {path.name for path in (ROOT / "docs").glob("*.md")}

    assert names <= set(re.findall(r"\(docs/([a-z]+\.md)", _read("README.md")))


def test_scripts_hold_no_key_of_their_own() -> None:
    """Key names come from crawl/keys.py only."""
    scripts = sorted((ROOT / "crawl/lua").glob("*.lua"))

    assert scripts
    assert [path.name for path in scripts if "poolcrawl:" in path.read_text(encoding="utf-8")] == []


def test_no_module_but_keys_spells_a_redis_key() -> None:
    """The same for Python: a string that begins like a key stands in crawl/keys.py only."""
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if re.match(r"poolcrawl:[a-z]", text) and path != ROOT / "crawl/keys.py":
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert found == []


#: Words that other crawlers use for what has another name here (the glossary in docs/architecture.md).
NOT_USED = {"spider", "item", "job", "scraper", "manager", "helper", "util"}
#: A Scrapy spider is called what Scrapy calls it; that is the one place where the word is right.
SCRAPYS_OWN = {"lab/peer.py", "lab/peers/scrapy_spider.py"}
#: What Celery calls a method of every pool.
CELERYS_OWN = {"terminate_job"}


def _defined_names(path: Path) -> set[str]:
    """Return the names a module defines, its own included."""
    defined = {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            defined.add(node.attr)
    return defined


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_identifiers_keep_to_the_glossary(path: Path) -> None:
    """One word per thing; the words that are not used stay unused, in the plural too."""
    if path.relative_to(ROOT).as_posix() in SCRAPYS_OWN:
        return
    wrong = set()
    for name in _defined_names(path):
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
        if name not in CELERYS_OWN and NOT_USED & {word.lower().removesuffix("s") for word in words}:
            wrong.add(name)

    assert wrong == set()


def test_no_module_outgrows_its_noun() -> None:
    """CONTRIBUTING.md says how long a module may be."""
    most = int(re.findall(r"end before (\d+)", _read("CONTRIBUTING.md"))[0])
    lines = {path.relative_to(ROOT).as_posix(): len(_read(str(path)).splitlines()) for path in SOURCES}

    assert {path: count for path, count in lines.items() if count >= most} == {}


def test_the_glossary_names_the_words_that_are_not_used() -> None:
    """The test above and the document say the same."""
    line = next(line for line in _read("docs/architecture.md").splitlines() if line.startswith("Not used:"))

    assert set(re.findall(r"\w+", line.removeprefix("Not used:"))) == NOT_USED


def test_one_version_everywhere() -> None:
    """The package, the User-Agent and the changelog agree."""
    assert poolcrawl.__version__ == crawl_settings.VERSION
    assert f"## [{poolcrawl.__version__}]" in _read("CHANGELOG.md")


@pytest.mark.parametrize("name", ["runtime", "dev", "bench"])
def test_locks_hold_versions_and_hashes_and_no_address(name: str) -> None:
    """Whoever installs chooses the index; what is installed is fixed."""
    text = _read(f"locks/{name}.txt")
    requirements = re.findall(r"^[a-z0-9][^\s]*", text, re.MULTILINE)

    assert requirements
    assert all("==" in requirement for requirement in requirements)
    assert text.count("--hash=sha256:") >= len(requirements)
    assert "://" not in text
    assert "-index" not in text
