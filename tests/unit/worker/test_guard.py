"""Which addresses a worker may connect to."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from crawl.errors import FinalFetchError, TransientFetchError
from worker.guard import DNS_TTL_S, Guard, Names

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "fec0::1",
    # IPv4 carried inside.
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:808:808::f5ff:fffe",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:a00::1",
]

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_global_is_refused(address):
    """Every special-purpose range, and every way to write a private IPv4 address as IPv6, is refused."""
    with pytest.raises(FinalFetchError) as refused:
        Guard().addresses(address, 80)

    assert refused.value.reason == "address"
    assert address in str(refused.value)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_global_address_is_permitted(address):
    """Ordinary addresses pass, and so do those that carry one."""
    targets = Guard().addresses(address, 443)

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    assert [(one[0], one[1][:2]) for one in targets] == [(family, (address, 443))]


@pytest.mark.parametrize(
    ("allowed", "address", "permitted"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.0/8", "127.9.9.9", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "10.0.0.1", False),
        ("10.0.0.7/8", "10.9.9.9", True),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("fd00::/8", "fd12::1", True),
        ("64:ff9b:1::/48", "64:ff9b:1::7f00:1", True),
        ("127.0.0.0/8", "2001:0:7f00:1::", False),
    ],
)
def test_allowing_opens_exactly_what_is_named(allowed, address, permitted):
    """Addresses and networks are permitted, also where IPv6 carries them; nothing beside them is."""
    assert Guard(allow=[allowed]).permits(address) is permitted


def test_a_host_name_can_be_allowed():
    """A name stands for its addresses of the moment."""
    guard = Guard(allow=["localhost"])

    assert guard.permits("127.0.0.1")
    assert not guard.permits("10.0.0.1")


def test_an_allowed_name_that_does_not_resolve_allows_nothing():
    """A misspelt name is no open door and no crash."""
    assert not Guard(allow=["nowhere.invalid"]).permits("127.0.0.1")


def test_a_mapping_replaces_dns_and_is_judged():
    """NAME:PORT=ADDRESS:PORT leads elsewhere, for that port only; the mapped address must be permitted."""
    mapping = ["Alpha.Test:80=127.0.0.1:8123", "alpha.test:443=[::1]:8443"]
    guard = Guard(allow=["127.0.0.1", "::1"], resolve=mapping)

    assert guard.addresses("alpha.test", 80) == [(socket.AF_INET, ("127.0.0.1", 8123))]
    assert guard.addresses("ALPHA.test.", 443) == [(socket.AF_INET6, ("::1", 8443, 0, 0))]
    with pytest.raises(FinalFetchError):
        Guard(resolve=mapping).addresses("alpha.test", 80)


def test_a_name_with_a_private_address_is_refused_and_the_sentence_says_which():
    """DNS answers are judged, so a public name that points inside is refused."""
    with pytest.raises(FinalFetchError) as refused:
        Guard().addresses("localhost", 80)

    assert str(refused.value).startswith("The address ")
    assert str(refused.value).endswith("of localhost is not a public one and not allowed.")


def answers(monkeypatch, *sets):
    """Replace the system's resolver by a list of answers; return the names it was asked for."""
    asked = []
    waiting = list(sets)

    def getaddrinfo(host, port, **_):
        asked.append(host)
        addresses = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(addresses, Exception):
            raise addresses
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr("worker.guard.socket.getaddrinfo", getaddrinfo)
    return asked


def test_only_the_permitted_addresses_of_a_name_are_tried(monkeypatch):
    """A name with one public and one private address is connected at the public one only."""
    answers(monkeypatch, ["10.0.0.1", "8.8.8.8"])

    assert Guard().addresses("mixed.test", 80) == [(socket.AF_INET, ("8.8.8.8", 80))]


def test_a_name_that_changes_its_mind_is_judged_again(monkeypatch):
    """Rebinding: the address judged is the one returned for connecting, at every lookup."""
    answers(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    now = [0.0]
    guard = Guard()
    guard._names = Names(clock=lambda: now[0])

    assert guard.addresses("rebind.test", 80) == [(socket.AF_INET, ("8.8.8.8", 80))]
    now[0] += DNS_TTL_S + 1
    with pytest.raises(FinalFetchError):
        guard.addresses("rebind.test", 80)


def test_an_answer_is_asked_for_once_while_it_is_fresh(monkeypatch):
    """A batch on one host costs one lookup; a failure is asked again after a second."""
    asked = answers(monkeypatch, ["8.8.8.8"], OSError(-2, "Name or service not known"), ["1.1.1.1"])
    now = [0.0]
    names = Names(clock=lambda: now[0])

    for _ in range(5):
        names.targets("a.test", 80, 1.0)
    now[0] = DNS_TTL_S + 1
    with pytest.raises(TransientFetchError) as failed:
        names.targets("a.test", 80, 1.0)
    now[0] += 2
    recovered = names.targets("a.test", 80, 1.0)

    assert failed.value.reason == "dns"
    assert str(failed.value) == "The name a.test could not be resolved: name or service not known."
    assert recovered == [(socket.AF_INET, ("1.1.1.1", 80))]
    assert len(asked) == 3


def test_a_slow_resolver_ends_with_the_time_allowed(monkeypatch):
    """The system's resolver knows no timeout; those who wait for it do, and the late answer serves the next."""
    release = threading.Event()

    def getaddrinfo(host, port, **_):
        release.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr("worker.guard.socket.getaddrinfo", getaddrinfo)
    names = Names()
    begun = time.monotonic()

    with pytest.raises(TransientFetchError) as failed:
        names.targets("slow.test", 80, 0.1)
    took = time.monotonic() - begun
    release.set()

    assert failed.value.reason == "timeout"
    assert took < 1.0
    assert names.targets("slow.test", 80, 5.0) == [(socket.AF_INET, ("8.8.8.8", 80))]
