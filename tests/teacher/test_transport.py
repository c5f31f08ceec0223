"""The transport against servers that say exactly given bytes: what is sent, what is read, and what a failure means."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher import preflight
from sedi_dagster.teacher.endpoint import RemoteEndpoint
from sedi_dagster.teacher.failures import EndpointNames
from sedi_dagster.teacher.transport import (
    LONGEST_ANSWER_BYTES,
    AnswerLost,
    NeverSent,
    RawResponse,
    Transport,
    failed,
    open_client,
)

BODY = '{"b":"é","a":[1, 2]}'.encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SECRET = "sk-planted-7f3a9c-secret"


class Server:
    """Answers every request with the same bytes and closes, or keeps silent on None."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.has_request, self.closed_by_client = asyncio.Event(), asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.heads.append(head)
        length = next((line for line in head.split("\r\n") if line.startswith("content-length: ")), "0")
        self.bodies.append(await reader.readexactly(int(length.rpartition(" ")[2])))
        self.has_request.set()
        if self.answer is None:
            await reader.read()
            self.closed_by_client.set()
        else:
            writer.write(self.answer)
        writer.close()


def posted(answer: bytes | None, work: Callable[[Server], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Server(answer) as server:
            return await work(server)

    return asyncio.run(run())


async def post(base_url: str, key: str = SECRET) -> RawResponse:
    transport = Transport(RemoteEndpoint(base_url, key))
    try:
        return await transport.post("/chat/completions", BODY, "the-key")
    finally:
        await transport.close()


def test_the_body_is_sent_byte_for_byte_with_both_keys() -> None:
    async def work(server: Server) -> Server:
        assert (await post(server.url)).content == b"{}"
        return server

    server = posted(OK, work)
    assert server.bodies == [BODY]
    assert server.heads[0].startswith("post /v1/chat/completions ")
    for line in (f"authorization: bearer {SECRET}", "idempotency-key: the-key", "content-type: application/json"):
        assert f"\r\n{line}\r\n" in server.heads[0]


def test_headers_query_and_organization_are_sent_as_the_openai_client_sends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")

    async def work(server: Server) -> None:
        headers = {"authorization": "Custom abc", "X-Team": "seven", "user-agent": "mine", "ACCEPT": "text/plain"}
        query = {"api-version": "2026-01-01"}
        endpoint = RemoteEndpoint(f"{server.url}/?tier=low", SECRET, headers=headers, query=query)
        transport = Transport(endpoint)
        await transport.post("/chat/completions", BODY, "the-key")
        await transport.close()
        client = open_client(endpoint)
        await client.post("/chat/completions", cast_to=object, body={})
        await client.close()

        ours, theirs = (head.split("\r\n") for head in server.heads)
        assert ours[0] == theirs[0] == "post /v1/chat/completions?tier=low&api-version=2026-01-01 http/1.1"
        added = {"idempotency-key", "accept-encoding", "content-length"}
        theirs = [line for line in theirs if not line.startswith("x-stainless-")]
        for line in {*ours} ^ {*theirs}:
            assert line.split(":")[0] in added
        assert {"authorization: custom abc", "x-team: seven", "openai-organization: org-1"} <= {*ours}
        assert {"user-agent: mine", "accept: text/plain"} <= {*ours}

    posted(OK, work)


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_every_status_comes_back_with_its_headers_and_bytes(status: int) -> None:
    raw = b'\xff\x00 {"error": 1}'
    answer = b"HTTP/1.1 %d X\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n" % (status, len(raw)) + raw
    response = posted(answer, lambda server: post(server.url))
    assert (response.status, response.headers["retry-after"], response.content) == (status, "7", raw)


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_giant_answer_is_cut(status: int, zipped: bool) -> None:
    content = b"x" * 3 * LONGEST_ANSWER_BYTES
    encoding = b"Content-Encoding: gzip\r\n" if zipped else b""
    body = gzip.compress(content) if zipped else content
    answer = b"HTTP/1.1 %d X\r\n%s\r\n" % (status, encoding) + body
    response = posted(answer, lambda server: post(server.url))
    assert response.content == content[:LONGEST_ANSWER_BYTES]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n{}",
    ],
)
def test_whatever_breaks_after_the_request_went_out_is_lost(answer: bytes) -> None:
    with pytest.raises(AnswerLost):
        posted(answer, lambda server: post(server.url))


