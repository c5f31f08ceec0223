"""The HTTP client under `AsyncOpenAI`: no answer is read beyond a limit, and calls are not queued inside it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

LONGEST_ANSWER_BYTES = 4 * 1024 * 1024
"""What is read of an answer. It is kept up to here and then is malformed; reading on could fill the memory."""

CONNECT_TIMEOUT_S = 10.0


class _CutStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LONGEST_ANSWER_BYTES
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _cut(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _CutStream(response.stream)


def http_client(max_concurrency: int) -> httpx2.AsyncClient:
    """A client with a connection for every call. The caller limits the time of a call as a whole."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=max_concurrency, keepalive_expiry=30.0)
    return httpx2.AsyncClient(
        limits=limits,
        timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S),
        follow_redirects=True,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_cut]},
    )
