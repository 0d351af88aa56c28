"""Servers that answer with exactly the bytes a test gives them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[socket.socket, "Server"], None]

#: A certificate and its key for localhost and 127.0.0.1, made for these tests.
PEM = Path(__file__).with_name("localhost.pem")


class Server:
    """A raw TCP server on a free port of 127.0.0.1; `handler` gets each connection, in a thread of its own."""

    def __init__(self, handler: Handler, *, tls: bool = False) -> None:
        self._handler = handler
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.heads: list[bytes] = []
        self.ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{path}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            with contextlib.suppress(OSError, ValueError):
                if self._tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(PEM)
                    with context.wrap_socket(connection, server_side=True) as secure:
                        self._handler(secure, self)
                else:
                    self._handler(connection, self)
        finally:
            connection.close()
            self._open.discard(connection)

    def head(self, connection: socket.socket) -> bytes:
        """Read one request's head; raise OSError when the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                raise ConnectionResetError
            data += more
        self.heads.append(data)
        return data

    def close(self) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def says(*answers: bytes) -> Handler:
    """Return a handler that gives one answer to each request of a connection, then closes it."""

    def handler(connection: socket.socket, server: Server) -> None:
        for answer in answers:
            server.head(connection)
            connection.sendall(answer)

    return handler


def page(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer with its Content-Length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