def test_without_a_connection_nothing_was_sent() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        addresses = [f"http://127.0.0.1:{bound.getsockname()[1]}/v1", "127.0.0.1/v1", "ftp://127.0.0.1/v1"]
        for address in [*addresses, "http://host.invalid/v1", "http://a..b/v1"]:
            with pytest.raises(NeverSent):
                asyncio.run(post(address))


def test_a_certificate_that_is_not_trusted_is_told_as_such() -> None:
    unknown = ssl.SSLCertVerificationError("self-signed certificate")
    key = ConnectionKey("host.example", 443, True, True, None, None, None)
    assert "certificate is not trusted" in str(failed(aiohttp.ClientConnectorCertificateError(key, unknown)))


def test_https_to_a_server_of_http_is_told_as_such() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            await post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")

    with pytest.raises(NeverSent, match="may begin with http://"):
        asyncio.run(ask())


def test_a_connection_that_takes_too_long_was_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sedi_dagster.teacher.transport.CONNECT_TIMEOUT_S", 0.2)
    with pytest.raises(NeverSent):  # the server takes the connection, but waits for the whole of a request
        posted(OK, lambda server: post(server.url.replace("http://", "https://")))


@pytest.mark.parametrize("key", [f"{SECRET}\n", f"{SECRET}\u201d"])
def test_a_key_that_fits_no_header_is_not_shown(key: str) -> None:
    async def work(server: Server) -> None:
        with pytest.raises(NeverSent, match="cannot be written") as raised:
            await post(server.url, key)
        assert SECRET not in repr(raised.value)

    posted(OK, work)


def test_a_cancelled_request_drops_its_connection() -> None:
    async def work(server: Server) -> None:
        request = asyncio.create_task(post(server.url))
        await server.has_request.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.wait_for(server.closed_by_client.wait(), 60.0)

    posted(None, work)


def test_more_than_a_hundred_requests_are_under_way_at_once() -> None:
    async def work(server: Server) -> None:
        transport = Transport(RemoteEndpoint(server.url))
        calls = [asyncio.create_task(transport.post("/chat/completions", BODY, str(n))) for n in range(150)]
        async with asyncio.timeout(60):
            while len(server.bodies) < len(calls):
                await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await transport.close()

    posted(None, work)


def test_a_redirection_is_followed_with_its_body_or_told() -> None:
    async def work(server: Server) -> None:
        for status in (301, 307):
            moved = b"HTTP/1.1 %d X\r\nLocation: %s/there\r\nContent-Length: 0\r\n\r\n" % (status, server.url.encode())
            async with Server(moved) as first:
                response = await post(first.url)
            assert response.status == (301 if status == 301 else 200)
        assert server.bodies == [b"", BODY]

    posted(OK, work)


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(server: Server) -> Server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        assert (await post("http://far.invalid/v1")).status == 200
        return server

    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert posted(OK, work).heads[0].startswith("post http://far.invalid/v1/chat/completions ")


def test_a_user_in_the_address_is_told_to_the_endpoint() -> None:
    async def work(server: Server) -> Server:
        assert (await post(server.url.replace("//", "//me:word@"))).status == 200
        return server

    assert "authorization: basic bwu6d29yza==" in posted(OK, work).heads[0]


def test_the_check_names_what_broke() -> None:
    async def work(server: Server) -> None:
        names = EndpointNames("the endpoint", "model")
        with pytest.raises(TeacherError, match="ServerDisconnectedError"):
            await preflight.check(RemoteEndpoint(server.url), names)
        with pytest.raises(TeacherError, match="cannot be written"):
            await preflight.check(RemoteEndpoint("http://☃..x/v1"), names)

    posted(b"", work)
