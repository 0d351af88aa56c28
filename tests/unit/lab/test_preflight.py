"""What the machine must have for a way, checked with the number that is needed."""

from __future__ import annotations

import resource

import pytest

from crawl.errors import UsageError
from lab import preflight
from lab.way import parse


def test_processes_take_memory_by_the_slot_and_greenlets_hardly_any():
    """The pool table has the figures."""
    assert preflight.needed_mb(parse("prefork-16")) > preflight.needed_mb(parse("gevent-300"))
    assert preflight.needed_mb(parse("threads-32x2")) > preflight.needed_mb(parse("threads-32"))
    assert preflight.needed_mb(parse("gevent-10+prefork-4")) > preflight.needed_mb(parse("gevent-10"))


def test_too_little_memory_is_said_with_the_number(monkeypatch):
    """Before anything starts, not by the system's killer in the middle."""
    monkeypatch.setattr(preflight, "available_mb", lambda: 1000)

    with pytest.raises(UsageError, match=r"prefork-64 needs about 3300 MB of memory, 1000 MB are free"):
        preflight.check([parse("gevent-10"), parse("prefork-64")])


def test_too_few_descriptors_are_said_with_the_number(monkeypatch):
    """The hard limit is the machine's, not ours to raise."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 512))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)

    with pytest.raises(
        UsageError, match=r"threads-100 needs about 1060 file descriptors .* the limit is 512"
    ):
        preflight.check([parse("threads-100")])


def test_the_soft_limit_is_raised_where_it_may_be(monkeypatch):
    """Workers inherit it, and 1024 is too few for a few hundred slots."""
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    preflight.check([parse("gevent-10"), parse("threads-200")])

    assert asked == [(2060, 4096)]
