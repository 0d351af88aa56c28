"""What one worker process keeps between tasks: Redis client, HTTP sessions, frozen options, robots rules, known URLs.

Made on first use in each process, never before a fork: sockets and locks do not survive one.
"""

from __future__ import annotations

import ipaddress
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from crawl import connection, settings
from crawl.errors import UnavailableError, UnknownCrawlError
from crawl.frontier import Frontier
from crawl.scope import Scope
from worker import drain, pools
from worker.guard import Guard
from worker.leases import Renewer
from worker.notices import Notices
from worker.parse import Document, Reading, extractor, parse
from worker.proxy import Proxy
from worker.robots import Rules
from worker.sessions import Web
from worker.turns import Turns
from worker.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crawl.records import CrawlOptions

#: Fingerprints one process remembers per crawl, so that it need not ask Redis about them again.
KNOWN_LIMIT = 500_000
#: Seconds a renewal waits for Redis: it must know of an outage before the leases end.
RENEWAL_PATIENCE_S = 3.0
#: Parsed robots.txt files one process keeps, and characters of them; parsed, they take several times that.
RULES_LIMIT = 2000
RULES_CHARS = 16 * 1024 * 1024


class Terms:
    """A crawl's options as one process knows them, and what is derived from them."""

    def __init__(
        self, options: CrawlOptions, crawl_id: str, revision: str, extractors: Iterable[str] = ()
    ) -> None:
        self.options = options
        self.crawl_id = crawl_id
        self.revision = revision
        self.known: set[int] = set()
        self.reading = Reading(
            main_text=options.main_text,
            extract=extractor.of(options, frozenset(extractors)),
            max_bytes=options.max_body_bytes,
        )
        #: The scope as far as this process knows it; enough for judging seeds.
        self.scope = Scope(options)
        self._widened = 0
        #: Origins of seeds whose sitemaps this process has offered.
        self.sites: set[str] = set()

    def scope_of(self, frontier: Frontier, count: int) -> Scope:
        """Return the crawl's scope, widened by the first `count` entries at least; reads those not known yet.

        Without a lock, which must not be held across a wait: two slots may read the same entries, which harms nobody.
        """
        known = self._widened
        if known < count:
            entries = frontier.scope_seeds(known, count - known)
            self.scope.widen(entries)
            self._widened = max(self._widened, known + len(entries))
        return self.scope

    def remember(self, fingerprints: set[int]) -> None:
        """Note URLs that Redis has seen for certain."""
        if len(self.known) > KNOWN_LIMIT:
            self.known.clear()
        self.known |= fingerprints


