"""URLs: canonical form, joining, fingerprints, origins, hosts and scope. Pure; no I/O.

Parsing and joining follow the WHATWG URL standard (ada-url). The canonical form then merges what RFC 3986 section 6
calls the same resource: case of scheme and host, default port, dot segments, percent-encoding of unreserved
characters, empty path. The fragment and userinfo are dropped. Nothing else is changed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import ada_url
import re2
from publicsuffixlist import PublicSuffixList

from crawl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawl.records import CrawlOptions

#: Longer URLs are not admitted; browsers and servers give up near here (RFC 9110 section 4.1 asks for 8000).
MAX_URL_LENGTH = 4096

SCHEMES = ("http", "https")

#: What the URL standard strips from both ends: C0 controls and space, but no other white space of Unicode.
_STRIPPED = "".join(map(chr, range(0x21)))
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _percent(match: re.Match[str]) -> str:
    char = chr(int(match[0][1:], 16))
    return char if char in _UNRESERVED else match[0].upper()


def _finish(href: str) -> str | None:
    """Turn a WHATWG-serialised URL into the canonical form; None where it is not http(s) or too long."""
    cut = href.find("#")
    if cut >= 0:
        href = href[:cut]
    if "%" in href:
        href = _PERCENT.sub(_percent, href)
        # Decoding %2E may have made new dot segments.
        if "/." in href:
            href = ada_url.normalize_url(href)
    if not href.startswith(("http://", "https://")) or len(href) > MAX_URL_LENGTH or " " in href:
        return None
    if "@" in href:
        parsed = ada_url.URL(href)
        parsed.username = ""
        parsed.password = ""
        href = parsed.href
    return href


def canonical(url: str) -> str | None:
    """Return the canonical form of an absolute URL, or None when it is no http(s) URL with a host."""
    try:
        return _finish(ada_url.normalize_url(url))
    except ValueError:
        return None


@lru_cache(maxsize=65_536)
def join(base: str, reference: str) -> str | None:
    """Return the canonical target of a reference on a page, or None when it leads to no http(s) URL.

    `base` is best given without its file name (`base_of`), so that pages of one directory share the cache.
    """
    try:
        return _finish(ada_url.join_url(base, reference))
    except ValueError:
        return None


def base_of(url: str) -> str:
    """Return the URL up to the last slash of its path: it joins like the URL itself for all but empty and `?` links."""
    query = url.find("?")
    path = url if query < 0 else url[:query]
    slash = path.rfind("/")
    return path[: slash + 1] if slash > 7 else path


def join_all(
    page_url: str, references: Iterable[str], base_href: str | None = None, limit: int = 10_000
) -> list[str]:
    """Return the canonical targets of references in document order, each once."""
    base = page_url
    if base_href is not None:
        base = join(page_url, base_href) or page_url
    directory = base_of(base)
    found: dict[str, None] = {}
    for reference in references:
        stripped = reference.strip(_STRIPPED)
        target = join(base if stripped[:1] in ("", "?", "#") else directory, stripped)
        if target is not None and target not in found:
            found[target] = None
            if len(found) >= limit:
                break
    return list(found)


def fingerprint(url: str) -> int:
    """Return the signed 64-bit fingerprint (blake2b) of a canonical URL.

    Two of a million URLs collide with odds of about 3 in 10**8. On its way through Redis it is always a decimal
    string: Lua and cjson numbers lose bits.
    """
    return int.from_bytes(blake2b(url.encode(), digest_size=8).digest(), "big", signed=True)


def origin_of(url: str) -> str:
    """Return scheme, host and port (`http://host:port`) of a canonical URL: what robots.txt speaks for."""
    slash = url.find("/", 8)
    return url if slash < 0 else url[:slash]


def host_of(url: str) -> str:
    """Return the host name of a canonical URL: what politeness is owed to."""
    authority = origin_of(url).split("://", 1)[1]
    if authority.startswith("["):
        return authority[: authority.find("]") + 1]
    return authority.split(":", 1)[0]


class Seed(NamedTuple):
    """A seed's verdict: its canonical URL, or why it is none."""

    url: str | None
    error: str | None


