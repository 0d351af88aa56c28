"""What fills a record's `data`: a crawl's rules, then a function of somebody's own (`--extractor`). Pure.

The function is code that a worker runs with its own rights, so a worker imports only what its `CRAWL_EXTRACTORS` names.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from crawl.errors import FinalFetchError
from worker.parse.document import Extracted
from worker.parse.rules import MAX_DATA_BYTES, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from crawl.records import CrawlOptions
    from worker.parse.document import Extract, Page

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def check_name(name: str) -> str:
    """Return a name unchanged; raise ValueError, with one sentence, when it is not `package.module:function`."""
    if not _DOTTED.fullmatch(name):
        message = f"'{name}' is not package.module:function"
        raise ValueError(message)
    return name


def load(name: str) -> Callable[..., Any]:
    """Import the function of that name. Raises ValueError, with one sentence, when there is none."""
    module_name, _, attribute = check_name(name).partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except AttributeError:
        message = f"the module '{module_name}' has no '{attribute}'"
        raise ValueError(message) from None
    # It is somebody's code; whatever it does when it is imported is told in one line.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        message = f"'{module_name}' cannot be imported: {type(error).__name__}: {_short(error)}"
        raise ValueError(message) from None
    if not callable(found):
        message = f"'{name}' is not callable"
        raise ValueError(message)
    function: Callable[..., Any] = found
    return function


def of(options: CrawlOptions, allowed: Collection[str]) -> Extract | None:
    """Return what fills `data` in a crawl, None where nothing does.

    `allowed` are the names of functions that this worker may import. Where the crawl's is not among them, or is not to
    be had, every page fails with the reason `parse` and the name.
    """
    rules = Rules(options.extract) if options.extract is not None else None
    if options.extractor is None:
        return None if rules is None else lambda page: _bounded(rules(page))
    name = options.extractor
    if name not in allowed:
        return _refusing(f"--extractor {name}: this worker's CRAWL_EXTRACTORS does not name it")
    try:
        function = load(name)
    except ValueError as error:
        return _refusing(f"--extractor {name}: {error}")
    return lambda page: _bounded(_extended(page, rules(page) if rules else Extracted({}), name, function))


def _refusing(detail: str) -> Extract:
    def refuse(_: Page) -> Extracted:
        raise FinalFetchError("parse", detail)

    return refuse


def _extended(page: Page, found: Extracted, name: str, function: Callable[..., Any]) -> Extracted:
    """Return what rules found with what the function adds; what it raises costs its own data only."""
    try:
        own = function(page.url, page.tree, dict(found.data))
        if not isinstance(own, dict) or not all(isinstance(key, str) for key in own):
            message = f"it returned {type(own).__name__}, not a dict with texts as keys"
            raise TypeError(message)
        # Through JSON: later, what cannot be written would cost the whole record.
        own = msgspec.json.decode(msgspec.json.encode(own))
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return Extracted(found.data, f"extractor {name}: {type(error).__name__}: {_short(error)}")
    return Extracted({**found.data, **own}, found.detail)


def _bounded(found: Extracted) -> Extracted:
    if len(msgspec.json.encode(found.data)) <= MAX_DATA_BYTES:
        return found
    kept: dict[str, Any] = {}
    room = MAX_DATA_BYTES
    dropped = []
    for name, value in found.data.items():
        size = len(msgspec.json.encode({name: value}))
        if size <= room:
            kept[name] = value
            room -= size
        else:
            dropped.append(name)
    return Extracted(
        kept, f"extraction: data over {MAX_DATA_BYTES} bytes; left out: {', '.join(dropped)[:200]}"
    )


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
