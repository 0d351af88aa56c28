"""HTTP sessions: requests' adapter over urllib3 pools whose connections obey the guard and a deadline.

A `Web` belongs to one worker process and is shared by its slots; threads and greenlets take connections from its
pools. No cookies, no redirects, no retries; nothing from the environment but certificates, and a proxy only when given
one. The requests of a batch go one after the other to one host, so they share a kept-alive connection.
"""

from __future__ import annotations

import os
import socket
import ssl
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any

import certifi
from requests.adapters import HTTPAdapter
from urllib3._collections import RecentlyUsedContainer
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ClosedPoolError
from urllib3.util.retry import Retry
from urllib3.util.timeout import Timeout

from crawl.errors import FinalFetchError, TransientFetchError
from worker.sockets import Answer, PlainSocket, SecureSocket

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests
    from urllib3.response import HTTPResponse

    from worker.guard import Guard, Target
    from worker.proxy import Proxy

#: Most hosts with idle connections per slot.
HOSTS_PER_SLOT = 8

#: Longest wait for our own DNS to tell what a proxy's target is, in seconds.
JUDGE_S = 2.0

_NEVER = Retry(False, redirect=False)


class Limits(Timeout):
    """urllib3's timeout that also carries the request's deadline (on `time.monotonic`) to the connection.

    One object serves one request, through every layer, so that it can be aborted from another thread.
    """

    def __init__(self, connect: float, read: float, deadline: float) -> None:
        super().__init__(connect=connect, read=read)
        self.connect_s = connect
        self.read_s = read
        self.deadline = deadline
        self._socket: PlainSocket | SecureSocket | None = None
        #: What that socket was armed with for this request.
        self._armed = deadline
        self._aborted = False

    def clone(self) -> Limits:
        """Return itself: urllib3's copies could not be aborted."""
        return self

    def start_connect(self) -> float:
        """Do nothing: the deadline keeps the time, and a request sent again keeps its deadline."""
        return 0.0

    def use(self, sock: PlainSocket | SecureSocket) -> None:
        """Note the socket the request is on; ends it at once when the request was aborted before."""
        self._socket, self._armed = sock, sock.armed
        if self._aborted:
            sock.end_now()

    def abort(self) -> None:
        """End the request from another thread; harmless when it is over and its connection serves another."""
        self._aborted = True
        sock = self._socket
        if sock is not None and sock.armed == self._armed:
            sock.end_now()


class _Guarded:
    """What both connection classes share; the pool sets `guard` and `limits` before each request."""

    guard: Guard
    #: urllib3's own `proxy` would make it do what `worker.proxy` does, without the deadline.
    through: Proxy | None
    limits: Limits
    response_class: Any = Answer
    host: str
    port: int
    sock: Any

    def _new_conn(self) -> PlainSocket:
        """Connect to the first permitted address that answers, or to the proxy.

        Raises FetchError `address`, `dns`, `connect`, `timeout`.
        """
        limits = self.limits
        end = min(monotonic() + limits.connect_s, limits.deadline)
        targets = self._targets(end)
        failure: OSError | None = None
        for index, (family, address) in enumerate(targets):
            # An address that never answers leaves time for the next.
            share = (end - monotonic()) / (len(targets) - index)
            if share <= 0:
                break
            try:
                sock = _connected(family, address, share)
            except OSError as error:
                failure = error
            else:
                sock.arm(limits.deadline, limits.read_s)
                limits.use(sock)
                return sock
        place = f"{self.host}:{self.port}" if self.through is None else f"the proxy {self.through.name}"
        if failure is None or isinstance(failure, TimeoutError):
            place = place if self.through else self.host
            raise TransientFetchError(
                "timeout", f"No connection to {place} within the time allowed."
            ) from failure
        cause = failure.strerror or str(failure)
        raise TransientFetchError("connect", f"No connection to {place}: {cause.lower()}.") from failure

    def _targets(self, end: float) -> list[Target]:
        left = max(end - monotonic(), 0.001)
        if self.through is None:
            return self.guard.addresses(self.host, self.port, left)
        # Where names are resolved by the proxy only, ours may answer late or never.
        self.guard.judge(self.host, self.port, min(left, JUDGE_S))
        try:
            return self.guard.trusted(self.through.host, self.through.port, max(end - monotonic(), 0.001))
        except TransientFetchError as error:
            raise TransientFetchError("connect", f"No connection to the proxy: {error.detail}") from None


