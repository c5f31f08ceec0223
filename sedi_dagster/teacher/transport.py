"""The HTTP client under `AsyncOpenAI`, made for many calls at once to one endpoint.

Two things differ from the default. No answer is read beyond a limit. And every call under way has a connection
pool to itself: the default pool looks at all of its connections whenever a call begins or ends, down to asking
the system about each idle socket, which at 64 calls at once costs more than all the rest of a call.
"""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Callable

import httpx2

LONGEST_ANSWER_BYTES = 4 * 1024 * 1024
"""What is read of an answer. It is kept up to here and then is malformed; reading on could fill the memory."""

CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 30.0


class _CutStream(httpx2.AsyncByteStream):
    """A response body that ends at the limit, and tells when it is closed."""

    def __init__(self, stream: httpx2.AsyncByteStream, closed: Callable[[], None]) -> None:
        self._stream = stream
        self._closed = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LONGEST_ANSWER_BYTES
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._closed()


class _LanesTransport(httpx2.AsyncBaseTransport):
    """As many single connections ("lanes") as there are calls at once; the one used last is used next."""

    def __init__(self) -> None:
        self._ssl = httpx2.create_ssl_context()  # one for all: making it takes longer than a call
        self._limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEPALIVE_S)
        self._idle: list[httpx2.AsyncHTTPTransport] = []
        self._all: list[httpx2.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        lane = self._idle.pop() if self._idle else self._new_lane()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            self._idle.append(lane)
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _CutStream(response.stream, lambda: self._idle.append(lane))
        return response

    async def aclose(self) -> None:
        for lane in self._all:
            await lane.aclose()

    def _new_lane(self) -> httpx2.AsyncHTTPTransport:
        lane = httpx2.AsyncHTTPTransport(verify=self._ssl, limits=self._limits)
        self._all.append(lane)
        return lane


async def _cut(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _CutStream(response.stream, lambda: None)


def http_client() -> httpx2.AsyncClient:
    """A client without a limit on calls at once or on their time: both are the caller's.

    Where a proxy is set in the environment the default pool is used, as that knows proxies.
    """
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
    headers = {"Accept-Encoding": "identity"}
    if urllib.request.getproxies():
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEPALIVE_S)
        return httpx2.AsyncClient(
            limits=limits, timeout=timeout, follow_redirects=True, headers=headers, event_hooks={"response": [_cut]}
        )
    return httpx2.AsyncClient(transport=_LanesTransport(), timeout=timeout, follow_redirects=True, headers=headers)
