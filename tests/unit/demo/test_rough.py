"""The rough host, over raw sockets: each misbehaviour is what its name says."""

from __future__ import annotations

import http.client
import time
import zlib

import pytest

from demo.misbehaviour import BOMB_BYTES, DRIP_GAP_S, MISBEHAVIOURS


def everything(connection) -> bytes:
    """Return all that comes until the server closes."""
    with connection:
        found = b""
        while data := connection.recv(1 << 20):
            found += data
        return found


@pytest.mark.parametrize("path", ["/", "/robots.txt", "/after-the-bomb", "/healthz"])
def test_the_host_itself_behaves(served, path):
    """Index, robots.txt and ordinary pages are correct HTTP."""
    answer = served.rough(path)

    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) == len(answer.body)


def test_the_index_links_every_misbehaviour(served):
    """A crawl finds them all."""
    index = served.rough("/").body.decode()

    assert all(f'href="{each.path}"' in index for each in MISBEHAVIOURS)


def test_unknown_paths_are_not_found(served):
    """What is nowhere is a plain 404."""
    assert served.rough("/nothing").status == 404


def test_drop_says_nothing(served):
    """The connection closes in an orderly way without a byte."""
    assert everything(served.raw("/drop")) == b""


@pytest.mark.parametrize("path", ["/reset", "/reset-body"])
def test_resets_are_tcp_resets(served, path):
    """The client's kernel sees RST, not FIN."""
    with pytest.raises(ConnectionResetError):
        everything(served.raw(path))


def test_cut_headers_never_reach_their_end(served):
    """No blank line comes."""
    assert b"\r\n\r\n" not in everything(served.raw("/cut-headers"))


def test_short_bodies_are_shorter_than_promised(served):
    """Both framings end before what they promise."""
    with pytest.raises(http.client.IncompleteRead):
        served.rough("/short")
    with pytest.raises(http.client.IncompleteRead):
        served.rough("/short-chunked")


def test_a_bad_chunk_size_is_no_number(served):
    """The size line holds words."""
    body = everything(served.raw("/bad-chunk")).partition(b"\r\n\r\n")[2]

    with pytest.raises(ValueError, match="invalid literal"):
        int(body.partition(b"\r\n")[0], 16)


@pytest.mark.parametrize("path", ["/garbage", "/banner"])
def test_garbage_is_not_http(served, path):
    """The answer has no status line."""
    with pytest.raises(http.client.BadStatusLine):
        served.rough(path)


@pytest.mark.parametrize("path", ["/drip-header", "/drip-body"])
def test_drips_never_pause_and_never_end(served, path):
    """Bytes keep coming, each well within a read timeout, and there is no end to them."""
    with served.raw(path, timeout_s=DRIP_GAP_S * 8) as connection:
        drips, until = 0, time.monotonic() + DRIP_GAP_S * 4
        while time.monotonic() < until:
            drips += bool(connection.recv(4096))

        assert drips >= 2


def test_hang_never_answers(served):
    """Not a byte comes, and the connection stays open."""
    with served.raw("/hang", timeout_s=1) as connection, pytest.raises(TimeoutError):
        connection.recv(1)


def test_header_bomb_does_not_end(served):
    """More headers come than any client keeps, without a blank line."""
    with served.raw("/header-bomb") as connection:
        found = 0
        while found < 1_000_000:
            data = connection.recv(1 << 20)
            assert data
            assert b"\r\n\r\n" not in data
            found += len(data)


def test_broken_gzip_is_broken(served):
    """The length is right, the data is not."""
    body = served.rough("/broken-gzip").body

    with pytest.raises(zlib.error):
        zlib.decompress(body, 31)


@pytest.mark.parametrize(("path", "status"), [("/gzip-bomb", 200), ("/redirect-bomb", 302)])
def test_bombs_are_small_and_unpack_to_much(served, path, status):
    """Far less than the body cap comes, far more would be unpacked."""
    answer = served.rough(path)
    body = answer.body

    assert status == answer.status
    assert len(body) < 100_000
    assert len(zlib.decompress(body, 31)) > BOMB_BYTES


def test_misbehaviour_is_logged_without_a_status(served):
    """The access log has every request, answered or not."""
    everything(served.raw("/drop"))

    entry = served.logged("/drop")[-1]

    assert (entry["host"], entry["status"]) == ("rough.demo.test", None)
