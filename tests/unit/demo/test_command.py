"""`python -m demo`: how it starts, says where it is, and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from demo.__main__ import write_ports


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_on_a_signal_though_a_client_hangs(serve, number):
    """Exit 0 at once, whoever is still connected, and nothing on stderr."""
    with serve() as site, site.raw("/hang"), site.raw("/drip-body"):
        site.get("alpha.demo.test", "/")
        began = time.monotonic()
        site.process.send_signal(number)

        assert site.process.wait(10) == 0
        assert time.monotonic() - began < 5
        assert site.process.stderr.read() == ""


def test_it_ends_when_the_parents_pipe_does(tmp_path):
    """A site does not outlive the process that started it."""
    read_end, write_end = os.pipe()
    ports = tmp_path / "ports.json"
    command = [sys.executable, "-m", "demo", "--ports-file", str(ports), "--parent-pipe", str(read_end)]
    with subprocess.Popen(command, pass_fds=[read_end]) as process:
        os.close(read_end)
        deadline = time.monotonic() + 20
        while not ports.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None

        os.close(write_end)

        assert process.wait(10) == 0


def test_a_port_in_use_is_one_line_and_exit_2(tmp_path):
    """Either port; the line names it and the remedy, and no ports file is written."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--port", "--rough-port"):
            ran = subprocess.run(
                [sys.executable, "-m", "demo", option, str(port), "--ports-file", str(tmp_path / "ports")],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )

            assert ran.returncode == 2
            assert ran.stderr.count("\n") == 1
            assert str(port) in ran.stderr
            assert "give" in ran.stderr
            assert not (tmp_path / "ports").exists()


@pytest.mark.parametrize(
    "options",
    [["--port", "70000"], ["--latency", "-1"], ["--access-log", "/dev/null/log"], ["--host", "256.0.0.1"]],
)
def test_bad_options_end_with_2_and_no_traceback(options):
    """Bad input is the user's to mend."""
    ran = subprocess.run(
        [sys.executable, "-m", "demo", *options], capture_output=True, text=True, timeout=20, check=False
    )

    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


def test_a_fixed_port_is_kept_over_a_restart(serve):
    """A continued demo finds the site where it was, also right after it ended with connections open."""
    with serve() as site:
        ports = site.port, site.rough_port
        with site.raw("/hang"):
            site.get("alpha.demo.test", "/")
    with serve("--port", str(ports[0]), "--rough-port", str(ports[1])) as site:
        assert ports == (site.port, site.rough_port)
        assert site.get("alpha.demo.test", "/").status == 200


def test_the_ports_file_is_written_in_one_step(tmp_path):
    """A reader never sees half of it, and nothing is left beside it."""
    path = tmp_path / "deep" / "ports.json"
    write_ports(path, 1, 2)

    assert json.loads(path.read_text()) == {"port": 1, "rough_port": 2, "pid": os.getpid()}
    assert list(path.parent.iterdir()) == [path]
