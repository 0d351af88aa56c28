"""Other packages' own tests, run against our code: their modules with stand-ins for what they test."""

from __future__ import annotations

import importlib.util
import sys
import types
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class NotOurs(Exception):  # noqa: N818 - no error, but a reason to leave a case out
    """A test asks for what we do not have on purpose."""


def not_ours(*_: object, **__: object) -> None:
    """Stand in for a function that we do not have."""
    raise NotOurs


def stand_in(name: str, **names: object) -> types.ModuleType:
    """Return a module with these names; any other is `not_ours`."""
    module = types.ModuleType(name)
    vars(module).update(names, __path__=[], __all__=list(names), __getattr__=lambda _: not_ours)
    return module


def module(path: Path, *stand_ins: types.ModuleType, root: Path | None = None) -> types.ModuleType:
    """Return a package's test module, run with stand-ins in place of its imports; `root` is searched for others."""
    found = types.ModuleType("theirs")
    found.__package__ = "theirs"
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patched:
        if root is not None:
            patched.syspath_prepend(str(root))
        for one in (stand_in("theirs"), *stand_ins):
            patched.setitem(sys.modules, one.__name__, one)
        exec(compile(path.read_text(), str(path), "exec"), vars(found))
    if root is not None:
        # What it brought along is its own, not an installed package.
        for name in set(sys.modules) - before:
            if str(root) in str(getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]
    return found


def imported(name: str, folder: Path) -> types.ModuleType:
    """Import a package from a folder, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"theirs_{name}", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def tests(found: types.ModuleType) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield name and call of every test of a module, one for each row of its parameters."""
    classes = [one() for name, one in vars(found).items() if name.startswith("Test") and callable(one)]
    for owner in (found, *classes):
        for name in sorted(dir(owner)):
            if name.startswith("test"):
                test = getattr(owner, name)
                for arguments in _rows(test):
                    yield " ".join([name, *map(repr, arguments.values())]), partial(test, **arguments)


def _rows(test: Callable[..., object]) -> Iterator[dict[str, object]]:
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    for chosen in product(*(mark.args[1] for mark in marks)):
        row: dict[str, object] = {}
        for mark, values in zip(marks, chosen, strict=True):
            names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
            row |= zip(map(str.strip, names), values if len(names) > 1 else (values,), strict=True)
        yield row


def passes(call: Callable[[], object]) -> bool | None:
    """Return whether a test passes, or None when it is about what we do not have."""
    try:
        call()
    except NotOurs:
        return None
    except (AssertionError, AttributeError, TypeError, LookupError):
        return False
    return True
