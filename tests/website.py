"""A real HTTP server for many made-up host names, each answered by a function, with a log of who asked what when."""

from __future__ import annotations

import http.server
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedded.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    Room = Callable[["Request"], "Response | str | bytes"]


@dataclass(frozen=True)
class Request:
    """What a room is asked. `path` has no query; header names are lower case."""

    host: str
    path: str
    query: str
    headers: Mapping[str, str]
    #: The site's port, for rooms that write absolute URLs.
    port: int


@dataclass(frozen=True)
class Response:
    """What a room answers; text is sent as UTF-8, and a Content-Type is sent only when there is one."""

    body: str | bytes = b""
    status: int = 200
    content_type: str | None = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """One line of the log; times are of `time.time`, in seconds, from the request's arrival to the answer's end.

    `sent` is when the answer was about to be sent: `ended` may be noted late on a busy machine.
    """

    method: str
    host: str
    target: str
    started: float
    ended: float
    status: int
    headers: Mapping[str, str] = field(repr=False)
    sent: float = 0.0


class Website:
    """Serves `rooms` (host name -> function) on one port of loopback. Use as a context manager."""

    def __init__(self, rooms: Mapping[str, Room]) -> None:
        self.log: list[Asked] = []
        log = self.log

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                started = time.time()
                headers = {name.lower(): value for name, value in self.headers.items()}
                host = headers.get("host", "").rpartition(":")[0]
                path, _, query = self.path.partition("?")
                room = rooms.get(host)
                if room is None:
                    answer: Response | str | bytes = Response(f"no room {host}", 421)
                else:
                    answer = room(Request(host, path, query, headers, self.server.server_address[1]))
                if not isinstance(answer, Response):
                    answer = Response(answer)
                body = answer.body.encode() if isinstance(answer.body, str) else answer.body
                self.send_response_only(answer.status)
                if answer.content_type:
                    self.send_header("Content-Type", answer.content_type)
                for name, value in answer.headers:
                    self.send_header(name, value)
                if answer.status != 304:
                    self.send_header("Content-Length", str(len(body)))
                sent = time.time()
                self.end_headers()
                if answer.status not in (204, 304):
                    self.wfile.write(body)
                ended = time.time()
                log.append(Asked(self.command, host, self.path, started, ended, answer.status, headers, sent))

            do_HEAD = do_POST = do_GET  # noqa: N815 - the names that http.server looks for

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that goes away is no error of ours."""

        self._server = Server((LOOPBACK, 0), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        """Serve, in a thread of its own."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def url(self, host: str, path: str = "/") -> str:
        """Return the URL of a page of a room."""
        return f"http://{host}:{self.port}{path}"

    def resolve(self, *hosts: str) -> tuple[str, ...]:
        """Return the command-line options by which `poolcrawl crawl` finds these hosts here."""
        options = [
            option for host in hosts for option in ("--resolve", f"{host}:{self.port}={LOOPBACK}:{self.port}")
        ]
        return (*options, "--allow-address", "127.0.0.0/8")
