"""The misbehaviour suite, a second time with everything patched by gevent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = """
import sys
from gevent import monkey
monkey.patch_all()
import pytest
from gevent import socket
from worker.sockets import PlainSocket, SecureSocket
from gevent.ssl import SSLSocket
assert issubclass(PlainSocket, socket.socket) and issubclass(SecureSocket, SSLSocket)
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_fetch_behaves_the_same_under_gevent():
    """Every promise of these suites holds for greenlets: deadlines, caps, aborts, proxies."""
    suites = [
        str(Path(__file__).with_name(f"test_{name}.py")) for name in ("fetch", "abort", "requests", "proxy")
    ]

    done = subprocess.run(
        [sys.executable, "-c", RUN, *suites, "-q", "-p", "no:cacheprovider", "--timeout", "60"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
