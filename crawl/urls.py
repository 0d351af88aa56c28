"""URLs: canonical form, joining, fingerprints, origins and hosts. Pure; no I/O.

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
from publicsuffixlist import PublicSuffixList

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

#: Longer URLs are not admitted; browsers and servers give up near here (RFC 9110 section 4.1 asks for 8000).
MAX_URL_LENGTH = 4096

#: Longest name that DNS has, without a last dot, and longest part of one between two dots.
MAX_HOST = 253
MAX_LABEL = 63

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


def _is_of_page(reference: str) -> bool:
    """Return whether a reference that begins with one of `_OF_PAGE` is joined to the page, not to its directory."""
    if reference[:1] not in ("h", "H"):
        return True
    return not reference.startswith(("http://", "https://")) and _SAME_PLACE.match(reference) is not None


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
    quick = _join_known if len(base) <= _LONGEST_CACHED else join
    found: dict[str, None] = {}
    for reference in references:
        stripped = reference.strip(_STRIPPED)
        at = base if stripped[:1] in _OF_PAGE and _is_of_page(stripped) else directory
        target = quick(at, stripped) if len(stripped) <= _LONGEST_CACHED else join(at, stripped)
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
        if canonical(f"http://{stripped}") is None:
            return Seed(
                None, f"'{stripped}' has no scheme and names no host; write it as http://HOST[:PORT]/PATH"
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
    if not _can_be_resolved(host_of(url)):
        return Seed(
            None,
            f"'{stripped}' names a host that is too long for DNS: write at most {MAX_LABEL} characters between "
            f"two dots, {MAX_HOST} in all",
        )
    return Seed(url, None)


def _can_be_resolved(host: str) -> bool:
    """Whether a host is short enough for DNS (RFC 1035 section 2.3.4); the URL standard does not ask for that."""
    name = host.removesuffix(".")
    return len(name) <= MAX_HOST and max(map(len, name.split("."))) <= MAX_LABEL


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
