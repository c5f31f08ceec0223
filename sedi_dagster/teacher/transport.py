"""One request to the endpoint and its complete response, as the openai client sends it.

Everything that an API user may have configured applies: proxies, certificates and OpenAI's organization in the
environment, the form of the base URL. In addition, the length of a response is limited, and a failed request reports
whether it may have reached the endpoint, which exact accounting needs.

With many concurrent calls, CPU time limits the throughput. Therefore aiohttp is the transport instead of the client's
default, and calls use the client's HTTP layer directly: the layers above it would double the CPU time of a request.
"""

import logging
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import openai

from sedi_dagster.errors import TeacherError
from sedi_dagster.teacher.endpoint import Endpoint

LONGEST_ANSWER_BYTES = 1024 * 1024
"""How much of an answer is read. A longer one is malformed; reading on could exhaust the memory."""

CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 4.0
_MOST_CONNECTIONS = 10_000
"""In effect no limit, as the limiter controls concurrency. (None would mean aiohttp's default of 100.)"""

_UNWRITABLE = (httpx2.InvalidURL, httpx2.UnsupportedProtocol, ValueError)
_UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
_PROXY = (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_TELEMETRY = "X-Stainless-"
_ROOTS = (aiohttp.ClientError, httpx2.UnsupportedProtocol)
FAILURES = (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError, httpx2.InvalidURL, UnicodeEncodeError)
"""What the client raises if there is no complete response."""


class _Masking(logging.Filter):
    """Masks secrets in the client's log messages, which contain the whole URL with its query."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if any(secret in message for secret in self.secrets):
            for secret in self.secrets:
                message = message.replace(secret, "***")
            record.msg, record.args = message, ()
        return True


_MASKING = _Masking()
for _name in ("httpx2", "httpx", "openai._base_client", "openai"):
    logging.getLogger(_name).addFilter(_MASKING)


class NeverSent(Exception):
    """No connection could be made, so the endpoint has not received the request."""


class AnswerLost(Exception):
    """The connection broke after the request was sent, so the endpoint may have done the work."""


@dataclass(slots=True)
class RawResponse:
    """A response of the endpoint, with its body as bytes."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def open_client(endpoint: Endpoint, capped: bool = True) -> openai.AsyncOpenAI:
    """Open a client for the endpoint. It has no timeout except for connecting, and does not retry.

    Args:
        capped: read at most `LONGEST_ANSWER_BYTES` of a response.

    Raises:
        TeacherError: proxies or certificates in the environment cannot be used.
    """
    return _client(endpoint, _http_client(endpoint, capped))


def _client(endpoint: Endpoint, http_client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=endpoint.api_key or "none",
        base_url=_without_user(endpoint.base_url),
        max_retries=0,
        default_headers=endpoint.headers,
        default_query=endpoint.query,
        http_client=http_client,
    )


def _http_client(endpoint: Endpoint, capped: bool) -> httpx2.AsyncClient:
    _MASKING.secrets.update(endpoint.secrets)
    try:
        url = httpx2.URL(endpoint.base_url)
        outside = not is_loopback(url.host)
        return openai.DefaultAioHttpClient(
            auth=(url.username, url.password) if url.userinfo else None,  # aiohttp does not accept it in the URL
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S),
            limits=httpx2.Limits(max_connections=_MOST_CONNECTIONS, keepalive_expiry=_KEEPALIVE_S),
            event_hooks={"response": [_cap]} if capped else {},
            trust_env=outside,  # proxies are not used on this machine, but certificates are
            verify=httpx2.create_ssl_context(trust_env=outside or url.scheme == "https"),
        )
    except OSError as error:  # ssl.SSLError is one
        names = ", ".join(name for name in _CERTIFICATES if os.environ.get(name)) or "the system"
        raise TeacherError(
            f"The certificates named by {names} cannot be read ({type(error).__name__}).",
            "Set it to an existing PEM file, or unset it.",
        ) from None
    except (ValueError, ImportError) as error:
        if isinstance(error, _UNWRITABLE[:2]):
            raise
        proxies = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
        raise TeacherError(
            f"The proxy named by {', '.join(proxies) or 'the environment'} cannot be used: {error}.",
            "Set it to an http:// URL, or unset it; list hosts that need no proxy in NO_PROXY.",
        ) from None


