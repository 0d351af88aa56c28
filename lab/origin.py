"""The site of a workload as a process: `python -m lab.origin [FILE] --port N`, the workload as JSON (or on stdin).

It answers for every host `h1.lab.test` .. of the workload on one port of the loopback interface, and to
`GET /_stats` (with `?reset`: and begins anew) for the host 127.0.0.1 with what it did.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import http.client
import importlib
import importlib.util
import json
import resource
import signal
import ssl
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crawl.errors import PoolcrawlError, UnavailableError, UsageError
from embedded.ports import LOOPBACK, free_port
from lab import load, pages
from lab.answering import NO_LATENCY, STATS_PATH, Answers, Connection, Statistics
from lab.webserver import running
from lab.workload import from_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.workload import Workload

#: Seconds the server gets to render its pages and listen.
START_S = 60.0
#: Pages that the load test asks for, at most.
LOAD_PAGES = 4000
#: Seconds to wait for the statistics: longer than any loop is late.
STATS_S = 30.0
#: Connections that may wait to be accepted.
_BACKLOG = 4096


@dataclass(frozen=True)
class Origin:
    """A workload's site that answers. `ca_file` is what SSL_CERT_FILE must name where it speaks TLS, else None."""

    port: int
    pid: int
    ca_file: Path | None


@contextmanager
def serve(workload: Workload, directory: Path) -> Iterator[Origin]:
    """Serve a workload's site until the block ends, from a process that ends with this one.

    `directory` holds its files: the workload, the log, the CA's certificate. Raises UsageError for a site too large or
    TLS without the lab's packages, UnavailableError if the server does not start.
    """
    pages.check_size(workload)
    directory.mkdir(parents=True, exist_ok=True)
    if workload.tls:
        _require("trustme")
    given = directory / "workload.json"
    given.write_text(json.dumps(workload.row()), encoding="utf-8")
    port = free_port()
    ca_file = directory / "ca.pem" if workload.tls else None
    command = [sys.executable, "-P", "-m", "lab.origin", str(given), "--port", str(port)]
    if ca_file is not None:
        command += ["--ca-file", str(ca_file)]
    with running(command, directory, port, START_S) as pid:
        origin = Origin(port, pid, ca_file)
        if stats(origin)["pid"] != pid:
            message = f"another server has taken port {port} from the site"
            raise UnavailableError(message)
        yield origin


def alone(
    origin: Origin, workload: Workload, *, requests: int = load.REQUESTS, rounds: int = load.ROUNDS
) -> float:
    """Return the pages per second of the site by itself, latencies left out; zeroes its statistics afterwards."""
    good = pages.of(workload).good[:LOAD_PAGES]
    asked = tuple((pages.host(workload, n), pages.path(workload, n)) for n in good)
    ca_file = None if origin.ca_file is None else str(origin.ca_file)
    found = load.measure(
        load.Target(origin.port, asked, ca_file, NO_LATENCY), requests=requests, rounds=rounds
    )
    reset(origin)
    return found


def stats(origin: Origin) -> dict[str, Any]:
    """Return what the site did since its last reset (`lab.answering.Statistics`)."""
    return _asked(origin, STATS_PATH)


def reset(origin: Origin) -> dict[str, Any]:
    """Return the same and begin anew."""
    return _asked(origin, f"{STATS_PATH}?reset")


def _asked(origin: Origin, path: str) -> dict[str, Any]:
    connection: http.client.HTTPConnection
    if origin.ca_file is None:
        connection = http.client.HTTPConnection(LOOPBACK, origin.port, timeout=STATS_S)
    else:
        context = ssl.create_default_context(cafile=str(origin.ca_file))
        connection = http.client.HTTPSConnection(LOOPBACK, origin.port, timeout=STATS_S, context=context)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            found: dict[str, Any] = json.load(connection.getresponse())
        except (OSError, ValueError, http.client.HTTPException) as error:
            message = f"the site's server does not tell its statistics: {error}"
            raise UnavailableError(message) from None
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.origin", description=__doc__)
    parser.add_argument("file", nargs="?", help="the workload as JSON (default: standard input)")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca-file", type=Path, help="where to write the CA's certificate (needed for TLS)")
    words = parser.parse_args(arguments)
    try:
        workload = _read(words.file)
        pages.check_size(workload)
        context = _context(words.ca_file) if workload.tls else None
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(Answers(pages.of(workload)), words.port, context))
    except PoolcrawlError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _read(file: str | None) -> Workload:
    """Return the workload. Raises UsageError, in one line, for JSON that is none."""
    name = file or "standard input"
    try:
        text = Path(file).read_bytes() if file else sys.stdin.buffer.read()
        row = msgspec.json.decode(text, type=dict[str, Any])
    except (OSError, ValueError) as error:
        message = f"{name} holds no workload as JSON: {getattr(error, 'strerror', None) or error}"
        raise UsageError(message) from None
    return from_row(row)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context with a certificate for all hosts, by a CA made for this run, and write that CA to a file."""
    if ca_file is None:
        message = "a workload with TLS needs --ca-file FILE, where the CA's certificate is written"
        raise UsageError(message)
    trustme = _require("trustme")
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(f"*.{pages.DOMAIN}", LOOPBACK).configure_cert(context)
    ca.cert_pem.write_to_path(str(ca_file))
    return context


def _require(name: str) -> Any:
    """Return a module of the lab's packages. Raises UsageError where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        message = (
            f"a workload with TLS needs poolcrawl's lab packages ({name} is missing); `make bench` installs them, "
            "or `pip install -r locks/lab.txt`"
        )
        raise UsageError(message) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed: a fifth less CPU time over TLS, hardly any without."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


async def _serve(answers: Answers, port: int, context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    _raise_descriptors()
    # The pages stay; looking through them again and again would make answers late.
    gc.collect()
    gc.freeze()
    try:
        server = await loop.create_server(
            lambda: Connection(answers), LOOPBACK, port, ssl=context, backlog=_BACKLOG
        )
    except OSError as error:
        message = f"the site cannot listen on port {port}: {error.strerror or error}"
        raise UnavailableError(message) from None
    answers.statistics = Statistics()
    watch = loop.create_task(answers.watch())
    await ended.wait()
    watch.cancel()
    server.close()


def _raise_descriptors() -> None:
    """Allow as many connections as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
