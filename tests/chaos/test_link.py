"""The link does to connections what it says: without that, no fault of the network would prove anything."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from chaos.link import Link


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets, and what it has got so far."""
    got: list[bytes] = []

    def _serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1024):
                got.append(data)
                connection.sendall(data)

    def _accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=_serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, daemon=True).start()
        yield listener.getsockname()[1], got
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def linked(echo):
    with Link(echo[0]) as link:
        yield link, echo[1]


def connected(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=5)


def said(sock: socket.socket, text: bytes) -> bytes:
    sock.sendall(text)
    return sock.recv(1024)


def test_it_passes_bytes_and_may_be_slow(linked):
    """Answers come through, late when it is told so."""
    link, _ = linked
    with connected(link) as sock:
        assert said(sock, b"one") == b"one"
        link.slow(0.2)
        began = time.monotonic()
        assert said(sock, b"two") == b"two"

    assert time.monotonic() - began >= 0.2


def test_a_cut_resets_and_refuses_until_it_is_mended(linked):
    """Open connections are reset, new ones refused; afterwards all is well on the same port."""
    link, _ = linked
    with connected(link) as sock:
        said(sock, b"one")
        link.cut()
        with pytest.raises(ConnectionResetError):
            sock.recv(1024)
    with pytest.raises(ConnectionRefusedError):
        connected(link)
    link.mend()
    with connected(link) as sock:
        assert said(sock, b"two") == b"two"


def test_silence_keeps_everything_back_and_loses_nothing(linked):
    """Nothing arrives meanwhile, neither over old nor over new connections; all of it does afterwards."""
    link, got = linked
    with connected(link) as old:
        said(old, b"one")
        link.silence()
        old.sendall(b"two")
        with connected(link) as new:
            new.sendall(b"three")
            time.sleep(0.3)
            assert got == [b"one"]
            link.silence(False)
            assert (old.recv(1024), new.recv(1024)) == (b"two", b"three")


def test_a_deaf_link_lets_commands_through_and_loses_their_answers(linked):
    """What was sent has arrived, no answer comes, and the connection is reset; new ones are answered."""
    link, got = linked
    with connected(link) as sock:
        said(sock, b"one")
        link.deafen()
        sock.sendall(b"two")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1024)
        assert got == [b"one", b"two"]
        link.reset()
        sock.settimeout(5)
        with pytest.raises(ConnectionResetError):
            sock.recv(1024)
    with connected(link) as sock:
        assert said(sock, b"three") == b"three"
