"""URLs: canonical form, joining, fingerprints, origins, hosts and scope. Pure; no I/O.

Parsing and joining follow the WHATWG URL standard (ada-url). The canonical form then merges what RFC 3986 section 6
calls the same resource: case of scheme and host, default port, dot segments, percent-encoding of unreserved
characters, empty path. The fragment and userinfo are dropped. Nothing else is changed (`docs/urls.md` has the table).
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import ada_url
import re2
from publicsuffixlist import PublicSuffixList

from crawl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable

    from crawl.records import CrawlOptions

#: Longer URLs are not admitted; browsers and servers give up near here (RFC 9110 section 4.1 asks for 8000).
MAX_URL_LENGTH = 4096

SCHEMES = ("http", "https")

#: What the URL standard strips from both ends: C0 controls and space, but no other white space of Unicode.
_STRIPPED = "".join(map(chr, range(0x21)))
#: An escape, after a percent sign that begins none (and perhaps one digit) if it stands right behind one.
_PERCENT = re.compile(r"(%[0-9a-fA-F]?(?=%[0-9a-fA-F]{2}))?%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
#: User name and password of a URL of any scheme, wherever it stands.
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:[/\\]{1,3})[^/\\?#\s]*@")
_DIGITS = frozenset("0123456789abcdefABCDEF")
#: What may stand inside a scheme's letters: the URL standard takes tabs and line ends out of a reference.
_GAP = r"[\t\n\r]*"
#: `http:` without slashes is a reference to the page itself or to its directory, if the page's scheme is the same.
_SAME_PLACE = re.compile(rf"h{_GAP}t{_GAP}t{_GAP}p{_GAP}(?:s{_GAP})?:{_GAP}(?:[?#]|\Z)", re.IGNORECASE)
#: How a reference begins that needs the page itself to be joined to (`h`: perhaps).
_OF_PAGE = frozenset(("", "?", "#", "h", "H"))
#: Longer references and bases are joined anew each time: 65,536 of them would fill a worker's memory.
_LONGEST_CACHED = 256


def _percent(match: re.Match[str]) -> str:
    stray, code = match[1] or "", match[2]
    char = chr(int(code, 16))
    # `%%34%31` says "%41"; undone it would say "A".
    kept = char not in _UNRESERVED or (stray and char in _DIGITS)
    return f"{stray}%{code.upper()}" if kept else stray + char


def _finish(href: str) -> str | None:
    """Turn a WHATWG-serialised URL into the canonical form; None where it is not http(s) or too long."""
    if not href.startswith(("http://", "https://")):
        return None
    cut = href.find("#")
    if cut >= 0:
        href = href[:cut]
    if "%" in href:
        # No dot segment can come of it: the standard takes %2E for a dot already.
        href = _PERCENT.sub(_percent, href)
    if "@" in href:
        # In user names and passwords the standard escapes `/` and `@`.
        first = href.index("//") + 2
        slash = href.index("/", first)
        sign = href.rfind("@", first, slash)
        if sign >= 0:
            href = href[:first] + href[sign + 1 :]
    return href if len(href) <= MAX_URL_LENGTH else None


def canonical(url: str) -> str | None:
    """Return the canonical form of an absolute URL, or None when it is no http(s) URL with a host."""
    try:
        return _finish(ada_url.normalize_url(url))
    except ValueError:
        return None


def join(base: str, reference: str) -> str | None:
    """Return the canonical target of a reference on a page, or None when it leads to no http(s) URL."""
    try:
        return _finish(ada_url.join_url(base, reference))
    except ValueError:
        return None


_join_known = lru_cache(maxsize=65_536)(join)


def base_of(url: str) -> str:
    """Return the URL up to the last slash of its path; `join_all` knows which references need the URL itself."""
    query = url.find("?")
    path = url if query < 0 else url[:query]
    slash = path.rfind("/")
    return path[: slash + 1] if slash > 7 else path


def join_all(
    page_url: str, references: Iterable[str], base_href: str | None = None, limit: int = 10_000
) -> list[str]:
    """Return the canonical targets of references in document order, each once.

    References are joined to the page's directory, so that pages of one directory share the cache.
    """
    base = page_url
    if base_href is not None:
        base = join(page_url, base_href.strip(_STRIPPED)) or page_url
    directory = base_of(base)
    quick = _join_known if len(directory) <= _LONGEST_CACHED else join
    found: dict[str, None] = {}
    for reference in references:
        stripped = reference.strip(_STRIPPED)
        first = stripped[:1]
        if first in _OF_PAGE and (first not in ("h", "H") or _SAME_PLACE.match(stripped)):
            target = join(base, stripped)
        elif len(stripped) <= _LONGEST_CACHED:
            target = quick(directory, stripped)
        else:
            target = join(directory, stripped)
        if target is not None and target not in found:
            found[target] = None
            if len(found) >= limit:
                break
    return list(found)


def drop_query(url: str, dropped: Container[str]) -> str:
    """Return a canonical URL without the query parameters of these names; the rest stays as it is, byte for byte.

    Parameters stand between `&`; a name is compared after its percent-encoding is undone, upper and lower case apart.
    When nothing is left of the query, its `?` goes too. Called only where names were given (`--drop-query`).
    """
    path, mark, query = url.partition("?")
    if not mark:
        return url
    parts = query.split("&")
    kept = [part for part in parts if unquote(part.partition("=")[0]) not in dropped]
    if len(kept) == len(parts):
        return url
    rest = "&".join(kept)
    return f"{path}?{rest}" if rest else path


def without_userinfo(text: str) -> str:
    """Return any text without the user names and passwords of the URLs in it: for messages that quote what came in."""
    return _USERINFO.sub(r"\1", text)


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


def is_public_suffix(host: str) -> bool:
    """Return whether a name is one that anybody can register below (`com`, `co.uk`, `github.io`)."""
    return _suffixes().publicsuffix(host) == host


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
