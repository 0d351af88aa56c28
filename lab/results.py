"""Reading and writing the result of the lab, a file of one JSON object (`lab.schema`)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from crawl.errors import UsageError
from lab.schema import KIND, VERSION, Result

Row = dict[str, Any]

#: How to come by a file that can be read.
_REMEDY = "make one with `poolcrawl bench --json > FILE`"


def read(path: Path | str) -> Row:
    """Return the result in a file, with every field it has.

    Raises UsageError, in one line, for a file that is not there, broken, of another version or of something else.
    """
    found = _decode(path, _bytes(path))
    if not isinstance(found, dict):
        message = f"{path} holds {_article(found)}, not a result of the lab; {_REMEDY}"
        raise UsageError(message)
    _require_version(path, found)
    try:
        msgspec.convert(found, Result)
    except msgspec.ValidationError as error:
        message = f"{path} is not a whole result of the lab: {_one_line(error)}; {_REMEDY}"
        raise UsageError(message) from None
    _require_sense(path, found)
    return found


def write(result: Row, path: Path | str) -> None:
    """Write a result as one line, wholly or not at all. Raises UsageError where no file can be written.

    Numbers that JSON has no word for (NaN, infinity) become null.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(result) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            # mkstemp's file is for its owner alone; a result is nobody's secret.
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}; give another path"
        raise UsageError(message) from None


def usable(trial: Row) -> bool:
    """Return whether a trial has numbers that count: it is valid, and at least one run of it was."""
    return bool(trial.get("valid")) and bool(trial.get("pages_s"))


def _bytes(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}; {_REMEDY}"
        raise UsageError(message) from None


def _decode(path: Path | str, data: bytes) -> Any:
    if not data.strip():
        message = f"{path} is empty; {_REMEDY}"
        raise UsageError(message)
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        message = f"{path} is not JSON, or was cut off: {_one_line(error)}; {_REMEDY}"
        raise UsageError(message) from None


def _require_version(path: Path | str, found: Row) -> None:
    """Raise UsageError unless the object says that it is of this kind and this version."""
    schema, kind = found.get("schema"), found.get("kind")
    if schema is None and {"conditions", "trials", "marks"} <= found.keys():
        message = f"{path} was made by an older version of poolcrawl, whose trials were others; {_REMEDY}"
    elif schema is None:
        message = f"{path} has no 'schema', so it is not a result of the lab; {_REMEDY}"
    elif kind != KIND:
        message = f"{path} is of kind {_shown(kind)}, expected '{KIND}'; {_REMEDY}"
    elif isinstance(schema, int) and not isinstance(schema, bool) and schema > VERSION:
        message = (
            f"{path} has schema {schema}, this poolcrawl reads {VERSION}; read it with a newer poolcrawl"
        )
    elif schema != VERSION or isinstance(schema, bool):
        message = f"{path} has schema {_shown(schema)}, expected {VERSION}; {_REMEDY}"
    else:
        return
    raise UsageError(message)


def _require_sense(path: Path | str, found: Row) -> None:
    """Raise UsageError where trials are of workloads that are not there, or one is there twice."""
    workloads = {row["name"] for row in found["workloads"]}
    seen: set[str] = set()
    for trial in found["trials"]:
        name = trial["name"]
        if name in seen:
            message = f"{path} has the trial {_shown(name)} twice; {_REMEDY}"
            raise UsageError(message)
        if trial["workload"] not in workloads:
            message = f"{path} does not say what the workload of the trial {_shown(name)} is; {_REMEDY}"
            raise UsageError(message)
        seen.add(name)


def _shown(value: Any) -> str:
    """Return a value of an unknown file in few characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _article(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
