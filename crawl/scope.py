"""Scope: which URLs belong to a crawl, by host, domain, prefix, people's patterns and depth, and why. Pure; no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import re2

from crawl.errors import UsageError
from crawl.urls import base_of, domain_of, host_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from crawl.records import CrawlOptions


def compile_patterns(patterns: Iterable[str], called: str = "") -> list[re2._Regexp]:
    """Compile people's patterns on a linear-time engine, so that none can hang a worker.

    Raises UsageError that names the pattern, after what it is `called`.
    """
    compiled = []
    options = re2.Options()
    options.log_errors = False
    for pattern in patterns:
        try:
            compiled.append(re2.compile(pattern, options=options))
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            message = f"{called}'{pattern}' is not a valid regular expression (RE2 syntax): {reason}"
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


class Verdict(NamedTuple):
    """Why a URL belongs to a crawl or not: `rule` is the option that decided, `refusal` its word, None if it belongs.

    `pattern` is the pattern that matched (of several that did not, the first); `why` is one clause for people.
    """

    refusal: str | None
    rule: str
    why: str
    pattern: str | None = None


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
        if not self.inside(url):
            return "scope"
        return self.pattern_refusal(url) if self._patterned else None

    def inside(self, url: str) -> bool:
        """Return whether a canonical URL lies where the crawl is at home, whatever depth and patterns say."""
        if self.kind == "prefix":
            return self._below_a_prefix(url)
        return self.kind == "any" or self._host_inside(origin_of(url))

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

    def explain(self, url: str, depth: int) -> Verdict:
        """Return what `refusal` says of a canonical URL, with the rule, the pattern and the value that decided."""
        refusal = self.refusal(url, depth)
        if refusal == "depth":
            return Verdict("depth", "--depth", f"depth {depth} is beyond --depth {self.depth}")
        if refusal == "scope":
            return Verdict("scope", "--scope", self._place(url, inside=False))
        return self._by_pattern(url, refusal) or Verdict(None, "--scope", self._place(url, inside=True))

    def explain_seed(self, url: str) -> Verdict:
        """Return what `pattern_refusal` says of a seed: it lies within its own host, and at depth 0."""
        verdict = self._by_pattern(url, self.pattern_refusal(url))
        return verdict or Verdict(None, "seed", "a seed belongs to its crawl")

    def _by_pattern(self, url: str, refusal: str | None) -> Verdict | None:
        if refusal == "include":
            first, more = self._include[0].pattern, len(self._include) - 1
            others = f" nor any of the {more} others" if more else ""
            return Verdict("include", "--include", f"--include '{first}' does not match it{others}", first)
        if refusal == "exclude":
            (pattern, *_) = [one.pattern for one in self._exclude if one.search(url)]
            return Verdict("exclude", "--exclude", f"--exclude '{pattern}' matches it", pattern)
        if self._include:
            (pattern, *_) = [one.pattern for one in self._include if one.search(url)]
            return Verdict(None, "--include", f"--include '{pattern}' matches it", pattern)
        return None

    def _place(self, url: str, *, inside: bool) -> str:
        """Return why a URL lies inside or outside, as far as its place counts."""
        host = host_of(url)
        if self.kind == "any":
            return "every host belongs to the crawl (--scope any)"
        if self.kind == "prefix":
            below = sorted(prefix for prefix in self._prefixes if url.startswith(prefix))
            told = f"it is below {below[-1]}" if inside else f"it is below none of {_some(self._prefixes)}"
        elif self.kind == "domain":
            which = "one" if inside else "none"
            told = f"{domain_of(host)} is {which} of the seeds' domains{'' if inside else f' ({_some(self._domains)})'}"
        else:
            which = "one" if inside else "none"
            told = f"{host} is {which} of the seeds' hosts{'' if inside else f' ({_some(self._hosts)})'}"
        return f"{told} (--scope {self.kind})"


def _some(names: Collection[str]) -> str:
    """Return the first few of some names for a sentence."""
    first = sorted(names)[:3]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
