"""What was merged and dropped between a URL as typed and its canonical form, in words; `docs/urls.md` lists all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import ada_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = re.compile(r"([^:]*):([/\\]*)([^/\\?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)


def merged(typed: str, canonical: str, url: str) -> list[str]:
    """Return the differences, one clause each; `url` is the canonical form without the parameters that are dropped."""
    text = typed.strip()
    if text == url:
        return []
    parsed = ada_url.URL(text)
    match = _PARTS.fullmatch(text)
    said = list(_differences(match, parsed, canonical)) if match else []
    if url != canonical:
        left = url.partition("?")[2].split("&")
        gone = [part for part in canonical.partition("?")[2].split("&") if part not in left]
        said.append(f"query {', '.join(map(repr, gone))} dropped (--drop-query)")
    return said or ["written in its canonical form"]


def _differences(match: re.Match[str], parsed: ada_url.URL, canonical: str) -> Iterator[str]:
    scheme, slashes, authority, path, query, fragment = (part or "" for part in match.groups())
    if scheme != scheme.lower():
        yield "scheme in lower case"
    if slashes != "//":
        yield "two slashes after the scheme"
    yield from _authority(authority, parsed)
    if not path:
        yield "an empty path is /"
    if "\\" in path:
        yield "backslashes are slashes"
    if {".", ".."} & set(path.replace("\\", "/").lower().replace("%2e", ".").split("/")):
        yield "dot segments resolved"
    if (parsed.pathname + parsed.search).rstrip("?") != canonical[canonical.find("/", 8) :].rstrip("?"):
        yield "percent-encoding: capital digits, plain letters where no escape is needed"
    if any(ord(char) > 126 or char in ' "<>`{}^' for char in path + query):
        yield "percent-encoding of what no URL may hold"
    if fragment:
        yield f"fragment '{fragment}' dropped"


def _authority(authority: str, parsed: ada_url.URL) -> Iterator[str]:
    before, sign, host = authority.rpartition("@")
    if before or sign:
        yield "user name and password dropped"
    name, _, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "")
    if host != name and not parsed.port:
        yield f"default port '{port}' dropped" if port else "empty port dropped"
    if name != parsed.hostname:
        yield (
            "host in lower case" if name.lower() == parsed.hostname else f"host '{name}' is {parsed.hostname}"
        )