def _without_user(url: str) -> httpx2.URL:
    return httpx2.URL(url).copy_with(userinfo=b"")


_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine."""
    return host == "localhost" or host.endswith(".localhost") or host.startswith("127.") or host in ("::1", "0.0.0.0")


def through_proxy(url: str) -> str:
    """Return the end of a sentence that names the proxy variable used for a URL; "" without a proxy."""
    parts = httpx2.URL(url)
    proxied = {parts.scheme, "all"} & getproxies().keys() and not is_loopback(parts.host)
    if not proxied or proxy_bypass(parts.host):
        return ""
    return f" through the proxy named by {parts.scheme.upper()}_PROXY"


def failed(error: Exception) -> NeverSent | AnswerLost:
    """Classify an exception of the client, without its message, which may contain parts of the request.

    The original error of aiohttp decides, as the layers above rename some wrongly: a connection closed by the server
    becomes a connect timeout.
    """
    cause: BaseException = error
    while cause.__cause__ is not None and not isinstance(cause, _ROOTS):
        cause = cause.__cause__
    name = type(getattr(cause, "os_error", cause)).__name__
    if isinstance(cause, aiohttp.ClientConnectorSSLError):
        return NeverSent(f"it does not speak TLS as https needs it ({name}); its address may begin with http://")
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):  # some of these are a ValueError, too
        return NeverSent(
            f"its certificate is not trusted ({name}); where your network has one of its own, SSL_CERT_FILE names it"
        )
    if isinstance(cause, _UNWRITABLE):
        return NeverSent(f"the address, a proxy's, or the key cannot be written in a request ({name})")
    if isinstance(cause, _PROXY):
        return NeverSent(f"the proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) lets no connection through ({name})")
    if isinstance(cause, _UNCONNECTED):
        return NeverSent(f"no connection ({name})")
    return AnswerLost(f"connection lost before the answer was whole ({name})")


def in_utf8(content: bytes, content_type: str) -> bytes:
    """Return the bytes in UTF-8 if they are in another encoding that the header names, such as `charset=gbk`."""
    named = _CHARSET.search(content_type)
    try:
        content.decode()
    except UnicodeDecodeError:
        try:
            return content.decode(named[1]).encode() if named else content
        except (LookupError, UnicodeError):
            return content
    return content


class Transport:
    """Sends requests to one endpoint, in one event loop. Cancelling a request drops its connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http: httpx2.AsyncClient | None = None
        self._address = ("", "")
        self._url = httpx2.URL()

    async def post(self, path: str, body: bytes, idempotency_key: str) -> RawResponse:
        """Send the JSON body and return the response.

        Raises:
            NeverSent, AnswerLost: there is no complete response.
        """
        headers = {"Idempotency-Key": idempotency_key, "Accept-Encoding": "identity"}
        try:
            http, url = self._open(path)
            response = await http.post(url, content=body, headers=headers)
        except (*FAILURES, ValueError) as error:  # ValueError: a line break in a header
            raise failed(error) from None
        if response.request.method != "POST":  # a 301 or 302 was followed without the body
            response = response.history[0]
        content = in_utf8(response.content[:LONGEST_ANSWER_BYTES], response.headers.get("content-type", ""))
        return RawResponse(response.status_code, response.headers, content)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _open(self, path: str) -> tuple[httpx2.AsyncClient, httpx2.URL]:
        if self._http is None:
            http = _http_client(self._endpoint, capped=True)
            client = _client(self._endpoint, http)
            http.headers = client.auth_headers
            # Leave out telemetry and values that are not set (`Omit`). Set headers one by one, because the user's may
            # differ from the client's only in case (`User-Agent`, `user-agent`).
            for name, value in (*client.default_headers.items(), *self._endpoint.headers.items()):
                if isinstance(value, str) and not name.startswith(_TELEMETRY):
                    http.headers[name] = value
            http.params = self._endpoint.query
            self._http = http
        if self._address != (self._endpoint.base_url, path):  # the bundled model may have restarted on another port
            self._address = self._endpoint.base_url, path
            self._url = httpx2.URL(f"{_without_user(self._endpoint.base_url)}".rstrip("/") + path)
        return self._http, self._url


async def _cap(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Capped(response.stream)


class _Capped(httpx2.AsyncByteStream):
    """A body that ends at `LONGEST_ANSWER_BYTES`. If it is not read to its end, its connection is closed."""

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
