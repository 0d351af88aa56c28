"""The address guard: which addresses a worker may connect to, judged on the very address being connected to.

An address is permitted when it is globally routable, or when it is allowed by name, address or network. Addresses that
carry another one inside (IPv4-mapped, 6to4, Teredo, NAT64) are judged by what they carry. The tables are our own,
because `ipaddress.is_global` differs between Python releases and calls NAT64 global.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crawl.errors import FinalFetchError, TransientFetchError
from worker import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network
    Target = tuple[int, tuple[Any, ...]]

#: How long a DNS answer is used, in seconds; a batch on one host then asks once.
DNS_TTL_S = 30.0
#: How long the addresses of an allowed host name are used, in seconds.
ALLOW_TTL_S = 60.0
#: Longest wait for a DNS answer when the caller names no limit, in seconds.
DNS_TIMEOUT_S = 30.0
#: Names whose answers are kept; beyond that the oldest go.
DNS_NAMES = 4096

#: IANA special-purpose registry (RFC 6890 and successors), plus multicast and the deprecated 6to4 relays.
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
#: Only this part of IPv6 is handed out as global unicast (RFC 4291 section 2.4) ...
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
#: ... except protocol assignments, 6to4 (judged by what it carries) and documentation.
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
#: IPv4-compatible IPv6 (RFC 4291 section 2.5.5.1), deprecated, still understood by some stacks.
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def carried(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses inside an IPv6 address; traffic to it may end at each of them."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or address in _NAT64_LOCAL or (address in _COMPATIBLE and int(address) > 1):
        return (low,)
    return ()


def is_public(address: Address) -> bool:
    """Return whether an address is globally routable, and so is everything it carries."""
    inner = carried(address)
    if inner:
        # Local-use NAT64 (RFC 8215) is never global, whatever it carries; so is the compatible form.
        local = address in _NAT64_LOCAL or address in _COMPATIBLE
        return not local and all(is_public(one) for one in inner)
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


class _Lookup:
    """One DNS question being asked; those who want the same name wait for the same answer."""

    def __init__(self) -> None:
        #: The addresses, or what is wrong with the name.
        self.answer: Future[list[Target] | str] = Future()
        self.until = 0.0


class Names:
    """DNS answers of this process, each used for `DNS_TTL_S`; safe in threads, greenlets and coroutines.

    The question runs in a thread of its own, since `getaddrinfo` knows no timeout and a request's deadline covers it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lookups: dict[tuple[str, int], _Lookup] = {}

    def targets(self, host: str, port: int, timeout: float) -> list[Target]:
        """Return the addresses of a host; raise TransientFetchError `dns`, or `timeout` after that many seconds."""
        key = (host, port)
        now = self._clock()
        with self._lock:
            lookup = self._lookups.get(key)
            if lookup is None or (lookup.answer.done() and lookup.until <= now):
                lookup = self._lookups[key] = _Lookup()
                if len(self._lookups) > DNS_NAMES:
                    del self._lookups[next(iter(self._lookups))]
                threading.Thread(target=self._ask, args=(key, lookup), daemon=True, name="dns").start()
        try:
            answer = waiting.done(lookup.answer, timeout)
        except TimeoutError:
            message = f"The name {host} was not resolved within the time allowed."
            raise TransientFetchError("timeout", message) from None
        if isinstance(answer, str):
            raise TransientFetchError("dns", f"The name {host} could not be resolved: {answer}.")
        return answer

    def _ask(self, key: tuple[str, int], lookup: _Lookup) -> None:
        host, port = key
        answer: list[Target] | str = "no address"
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            targets = list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))
            answer = targets or answer
        except (OSError, UnicodeError) as error:
            answer = (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
        finally:
            # A failure is kept for a second only: long enough for those who asked together.
            lookup.until = self._clock() + (1.0 if isinstance(answer, str) else DNS_TTL_S)
            lookup.answer.set_result(answer)


class Guard:
    """Turns host and port into the addresses a worker may connect to.

    `allow` holds networks, addresses and host names that are permitted though not global; `resolve` holds
    `NAME:PORT=ADDRESS:PORT` mappings, which replace DNS and are judged like any other address.
    """

    def __init__(self, allow: Iterable[str] = (), resolve: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._allowed_names: list[str] = []
        for word in allow:
            try:
                self._networks.append(ipaddress.ip_network(word.strip("[]"), strict=False))
            except ValueError:
                self._allowed_names.append(word.lower())
        self._mapped = dict(_mapping(text) for text in resolve)
        self._names = Names()
        self._allowed_addresses: frozenset[Address] = frozenset()
        self._allowed_until = 0.0
        self._judge = lru_cache(maxsize=4096)(self._judge_uncached)

    def addresses(self, host: str, port: int, timeout: float = DNS_TIMEOUT_S) -> list[Target]:
        """Return (family, socket address) pairs to try in order, the permitted ones only.

        Raises FinalFetchError `address` when none is permitted, TransientFetchError `dns` or `timeout`.
        """
        name = host.strip("[]").lower()
        name, port = self._mapped.get((name.rstrip("."), port), (name, port))
        literal = _literal(name)
        if literal is not None:
            targets: list[Target] = [_target(literal, name, port)]
        else:
            targets = self._names.targets(name, port, timeout)
        permitted = [target for target in targets if self.permits(str(target[1][0]))]
        if not permitted:
            refused = targets[0][1][0]
            message = f"The address {refused} of {host} is not a public one and not allowed."
            raise FinalFetchError("address", message)
        return permitted

    def judge(self, host: str, port: int, timeout: float) -> None:
        """Raise FinalFetchError `address` for a target that is not permitted, as far as it can be told here.

        For a target that a proxy will connect to: a name that does not resolve here is left to the proxy.
        """
        with contextlib.suppress(TransientFetchError):
            self.addresses(host, port, timeout)

    def trusted(self, host: str, port: int, timeout: float) -> list[Target]:
        """Return the addresses of a host the operator chose, unjudged: the proxy's own.

        Raises TransientFetchError `dns` or `timeout`.
        """
        literal = _literal(host)
        if literal is not None:
            return [_target(literal, host, port)]
        return self._names.targets(host, port, timeout)

    def permits(self, address: str) -> bool:
        """Return whether a numeric address may be connected to."""
        if self._judge(address):
            return True
        return bool(self._allowed_names) and ipaddress.ip_address(address.partition("%")[0]) in self._named()

    def _judge_uncached(self, text: str) -> bool:
        address = ipaddress.ip_address(text.partition("%")[0])
        if is_public(address):
            return True
        faces: tuple[Address, ...] = (
            (address, *carried(address)[:1]) if not _is_teredo(address) else (address,)
        )
        return any(face in network for face in faces for network in self._networks)

    def _named(self) -> frozenset[Address]:
        now = time.monotonic()
        if now >= self._allowed_until:
            found: set[Address] = set()
            for name in self._allowed_names:
                try:
                    targets = self._names.targets(name, 0, DNS_TIMEOUT_S)
                except TransientFetchError:
                    # A name that is gone allows nothing.
                    continue
                found.update(ipaddress.ip_address(str(one[1][0]).partition("%")[0]) for one in targets)
            self._allowed_addresses = frozenset(found)
            self._allowed_until = now + (ALLOW_TTL_S if found else 1.0)
        return self._allowed_addresses


def _is_teredo(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.teredo is not None


def _target(address: Address, text: str, port: int) -> Target:
    if isinstance(address, ipaddress.IPv4Address):
        return int(socket.AF_INET), (str(address), port)
    return int(socket.AF_INET6), (text, port, 0, 0)


def _mapping(text: str) -> tuple[tuple[str, int], tuple[str, int]]:
    left, _, right = text.partition("=")
    name, _, port = left.rpartition(":")
    address, _, target_port = right.rpartition(":")
    return (name.lower().rstrip("."), int(port)), (address.strip("[]").lower(), int(target_port))
