"""The frontier's Lua: one file per atomic verb in `lua/`, called by digest and loaded again after a server restart."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER = Path(__file__).parent / "lua"
#: Files put before a verb's own text.
_SHARED = {
    "renew": (),
    "add": ("_frame", "_admit"),
    "complete": ("_frame", "_admit"),
    "release": ("_frame", "_admit", "_late"),
    "retry": ("_frame", "_late"),
}


@cache
def source(verb: str) -> str:
    """Return a verb's complete script."""
    parts = (*_SHARED.get(verb, ("_frame",)), verb)
    return "\n".join((_FOLDER / f"{part}.lua").read_text() for part in parts)


@cache
def digest(verb: str) -> str:
    """Return the SHA-1 by which the server knows a verb."""
    return hashlib.sha1(source(verb).encode(), usedforsecurity=False).hexdigest()


def load(client: redis.Redis, verb: str) -> None:
    """Give the server a verb's text."""
    client.script_load(source(verb))


def run(client: redis.Redis, verb: str, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
    """Call one verb: one round trip, two after a server restart."""
    try:
        return client.evalsha(digest(verb), len(keys), *keys, *args)
    except redis.exceptions.NoScriptError:
        load(client, verb)
        return client.evalsha(digest(verb), len(keys), *keys, *args)
