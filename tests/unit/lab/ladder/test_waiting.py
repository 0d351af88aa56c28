"""Waiting for many sockets: both waiters name those that can go on, and say what they cannot take."""

from __future__ import annotations

import resource
import socket

import pytest

from crawl.errors import UsageError
from lab.ladder.descriptors import FD_SETSIZE, raise_limit
from lab.ladder.select_loop import Select
from lab.ladder.selector_loop import Selector


@pytest.fixture(name="pair")
def _pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("waiter", [Select, Selector])
def test_a_waiter_names_the_socket_that_can_go_on_and_no_other(waiter, pair):
    """First for writing, then, when there is something, for reading."""
    ours, theirs = pair
    waiting = waiter()
    waiting.watch(ours, writing=True)
    assert [ours] == list(waiting.wait())
    waiting.watch(ours, writing=False)
    waiting.watch(theirs, writing=False)
    theirs.send(b"x")

    assert [ours] == list(waiting.wait())


@pytest.mark.parametrize("waiter", [Select, Selector])
def test_a_socket_that_is_forgotten_is_named_no_longer(waiter, pair):
    """A closed connection must not be waited for."""
    ours, theirs = pair
    waiting = waiter()
    waiting.watch(ours, writing=True)
    waiting.watch(theirs, writing=True)
    waiting.forget(ours)

    assert [theirs] == list(waiting.wait())


class _High:
    """A socket with a descriptor that select has no bit for."""

    def fileno(self):
        return FD_SETSIZE


def test_select_says_that_it_cannot_take_a_high_descriptor():
    """Instead of a ValueError out of the middle of the loop."""
    with pytest.raises(UsageError, match="only descriptors below 1024; use fewer sockets, or selectors"):
        Select().watch(_High(), writing=False)


def test_more_files_than_the_system_allows_are_refused_in_one_line():
    """The number needed, the number allowed, and what to do."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system allows any number of open files")
    with pytest.raises(
        UsageError, match=rf"{hard + 1} open files are needed and at most {hard} allowed here"
    ):
        raise_limit(hard + 1)


def test_the_limit_is_raised_where_it_may_be():
    """A soft limit is a default, not a prohibition."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        raise_limit(300)
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert raised == (300, hard)
