"""The reader of robots.txt (RFC 9309 section 2.2): which group is ours, and which rule decides on a URL. Pure, no I/O.

It is our own, because a verdict must be exact, quick on files of 500 KiB and blind to no byte
(`docs/decisions/0014-a-robots-reader-of-our-own.md`). `docs/robots.md` lists the behaviour, section by section.
"""

from __future__ import annotations

import re
from functools import lru_cache

from crawl.urls import canonical, join
from worker.matching import Matcher, path_of

#: What is read of a robots.txt, in bytes (RFC 9309 section 2.5).
MAX_BYTES = 500 * 1024
#: Sitemaps kept of a robots.txt: how many, and how many characters of them.
MAX_SITEMAPS = 100
MAX_SITEMAP_CHARS = 64 * 1024

_TOKEN = re.compile(r"[A-Za-z_-]+")
#: What stands for a token where there is none: section 2.2.1 knows no digits.
_WORD = re.compile(r"[^\s/]+")
_BOM = b"\xef\xbb\xbf"
_WHITE = " \t\v\f"
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
#: What a line may call itself; the misspellings are those that Google's reader takes.
_NAMES = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), "agent"),
    "allow": "allow",
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    **dict.fromkeys(("crawl-delay", "crawldelay", "crawl delay"), "delay"),
    **dict.fromkeys(("sitemap", "site-map"), "sitemap"),
}
#: The first letters of those names: most other lines need no second look.
_INITIALS = frozenset("uadcsUADCS")
_DELAY = re.compile(r"\d+(?:\.\d*)?|\.\d+")
#: A longer Crawl-delay, in seconds, says no more than this one does (and would not fit into Redis' numbers).
_LONGEST_DELAY_S = 86_400.0


@lru_cache(maxsize=256)
def product_token(user_agent: str) -> str:
    """Return the name robots.txt groups are matched with: `poolcrawl` of `poolcrawl/0.1 (+...)` (section 2.2.1)."""
    name = user_agent.strip().lower()
    match = _TOKEN.match(name) or _WORD.match(name)
    return match[0] if match else ""


class _Group:
    """One or more User-agent lines, and the rules they share."""

    def __init__(self) -> None:
        #: Product token -> how many were named before it.
        self.agents: dict[str, int] = {}
        self.rules: list[tuple[int, bool, str]] = []
        #: Each Crawl-delay in seconds, with the number of tokens named before it.
        self.delays: list[tuple[int, float]] = []

    def delay_of(self, agent: str) -> float | None:
        """Return the longest Crawl-delay behind the line that names the agent."""
        at = self.agents[agent]
        return max((delay for named, delay in self.delays if named > at), default=None)


