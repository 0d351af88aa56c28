"""The proxy of this machine (CRAWL_PROXY): its address, its login, and the tunnel through it. Knows no HTTP session."""

from __future__ import annotations

from base64 import b64encode
from http.client import HTTPException
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from crawl.errors import FetchError, FinalFetchError, TransientFetchError
from worker.sockets import Answer

if TYPE_CHECKING:
    from worker.sessions import Limits
    from worker.sockets import PlainSocket

#: Answers to CONNECT that speak of the target, not of the proxy: another attempt may cure them.
_UNREACHED = frozenset({502, 503, 504})


class Proxy(NamedTuple):
    """An HTTP proxy; `authorization` is the value of Proxy-Authorization, or None."""

    host: str
    port: int
    authorization: str | None = None

    @classmethod
    def from_url(cls, url: str) -> Proxy:
        """Return the proxy of a checked `http://[user:password@]host:port`."""
        parts = urlsplit(url)
        login = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = f"Basic {b64encode(pair.encode()).decode()}"
        return cls(parts.hostname or "", parts.port or 80, login)

    @property
    def name(self) -> str:
        """Host and port, for error messages; never the login."""
        return f"{self.host}:{self.port}"

    def refusal(self, status: int) -> FetchError:
        """Return the error for an answer of the proxy itself."""
        if status == 407:
            said = "refuses our login" if self.authorization else "wants a login (CRAWL_PROXY can carry one)"
            return FinalFetchError("protocol", f"The proxy {self.name} {said}: 407.")
        if status in _UNREACHED:
            return TransientFetchError("connect", f"The proxy {self.name} reached no server: {status}.")
        return FinalFetchError("protocol", f"The proxy {self.name} opens no tunnel: it answered {status}.")

    def tunnel(self, sock: PlainSocket, host: str, port: int, limits: Limits) -> None:
        """Ask for a tunnel to a host on a fresh connection to the proxy (RFC 9110 section 9.3.6).

        Raises FetchError `timeout`, `connect` or `protocol`; each names the proxy.
        """
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        login = f"Proxy-Authorization: {self.authorization}\r\n" if self.authorization else ""
        sock.arm(min(monotonic() + limits.connect_s, limits.deadline), limits.connect_s)
        try:
            sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n".encode("ascii"))
            answer = Answer(sock, method="CONNECT")
            try:
                answer.begin()
                status = answer.status
            finally:
                answer.close()
        except TimeoutError:
            raise TransientFetchError(
                "timeout", f"The proxy {self.name} opened no tunnel to {host} within the time allowed."
            ) from None
        except OSError as error:
            raise TransientFetchError(
                "connect",
                f"The proxy {self.name} closed the connection instead of opening a tunnel: {error}.",
            ) from None
        except HTTPException:
            raise FinalFetchError("protocol", f"The proxy {self.name} does not answer in HTTP.") from None
        if not 200 <= status < 300:
            raise self.refusal(status)