class Process:
    """One worker process."""

    #: What reads a page; the lab's workers put one in its place that costs more.
    parse: Callable[..., Document] = staticmethod(parse)

    def __init__(self) -> None:
        self.settings = settings.load()
        self.pool = pools.TABLE[self.settings.pool]
        self.slots_total = self.settings.concurrency or self.pool.default_concurrency()
        url = self.settings.redis_address()
        if url is None:
            message = "CRAWL_REDIS_URL is not set; a worker needs a running Redis"
            raise UnavailableError(message)
        self.client = self.pool.redis(url, self.slots_total + 10)
        self.renewer = Renewer(connection.connect(url, connections=2, patience_s=RENEWAL_PATIENCE_S))
        self.cutter = drain.Cutter()
        self.notices = Notices(connection.connect(url, connections=1), self.renewer.told)
        self.turns = Turns()
        self.watchdog = Watchdog(self.settings.parse_timeout_s)
        self.watchdog.start()
        self.slots = pools.Slots(self.pool.slot, _child_offset())
        self._terms: dict[str, Terms] = {}
        self._frontiers: dict[str, Frontier] = {}
        self._rules: OrderedDict[tuple[str, str], tuple[str, Rules | None, str]] = OrderedDict()
        self._rules_chars = 0
        self._webs: dict[tuple[tuple[str, ...], tuple[str, ...]], Web] = {}
        self._guards: dict[tuple[tuple[str, ...], tuple[str, ...]], Guard] = {}
        self._proxy = Proxy.from_url(self.settings.proxy) if self.settings.proxy else None
        self._own = threading.local()
        self._lock = threading.Lock()

    def frontier(self, crawl: str) -> Frontier:
        """Return the frontier of a crawl."""
        if crawl not in self._frontiers:
            self._frontiers[crawl] = Frontier(self.client, crawl)
        return self._frontiers[crawl]

    def terms(self, crawl: str, crawl_id: str | None = None, revision: str | None = None) -> Terms:
        """Return a crawl's terms, read again when its id or revision is another than the known one.

        Raises UnknownCrawlError when the crawl is gone.
        """
        terms = self._terms.get(crawl)
        if terms is None or (
            crawl_id is not None and (terms.crawl_id, terms.revision) != (crawl_id, revision)
        ):
            stored = self.frontier(crawl).options()
            if stored is None:
                message = f"there is no crawl '{crawl}'"
                raise UnknownCrawlError(message)
            fresh = Terms(*stored[:3], extractors=self.settings.extractors)
            if terms is not None and terms.crawl_id == fresh.crawl_id:
                fresh.known = terms.known
            self._terms[crawl] = terms = fresh
        return terms

    def rules(self, crawl: str, origin: str, version: str) -> tuple[str, Rules | None, str]:
        """Return an origin's verdict (`allow`, `deny`, `rules`), rules and denial, from Redis once per version."""
        known = self._rules.get((origin, version))
        if known is None:
            answer = self.frontier(crawl).robots(origin)
            if answer is None:
                return "allow", None, ""
            stored_version, verdict, body = answer
            if verdict == "rules":
                known = (verdict, Rules.from_kept(body), "")
            else:
                known = (verdict, None, body.decode("utf-8", "replace"))
            self._keep_rules((origin, stored_version), known)
        return known

    def _keep_rules(self, key: tuple[str, str], known: tuple[str, Rules | None, str]) -> None:
        with self._lock:
            if key not in self._rules:
                self._rules_chars += _chars(known[1])
            self._rules[key] = known
            while len(self._rules) > RULES_LIMIT or (
                self._rules_chars > RULES_CHARS and len(self._rules) > 1
            ):
                _, (_, dropped, _) = self._rules.popitem(last=False)
                self._rules_chars -= _chars(dropped)

    def web(self, options: CrawlOptions) -> Web:
        """Return the HTTP session of this slot's owner (process or thread, as the pool table says)."""
        allow = narrowed(self.settings.allow_addresses, options.allow_addresses)
        resolve = (*options.resolve, *self.settings.resolve)
        webs = self._webs
        slots = self.slots_total
        if self.pool.session_owner == "thread":
            slots = 1
            webs = getattr(self._own, "webs", None) or {}
            self._own.webs = webs
        web = webs.get((allow, resolve))
        if web is None:
            web = webs[allow, resolve] = Web(self._guard(allow, resolve), slots, proxy=self._proxy)
        return web

    def _guard(self, allow: tuple[str, ...], resolve: tuple[str, ...]) -> Guard:
        with self._lock:
            guard = self._guards.get((allow, resolve))
            if guard is None:
                guard = self._guards[allow, resolve] = Guard(allow, resolve)
            return guard


def _chars(rules: Rules | None) -> int:
    return len(rules.text) if rules else 0


def _child_offset() -> int:
    """Return this process's place among prefork's children, so that their slots have different numbers."""
    from billiard.process import current_process

    return int(getattr(current_process(), "index", 0) or 0)


def narrowed(machine: Iterable[str], asked: Iterable[str] | None) -> tuple[str, ...]:
    """Return what both the worker's list and a crawl's own allow; a crawl that asks for nothing gets the worker's.

    Networks are intersected, host names must stand in both.
    """
    if asked is None:
        return tuple(machine)
    both: list[str] = []
    asked_networks = [network for network in map(_network, asked) if network is not None]
    names = {entry for entry in asked if _network(entry) is None}
    for entry in machine:
        own = _network(entry)
        if own is None:
            if entry in names:
                both.append(entry)
            continue
        both += [
            str(own if own.prefixlen >= other.prefixlen else other)
            for other in asked_networks
            if own.version == other.version and own.overlaps(other)
        ]
    return tuple(dict.fromkeys(both))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None


_processes: dict[int, Process] = {}
_lock = threading.Lock()


def current() -> Process:
    """Return this process's state, made on first use."""
    process = _processes.get(os.getpid())
    if process is None:
        with _lock:
            process = _processes.get(os.getpid())
            if process is None:
                process = _processes[os.getpid()] = Process()
    return process
