"""The endpoint of the client: a given URL, or the bundled model's server, which is started for it."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from sedi_dagster.teacher.rendering import endpoint_identity


class Endpoint:
    """Where calls go.

    Attributes:
        identity: enters request keys, so it is the same in every run; `base_url` need not be.
        shown: how messages to people call it.
        is_remote: it runs without us.
        headers, query: sent with every request, besides the client's own.
        secrets: what must not be written anywhere, should the endpoint repeat it.
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
        """Give up what `start` began."""

    async def revive(self) -> None:
        """Called after a failed call: start it again if it is ours and has ended."""


class RemoteEndpoint(Endpoint):
    """An endpoint that runs without us."""

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
        # Long enough to be a secret, and so that masking it does not eat plain words.
        self.secrets = [value for value in known if len(value) >= 8]
