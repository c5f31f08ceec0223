"""Whom the client talks to: an address that is given, or the bundled model's server that is started for it."""

from __future__ import annotations

from typing import Protocol

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

    async def start(self) -> None:
        """Make it ready to be called."""

    async def stop(self) -> None:
        """Give up what `start` began."""

    async def revive(self) -> None:
        """Called after a failed call: start it again if it is ours and has ended."""


class RemoteEndpoint:
    """An endpoint that runs without us."""

    def __init__(self, base_url: str, api_key: str = "") -> None:
        self.base_url = base_url
        self.api_key = api_key
        self.identity = endpoint_identity(base_url)
        self.shown = self.identity

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def revive(self) -> None:
        """Not ours to start again."""