def judge_seed(text: str) -> Seed:
    """Return the canonical URL of what a person typed, or one sentence that says what is wrong with it."""
    stripped = text.strip()
    match = re.match(r"^([A-Za-z][A-Za-z0-9+.-]*)://?", stripped)
    if not match:
        if re.match(r"^[a-z]+:[^0-9]", stripped, re.IGNORECASE) and "." not in stripped.split(":")[0]:
            scheme = stripped.split(":")[0]
            return Seed(
                None, f"'{stripped}' has the scheme {scheme}:, poolcrawl reads http:// and https:// only"
            )
        return Seed(None, f"'{stripped}' has no scheme; write http://{stripped} or https://{stripped}")
    if match[1].lower() not in SCHEMES:
        return Seed(
            None, f"'{stripped}' has the scheme {match[1]}://, poolcrawl reads http:// and https:// only"
        )
    if re.match(r"^https?:/*([/?#]|$|:|[^/@]*@(?:[/?#:]|$))", stripped, re.IGNORECASE) and re.match(
        r"^https?://(?:[^/]*@)?(?:[/?#:]|$)", stripped, re.IGNORECASE
    ):
        return Seed(None, f"'{stripped}' names no host; write it as http://HOST/PATH")
    url = canonical(stripped)
    if url is None:
        return Seed(
            None,
            f"'{stripped}' is not a valid URL (host, port or length); write it as http://HOST[:PORT]/PATH",
        )
    return Seed(url, None)


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=4096)
def domain_of(host: str) -> str:
    """Return the registrable domain of a host by the public suffix list; addresses and bare names are their own."""
    if host.startswith("[") or host.rsplit(".", 1)[-1].isdigit():
        return host
    return _suffixes().privatesuffix(host) or host


def compile_patterns(patterns: Iterable[str]) -> list[re2._Regexp]:
    """Compile people's patterns on a linear-time engine, so that none can hang a worker.

    Raises UsageError that names the pattern.
    """
    compiled = []
    options = re2.Options()
    options.log_errors = False
    for pattern in patterns:
        try:
            compiled.append(re2.compile(pattern, options=options))
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            message = f"'{pattern}' is not a valid regular expression (RE2 syntax): {reason}"
            raise UsageError(message) from None
    return compiled


def scope_entry(kind: str, seed: str) -> str | None:
    """Return how little of a seed widens a scope as the seed itself does; None where the scope needs no seeds.

    Seeds of one host (domain, directory) share it, so that a million seeds need no million entries.
    """
    if kind == "prefix":
        return base_of(seed)
    if kind == "any":
        return None
    host = host_of(seed)
    return f"http://{domain_of(host) if kind == 'domain' else host}/"


class Scope:
    """Which URLs belong to a crawl; built from its frozen options, so every process judges alike.

    `extra_seeds` widen the scope as seeds do: entries of seeds that the options do not name (`scope_entry`), and what
    a seed redirected to.
    """

    def __init__(self, options: CrawlOptions, extra_seeds: Iterable[str] = ()) -> None:
        self.kind = options.scope
        self.depth = options.depth
        self._include = compile_patterns(options.include)
        self._exclude = compile_patterns(options.exclude)
        self._patterned = bool(self._include or self._exclude)
        self._hosts: set[str] = set()
        self._domains: set[str] = set()
        self._prefixes: set[str] = set()
        self._verdicts: dict[str, bool] = {}
        self.widen((*options.seeds, *extra_seeds))

    def widen(self, seeds: Iterable[str]) -> None:
        """Let further seeds belong to the crawl with what surrounds them."""
        if self.kind == "prefix":
            self._prefixes.update(base_of(seed) for seed in seeds)
            return
        hosts = {host_of(seed) for seed in seeds}
        self._hosts |= hosts
        if self.kind == "domain":
            self._domains |= {domain_of(host) for host in hosts}
        # A refusal that is remembered may not be true any more.
        self._verdicts = {}

    def _host_inside(self, origin: str) -> bool:
        # Should the scope be widened meanwhile, the verdict goes with what it was made from.
        verdicts = self._verdicts
        known = verdicts.get(origin)
        if known is None:
            host = host_of(origin + "/")
            known = host in self._hosts if self.kind == "host" else domain_of(host) in self._domains
            if len(verdicts) < 10_000:
                verdicts[origin] = known
        return known

    def refusal(self, url: str, depth: int) -> str | None:
        """Return why a canonical URL is not admitted (`depth`, `scope`, `include`, `exclude`), or None."""
        if self.depth is not None and depth > self.depth:
            return "depth"
        if self.kind == "prefix":
            if not self._below_a_prefix(url):
                return "scope"
        elif self.kind != "any" and not self._host_inside(origin_of(url)):
            return "scope"
        return self.pattern_refusal(url) if self._patterned else None

    def _below_a_prefix(self, url: str) -> bool:
        """Whether the URL starts with a prefix; every prefix ends with a slash, and there may be many of them."""
        slash = url.find("/", 8)
        while slash > 0:
            if url[: slash + 1] in self._prefixes:
                return True
            slash = url.find("/", slash + 1)
        return False

    def pattern_refusal(self, url: str) -> str | None:
        """Return `include` or `exclude` when a pattern keeps a URL out, whatever its host: what seeds are judged by."""
        if self._include and not any(pattern.search(url) for pattern in self._include):
            return "include"
        return "exclude" if self.excluded(url) else None

    def excluded(self, url: str) -> bool:
        """Return whether an exclude pattern names the URL."""
        return any(pattern.search(url) for pattern in self._exclude)
