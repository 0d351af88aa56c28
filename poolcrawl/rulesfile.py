"""`--extract FILE`: extraction rules as people write them, in YAML; every error names the line and the rule."""

from __future__ import annotations

import difflib
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from crawl.errors import UsageError
from worker.parse import rules
from worker.parse.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Largest file that is read, in bytes; most rules; longest name.
MAX_FILE_BYTES = 1 << 20
MAX_RULES = 500
MAX_NAME = 64

_KEYS = ("css", "attribute", "many", "match", "type")
_FORM = "write it as 'name:' with 'css: SELECTOR' below it (docs/extraction.md)"


class _RuleError(Exception):
    """What is wrong, and in which line (from 1)."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(line, text)
        self.line = line
        self.text = text


def from_file(path: str) -> str:
    """Return the rules of a file as a crawl keeps them. Raises UsageError that names file, line and rule."""
    try:
        return rules.to_json(_rules(_read(path)))
    except _RuleError as refusal:
        place = path if refusal.line is None else f"{path}, line {refusal.line}"
        message = f"--extract {place}: {refusal.text}"
        raise UsageError(message) from None


def _read(path: str) -> str:
    try:
        file = Path(path)
        if not stat.S_ISREG(file.stat().st_mode):
            raise _RuleError(None, "is no file")
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _RuleError(None, f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise _RuleError(None, "the name has a zero byte") from None
    if len(content) > MAX_FILE_BYTES:
        raise _RuleError(None, f"larger than {MAX_FILE_BYTES} bytes; that is no file of rules")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _RuleError(line, "no text in UTF-8; that is no file of rules") from None


def _rules(text: str) -> list[Rule]:
    root = _tree(text)
    if root is None:
        raise _RuleError(None, f"has no rule; {_FORM}")
    if not isinstance(root, yaml.MappingNode):
        raise _RuleError(_line(root), f"expected rules by their names; {_FORM}")
    found: dict[str, Rule] = {}
    lines: dict[str, int] = {}
    for key, value in root.value:
        name = _name(key)
        if name in found:
            raise _RuleError(
                _line(key), f"rule '{name}' stands in line {lines[name]} already; rename one of them"
            )
        found[name] = _rule(name, key, value)
        lines[name] = _line(key)
        if len(found) > MAX_RULES:
            raise _RuleError(_line(key), f"more than {MAX_RULES} rules")
    if not found:
        raise _RuleError(_line(root), f"has no rule; {_FORM}")
    return list(found.values())


def _tree(text: str) -> yaml.Node | None:
    """Return the file's nodes, which know their lines; nothing is made of them, so no tag or alias does anything."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        raise _RuleError(line, f"not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _RuleError(line, "a control character; that is no file of rules") from None
    except yaml.YAMLError as error:
        raise _RuleError(None, f"not valid YAML: {' '.join(str(error).split())[:200]}") from None
    except RecursionError:
        raise _RuleError(None, "nested too deeply; that is no file of rules") from None
    return root


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _name(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode) or not key.value.strip():
        raise _RuleError(_line(key), "the name of a rule is a word")
    name = str(key.value)
    if len(name) > MAX_NAME or not name.isprintable():
        raise _RuleError(_line(key), f"the name of a rule is one line of at most {MAX_NAME} characters")
    return name


def _rule(name: str, key: yaml.Node, value: yaml.Node) -> Rule:
    if isinstance(value, yaml.ScalarNode):
        # The short form: nothing but a selector.
        return Rule(name=name, css=_selector(name, value))
    if not isinstance(value, yaml.MappingNode):
        raise _RuleError(_line(value), f"rule '{name}': {_FORM}")
    given: dict[str, yaml.Node] = {}
    for part, content in value.value:
        word = part.value if isinstance(part, yaml.ScalarNode) else "?"
        if word not in _KEYS:
            raise _RuleError(_line(part), f"rule '{name}': '{word}' is no key of a rule{_near(word, _KEYS)}")
        if word in given:
            raise _RuleError(_line(part), f"rule '{name}': '{word}' stands there twice; keep one of them")
        given[word] = content
    if "css" not in given:
        raise _RuleError(_line(key), f"rule '{name}' has no 'css'; say with a selector where its value is")
    return Rule(
        name=name,
        css=_selector(name, given["css"]),
        attribute=_word(name, "attribute", given["attribute"]).lower() if "attribute" in given else None,
        many=_flag(name, given["many"]) if "many" in given else False,
        match=_pattern(name, given["match"]) if "match" in given else None,
        type=_type(name, given["type"]) if "type" in given else "text",
    )


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; there are {', '.join(known)}"


def _word(name: str, key: str, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise _RuleError(_line(node), f"rule '{name}': '{key}' wants a text")
    return str(node.value)


def _checked(name: str, key: str, node: yaml.Node, check: Callable[[str], None]) -> str:
    text = _word(name, key, node)
    try:
        check(text)
    except ValueError as error:
        raise _RuleError(_line(node), f"rule '{name}': {error}") from None
    return text


def _selector(name: str, node: yaml.Node) -> str:
    return _checked(name, "css", node, rules.check_selector)


def _pattern(name: str, node: yaml.Node) -> str:
    return _checked(name, "match", node, rules.check_pattern)


def _flag(name: str, node: yaml.Node) -> bool:
    word = _word(name, "many", node).lower()
    if word not in ("true", "false", "yes", "no"):
        raise _RuleError(_line(node), f"rule '{name}': 'many' is true or false, not '{word}'")
    return word in ("true", "yes")


def _type(name: str, node: yaml.Node) -> str:
    word = _word(name, "type", node)
    if word not in rules.TYPES:
        raise _RuleError(_line(node), f"rule '{name}': '{word}' is no type{_near(word, rules.TYPES)}")
    return word
