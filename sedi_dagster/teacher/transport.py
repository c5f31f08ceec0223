"""HTTP for many calls at once to one endpoint: one request in, one whole response out.

The openai client costs about 2 ms of CPU a call and goes through a pool that looks at all of its connections
whenever a call begins or ends; with 64 calls at once that is most of the time. The hot path is therefore a small
HTTP/1.1 client on asyncio with httptools' parser, about ten times cheaper. It says what matters to an account
that must be exact: whether a request that failed can have reached the endpoint at all. Behind a proxy (as set in
the environment) httpx2 does the work.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import httptools
import httpx2

LONGEST_ANSWER_BYTES = 1024 * 1024
"""What is read of an answer. It is kept up to here and then is malformed; reading on could fill the memory."""

CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 4.0


class NeverSent(Exception):
    """No connection could be made: the endpoint knows nothing of the request."""


class AnswerLost(Exception):
    """The connection broke after the request went out: the endpoint may have done the work."""


@dataclass(slots=True)
class RawResponse:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Transport(Protocol):
    """Sends one request. Cancelling it drops its connection. It sets no limit of time but for connecting."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> RawResponse: ...

    async def close(self) -> None: ...


def make_transport() -> Transport:
    """The direct transport; behind a proxy the one that knows proxies."""
    return _ProxyTransport() if urllib.request.getproxies() else DirectTransport()


class DirectTransport:
    """Keeps connections to the endpoint open; the one used last is used next."""

    def __init__(self) -> None:
        self._idle: list[_Connection] = []
        self._url = ""
        self._parts = SplitResult("", "", "", "", "")
        self._ssl: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> RawResponse:
        """Raises: NeverSent, AnswerLost."""
        if url != self._url:
            self._turn_to(url)
        parts = self._parts
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        host = parts.netloc.rpartition("@")[2]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        connection = self._reuse() or await self._connect()
        response = await connection.exchange(head.encode("latin-1") + body)
        if connection.is_reusable() and url == self._url:
            self._idle.append(connection)
        else:
            connection.abort()
        return response

    async def close(self) -> None:
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    def _turn_to(self, url: str) -> None:
        """Paths differ by call and keep the connections; a new host or port does not."""
        parts = urlsplit(url)
        if parts[:2] != self._parts[:2]:
            for connection in self._idle:
                connection.abort()
            self._idle.clear()
        self._url, self._parts = url, parts
        if parts.scheme == "https" and self._ssl is None:
            self._ssl = httpx2.create_ssl_context()
            self._ssl.set_alpn_protocols(["http/1.1"])

    def _reuse(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable() and time.monotonic() - connection.idle_since < _KEEPALIVE_S:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        parts = self._parts
        secure = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NeverSent("not an http:// or https:// address")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    _Connection,
                    parts.hostname,
                    parts.port or (443 if secure else 80),
                    ssl=self._ssl if secure else None,
                )
        except TimeoutError:
            raise NeverSent("no connection within the time") from None
        except (OSError, ValueError) as error:
            raise NeverSent(f"no connection ({getattr(error, 'strerror', None) or type(error).__name__})") from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time. httptools calls the `on_*` methods."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[RawResponse] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._length = 0
        self._usable = True

    async def exchange(self, request: bytes) -> RawResponse:
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._headers, self._body, self._length = {}, [], 0
        self._transport.write(request)
        try:
            return await self._waiting
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiting = None
            self.idle_since = time.monotonic()

    def is_reusable(self) -> bool:
        return self._usable and self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        self._usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:  # bytes that nobody asked for: this connection cannot be trusted
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("the answer is not HTTP")
            self.abort()

    def eof_received(self) -> None:
        self._usable = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._usable = False
        if self._headers and "content-length" not in self._headers and "transfer-encoding" not in self._headers:
            self.on_message_complete()  # a body that ends with the connection
        self._fail("connection lost before the answer was whole")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._length += len(body)
        if self._length >= LONGEST_ANSWER_BYTES:
            self._usable = False
            self._finish()
            self.abort()

    def on_message_complete(self) -> None:
        if not 100 <= self._parser.get_status_code() < 200:
            self._usable = self._usable and self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            content = b"".join(self._body)[:LONGEST_ANSWER_BYTES]
            self._waiting.set_result(RawResponse(self._parser.get_status_code(), self._headers, content))

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(AnswerLost(why))


class _ProxyTransport:
    """The same by httpx2, which knows proxies."""

    def __init__(self) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEPALIVE_S)
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        self._client = httpx2.AsyncClient(limits=limits, timeout=timeout)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> RawResponse:
        """Raises: NeverSent, AnswerLost."""
        content = bytearray()
        try:
            async with self._client.stream("POST", url, headers=dict(headers), content=body) as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) >= LONGEST_ANSWER_BYTES:
                        break
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
            raise NeverSent(f"no connection ({type(error).__name__})") from None
        except httpx2.HTTPError as error:
            raise AnswerLost(type(error).__name__) from None
        told = {name.lower(): value for name, value in response.headers.items()}
        return RawResponse(response.status_code, told, bytes(content[:LONGEST_ANSWER_BYTES]))

    async def close(self) -> None:
        await self._client.aclose()
