"""A request is aborted from another thread when its lease is lost: somebody else may ask for the URL by now."""

from __future__ import annotations

import threading
import time

import pytest
from rawserver import PEM

from crawl.batches import Renewal
from crawl.records import CrawlOptions, FetchRequest
from worker.fetch import fetch
from worker.guard import Guard
from worker.leases import Held
from worker.sessions import Limits, Web


def hang_at_once(connection, server):
    server.head(connection)
    server.ended.wait()


def drip_body(connection, server):
    server.head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n")
    while not server.ended.wait(0.05):
        connection.sendall(b"y")


@pytest.mark.parametrize("handler", [hang_at_once, drip_body])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_an_aborted_request_ends_at_once(serve, monkeypatch, handler, tls):
    """However long the server would keep it, an abort ends it within a moment."""
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)
    options = CrawlOptions(total_timeout_s=30.0, read_timeout_s=30.0)
    request = FetchRequest(url=serve(handler, tls=tls).url())

    def begin(limits: Limits) -> None:
        threading.Timer(0.3, limits.abort).start()

    begun = time.monotonic()
    ref, body = fetch(request, 0, session, options, lambda: 0, begin)

    took = time.monotonic() - begun
    session.close()
    assert (ref.outcome, body) == ("failed", None)
    assert 0.2 < took < 3.0


def test_an_abort_before_the_connection_is_not_lost(serve):
    """An abort that comes while there is no socket yet ends the request, too."""
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)
    request = FetchRequest(url=serve(hang_at_once).url())
    begun = time.monotonic()

    ref, _ = fetch(request, 0, session, CrawlOptions(), lambda: 0, Limits.abort)

    session.close()
    assert ref.outcome == "failed"
    assert time.monotonic() - begun < 3.0


def test_an_abort_ends_a_handshake_that_never_ends(serve):
    """The socket changes its kind there, and the abort must know the new one."""
    session = Web(Guard(allow=["127.0.0.1"]), slots=1)
    url = serve(lambda _, server: server.ended.wait()).url().replace("http:", "https:")

    def begin(limits: Limits) -> None:
        threading.Timer(0.3, limits.abort).start()

    begun = time.monotonic()
    ref, _ = fetch(FetchRequest(url=url), 0, session, CrawlOptions(), lambda: 0, begin)

    took = time.monotonic() - begun
    session.close()
    assert ref.outcome == "failed"
    assert 0.2 < took < 3.0


def test_a_lease_that_was_not_renewed_in_time_is_not_kept():
    """The worker gives a lease up by its own clock, without asking Redis."""
    held = Held(Renewal("c", "l1", "host", "nonce", 0.05))

    before = held.kept()
    time.sleep(0.06)

    assert (before, held.kept(), held.usable()) == (True, False, False)