class Rules:
    """The rules of one origin.

    `sitemaps` are the canonical URLs of its Sitemap lines, in order, each once. `text` is what there is to keep of the
    file: the lines that say something, each in its place; octets beyond ASCII are escaped, which changes no rule.
    """

    def __init__(self, text: str = "", base: str | None = None) -> None:
        self.sitemaps: list[str] = []
        self.text = ""
        self._base = base
        #: Product token -> the groups that name it.
        self._groups: dict[str, list[_Group]] = {}
        self._matchers: dict[str, Matcher | None] = {}
        self._read(text)

    @classmethod
    def from_text(cls, body: bytes, base: str | None = None) -> Rules:
        """Read a robots.txt, at most `MAX_BYTES` of it; any bytes give rules.

        With `base`, its own URL, relative Sitemap lines are joined to that; else they are passed over.
        """
        return cls(_text(body), base)

    @classmethod
    def from_kept(cls, kept: bytes) -> Rules:
        """Return the rules whose `text` was kept."""
        return cls(kept.decode("latin-1"))

    def allowed(self, url: str, user_agent: str) -> bool:
        """Return whether a canonical URL may be asked for."""
        matcher = self._matcher(product_token(user_agent))
        if matcher is None:
            return True
        path = path_of(url)
        rule = matcher.rule(path)
        # The file itself may always be asked for (section 2.2.2).
        return rule is None or rule.allow or path == "/robots.txt"

    def rule_of(self, url: str, user_agent: str) -> str | None:
        """Return the line that decides on a URL, as `Disallow: /private (line 3)`, or None where no rule matches."""
        matcher = self._matcher(product_token(user_agent))
        rule = matcher.rule(path_of(url)) if matcher else None
        if rule is None:
            return None
        line = self.text.split("\n")[rule.line - 1].strip(_WHITE)
        return f"{line[:200]} (line {rule.line})"

    def crawl_delay(self, user_agent: str) -> float | None:
        """Return the Crawl-delay that applies to us, in seconds (at most a day), or None.

        The RFC knows no such record. It counts for the User-agent lines before it; of several, the longest does.
        """
        token = product_token(user_agent)
        agent = token if token in self._groups else "*"
        delays = (group.delay_of(agent) for group in self._groups.get(agent, ()))
        return max((delay for delay in delays if delay is not None), default=None)

    def _matcher(self, token: str) -> Matcher | None:
        """Return the rules of the groups that name the token, of `*` where none does, or None (section 2.2.1)."""
        if token not in self._matchers:
            groups = self._groups.get(token) or self._groups.get("*") or []
            rules = [rule for group in groups for rule in group.rules]
            self._matchers[token] = Matcher(rules) if rules else None
        return self._matchers[token]

    def _read(self, text: str) -> None:
        group = _Group()
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            record = _record(line)
            if record is None:
                lines[number - 1] = ""
                continue
            name, value = record
            if name == "agent":
                if group.rules:
                    # Only rules end the list of names: other records must not (section 2.2.4).
                    group = _Group()
                agent = _agent(value)
                if agent not in group.agents:
                    group.agents[agent] = len(group.agents)
                    self._groups.setdefault(agent, []).append(group)
            elif name == "sitemap":
                self._sitemap(value)
            elif name == "delay":
                if _DELAY.fullmatch(value):
                    group.delays.append((len(group.agents), min(float(value), _LONGEST_DELAY_S)))
            elif group.agents:
                # An empty one matches nothing, but it is a rule: the list of names ends.
                group.rules.append((number, name == "allow", value))
        self.text = _BEYOND_ASCII.sub(lambda match: f"%{ord(match[0]):02X}", "\n".join(lines).rstrip("\n"))

    def _sitemap(self, value: str) -> None:
        if len(self.sitemaps) == MAX_SITEMAPS:
            return
        text = value.encode("latin-1").decode("utf-8", "replace")
        url = join(self._base, text) if self._base else canonical(text)
        if url is None or url in self.sitemaps or sum(map(len, self.sitemaps)) + len(url) > MAX_SITEMAP_CHARS:
            return
        self.sitemaps.append(url)


def _text(body: bytes) -> str:
    """Return a file with one character per byte, and line feeds alone between lines.

    A line that the limit may have cut is left out: half a rule may forbid far more than the whole one.
    """
    if len(body) >= MAX_BYTES:
        body = body[:MAX_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    for length in (3, 2, 1):
        # Half a byte order mark is passed over like a whole one.
        if body.startswith(_BOM[:length]):
            body = body[length:]
            break
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("latin-1")


def _record(line: str) -> tuple[str, str] | None:
    """Return what a line is (a value of `_NAMES`) and its value, or None for all other lines (section 2.2)."""
    line = line.strip(_WHITE)
    if line[:1] not in _INITIALS:
        return None
    line = line.partition("#")[0]
    name, colon, value = line.partition(":")
    if not colon:
        # Without a colon, two words are taken for name and value, as Google's reader does.
        words = line.split()
        if len(words) != 2:
            return None
        name, value = words
    known = _NAMES.get(name.strip(_WHITE).lower())
    return (known, value.strip(_WHITE)) if known else None


def _agent(value: str) -> str:
    """Return what a User-agent line names: `*`, or a product token in lower case, without the version behind it."""
    return "*" if value[:1] == "*" and value[1:2].strip(_WHITE) == "" else product_token(value)
