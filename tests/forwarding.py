"""A small real HTTP proxy on loopback: absolute-form GET and CONNECT, with a log of what it was asked."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class ForwardProxy:
    """Forwards everything to `target` (address and port), whatever host is named. Use as a context manager.

    `login` (user:password) is demanded when given. `answer` is sent to every CONNECT instead of a tunnel; with an
    empty one the connection is closed without a word.
    """

    def __init__(
        self, target: tuple[str, int], *, login: str | None = None, answer: bytes | None = None
    ) -> None:
        self._target = target
        self._expected = login and b"Basic " + base64.b64encode(login.encode())
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        #: Request lines, and whole heads.
        self.lines: list[str] = []
        self.heads: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._listener)
        for one in list(self._open):
            self._end(one)

    def _end(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.append(client)
        with contextlib.suppress(OSError), client:
            head, rest = _head(client)
            if self._refused(client, head):
                return
            with socket.create_connection(self._target) as server:
                self._open.append(server)
                if head.startswith(b"CONNECT "):
                    client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                    threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                    _pump(client, server)
                    return
                threading.Thread(target=_pump, args=(server, client), daemon=True).start()
                while True:
                    server.sendall(_origin_form(head) + rest)
                    head, rest = _head(client)
                    if self._refused(client, head):
                        return

    def _refused(self, client: socket.socket, head: bytes) -> bool:
        """Note a request; answer it here when it is not to be forwarded."""
        self.heads.append(head)
        self.lines.append(head.partition(b"\r\n")[0].decode())
        if self._expected and b"Proxy-Authorization: " + self._expected not in head:
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n"
                b"Content-Length: 0\r\n\r\n"
            )
            return True
        if self._answer is not None and head.startswith(b"CONNECT "):
            client.sendall(self._answer)
            return True
        return False


def _head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionResetError
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _origin_form(head: bytes) -> bytes:
    """Return a head with the path alone in its request line, without what is meant for the proxy."""
    line, _, fields = head.partition(b"\r\n")
    method, target, version = line.split(b" ")
    path = b"/" + target.split(b"://", 1)[1].partition(b"/")[2]
    kept = [field for field in fields.split(b"\r\n") if not field.lower().startswith(b"proxy-")]
    return b" ".join((method, path, version)) + b"\r\n" + b"\r\n".join(kept)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
