"""The endpoint that the client calls: a URL, or a server that is started for it."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from sedi_dagster.teacher.rendering import endpoint_identity


class Endpoint:
    """Where calls are sent.

    Attributes:
        identity: part of the request keys, so it must be the same in every run; `base_url` need not be.
        shown: its name in messages.
        is_remote: whether it runs independently of this process.
        headers, query: sent with every request, besides the client's own.
        secrets: texts that must not be written anywhere, even if the endpoint repeats them.
    """

    identity: str
    shown: str
    base_url = ""
    api_key = ""
    is_remote = False
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    secrets: Sequence[str] = ()

    async def start(self) -> None:
        """Make it ready to be called."""

    async def stop(self) -> None:
        """Release what `start` acquired."""

    async def revive(self) -> None:
        """Restart a server of our own that has ended; called after each failed call."""


class RemoteEndpoint(Endpoint):
    """An endpoint at a URL."""

    is_remote = True

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        parts = urlsplit(base_url)
        self.base_url = urlunsplit(parts._replace(query="", fragment=""))
        self.api_key = api_key
        self.headers = dict(headers or {})
        self.query = {**dict(parse_qsl(parts.query)), **(query or {})}
        self.identity = endpoint_identity(base_url)
        self.shown = self.identity
        password = [unquote(parts.password)] if parts.password else []
        known = [api_key, *password, *self.headers.values(), *self.query.values(), *secrets]
        # Short values are no secrets, and masking them would destroy ordinary words.
        self.secrets = [value for value in known if len(value) >= 8]
