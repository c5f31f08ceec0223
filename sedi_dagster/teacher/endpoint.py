"""The endpoint of the client: a given URL, or the bundled model's server, which is started for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from sedi_dagster.teacher.rendering import endpoint_identity


class Endpoint(Protocol):
    """`identity` enters request keys, so it is the same in every run; `base_url` need not be."""

    @property
    def identity(self) -> str: ...

    @property
    def shown(self) -> str:
        """How messages to people call it."""
        ...

    @property
    def base_url(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    @property
    def is_remote(self) -> bool:
        """Whether it runs without us."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Sent with every request, besides the client's own."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """Added to the address of every request."""
        ...

    @property
    def secrets(self) -> Sequence[str]:
        """What must not be written anywhere, should the endpoint repeat it."""
        ...

    async def start(self) -> None:
        """Make it ready to be called."""

    async def stop(self) -> None:
        """Give up what `start` began."""

    async def revive(self) -> None:
        """Called after a failed call: start it again if it is ours and has ended."""


class OwnEndpoint:
    """What the endpoints that are started here have in common."""

    is_remote = False
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    api_key = ""

    @property
    def secrets(self) -> Sequence[str]:
        return _worth_masking([self.api_key])


class RemoteEndpoint:
    """An endpoint that runs without us."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.is_remote = True
        parts = urlsplit(base_url)
        self.base_url = urlunsplit(parts._replace(query="", fragment=""))
        self.api_key = api_key
        self.headers = dict(headers or {})
        self.query = {**dict(parse_qsl(parts.query)), **(query or {})}
        self.identity = endpoint_identity(base_url)
        self.shown = self.identity
        password = [unquote(parts.password)] if parts.password else []
        self.secrets = _worth_masking([api_key, *password, *self.headers.values(), *self.query.values(), *secrets])

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def revive(self) -> None:
        """Not ours to start again."""


def _worth_masking(values: Iterable[str]) -> list[str]:
    """Long enough to be a secret, and so that masking it does not eat plain words."""
    return [value for value in values if len(value) >= 8]