def _connected(family: int, address: tuple[Any, ...], timeout: float) -> PlainSocket:
    sock = PlainSocket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


class PlainConnection(_Guarded, HTTPConnection):
    """An http connection."""


class SecureConnection(_Guarded, HTTPSConnection):
    """An https connection; the certificate and its host name are always verified."""

    tls: ssl.SSLContext

    def connect(self) -> None:
        """Connect and shake hands; raises FetchError, `tls` for what is wrong with the certificate or protocol."""
        plain = self._new_conn()
        try:
            if self.through is not None:
                self.through.tunnel(plain, self.host.strip("[]"), self.port, self.limits)
            secure: Any = self.tls.wrap_socket(
                plain, server_hostname=self.host, do_handshake_on_connect=False
            )
        except BaseException:
            plain.close()
            raise
        try:
            end = min(monotonic() + self.limits.connect_s, self.limits.deadline)
            secure.arm(end, self.limits.connect_s)
            self.limits.use(secure)
            secure.do_handshake()
            secure.arm(self.limits.deadline, self.limits.read_s)
            self.limits.use(secure)
        except BaseException as error:
            secure.close()
            raise self._failure(error) from error
        self.sock = secure
        self.is_verified = True

    def _failure(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            return TransientFetchError("timeout", f"The TLS handshake with {self.host} took too long.")
        if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
            return TransientFetchError(
                "reset", f"{self.host} closed the connection during the TLS handshake."
            )
        if isinstance(error, (ssl.SSLError, ssl.CertificateError)):
            cause = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
            return FinalFetchError(
                "tls", f"No TLS connection to {self.host}: {cause.replace('_', ' ').lower()}."
            )
        if isinstance(error, OSError):
            return TransientFetchError("reset", f"The TLS handshake with {self.host} failed: {error}.")
        return error


class _Pool(HTTPConnectionPool):
    """A pool of one origin that hands each connection the guard and the limits of the request."""

    ConnectionCls: Any = PlainConnection
    guard: Guard
    through: Proxy | None
    tls: ssl.SSLContext

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        connection.guard = self.guard
        connection.through = self.through
        connection.tls = self.tls
        return connection

    def _make_request(self, conn: Any, method: str, url: str, **kwargs: Any) -> Any:  # type: ignore[override]
        limits: Limits = kwargs["timeout"]
        conn.limits = limits
        reused = conn.sock is not None
        if reused:
            conn.sock.arm(limits.deadline, limits.read_s)
            limits.use(conn.sock)
            used = conn.sock
        try:
            return super()._make_request(conn, method, url, **kwargs)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # The server had closed a kept-alive connection: that is no answer to this request (RFC 9112 9.3.1).
            if not reused or used.heard:
                raise
        conn.close()
        return super()._make_request(conn, method, url, **kwargs)


class _SecurePool(_Pool, HTTPSConnectionPool):
    ConnectionCls = SecureConnection

    def _validate_conn(self, conn: Any) -> None:
        if conn.sock is None:
            conn.connect()


class _Adapter(HTTPAdapter):
    """requests' adapter with our pools, found by origin, and without what a crawler never uses (cookies, redirects)."""

    def __init__(self, guard: Guard, slots: int, hosts: int, proxy: Proxy | None) -> None:
        self._guard = guard
        self._proxy = proxy
        self._tls = _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        self._slots = slots
        self._pools: RecentlyUsedContainer[str, _Pool] = RecentlyUsedContainer(
            hosts, dispose_func=_Pool.close
        )
        super().__init__(pool_connections=1, pool_maxsize=1)

    def _pool(self, url: str, cut: int) -> _Pool:
        origin = url[:cut]
        try:
            return self._pools[origin]
        except KeyError:
            pass
        scheme, _, authority = origin.partition("://")
        host, colon, port = authority.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = authority, ""
        kind = _SecurePool if scheme == "https" else _Pool
        # A port is always given: http.client would read one out of an IPv6 address.
        pool = kind(
            host, int(port) if port else kind.ConnectionCls.default_port, maxsize=self._slots, block=False
        )
        pool.guard = self._guard
        pool.through = self._proxy
        pool.tls = self._tls
        self._pools[origin] = pool
        return pool

    def ask(self, url: str, headers: Mapping[str, str], limits: Limits) -> HTTPResponse:
        """Send a GET and return urllib3's answer, its body unread."""
        cut = url.find("/", 8)
        target = url[cut:]
        if self._proxy is not None and url.startswith("http:"):
            # The absolute form (RFC 9112 section 3.2.2); an https target's tunnel has its own login.
            target = url
            if self._proxy.authorization:
                headers = {**headers, "Proxy-Authorization": self._proxy.authorization}
        while True:
            try:
                answer = self._pool(url, cut).urlopen(
                    "GET",
                    target,
                    headers=headers,
                    retries=_NEVER,
                    redirect=False,
                    assert_same_host=False,
                    timeout=limits,
                    preload_content=False,
                    decode_content=False,
                )
            except ClosedPoolError:
                # Another slot pushed the pool out of the container between our look and our use.
                continue
            if self._proxy is not None and answer.status == 407:
                answer.close()
                answer.release_conn()
                raise self._proxy.refusal(407)
            return answer  # type: ignore[return-value]

    def close(self) -> None:
        """Close every idle connection."""
        self._pools.clear()
        super().close()


@lru_cache(maxsize=4)
def _tls_context(file: str | None, directory: str | None) -> ssl.SSLContext:
    """Return the context of this process: reading the certificates takes 18 ms, which is too much for each thread.

    `file` and `directory` are SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL itself obeys; without them the bundle that
    comes with requests is read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if file or directory:
        context.set_default_verify_paths()
    else:
        context.load_verify_locations(certifi.where())
    context.sslsocket_class = SecureSocket
    context.set_alpn_protocols(["http/1.1"])
    return context


class Web:
    """One HTTP session for all slots of a process.

    `slots` is how many requests may run at once, `hosts` how many hosts keep idle connections. With a `proxy` every
    request goes there.
    """

    def __init__(self, guard: Guard, slots: int, hosts: int = 64, proxy: Proxy | None = None) -> None:
        self.guard = guard
        # At least one host per slot, or slots would push each other's connections out; but a session of one slot
        # (threads) keeps only a few, since there are as many sessions and file descriptors are scarce.
        self._adapter = _Adapter(guard, slots, min(max(hosts, slots), HOSTS_PER_SLOT * slots), proxy)

    def get(self, url: str, headers: Mapping[str, str], limits: Limits) -> HTTPResponse:
        """Ask for a canonical URL; return urllib3's answer with its body unread and undecoded.

        Raises FetchError for what happens before the request is sent, else what urllib3 and http.client raise.
        """
        return self._adapter.ask(url, headers, limits)

    def send(
        self, prepared: requests.PreparedRequest, timeouts: tuple[float, float], deadline: float
    ) -> requests.Response:
        """Send a prepared GET; return requests' response, its body unread. `fetch` uses `get`, which costs less.

        `timeouts` are (connect, read) in seconds, `deadline` is on `time.monotonic`.
        """
        connect, read = timeouts
        answer = self._adapter.ask(str(prepared.url), dict(prepared.headers), Limits(connect, read, deadline))
        return self._adapter.build_response(prepared, answer)

    def close(self) -> None:
        """Close every idle connection."""
        self._adapter.close()
