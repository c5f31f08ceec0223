"""The simulated teacher as an endpoint for the client, used by the profile `rehearsal`."""

import asyncio
import logging

from sedi_dagster.settings import SIMULATED
from sedi_dagster.teacher.endpoint import Endpoint
from sedi_dagster.testing.simulated_teacher import SimulatedTeacher

_LATENCY_S = 0.05


class SimulatedEndpoint(Endpoint):
    """Runs the server in a thread of this process, under a name that says that it is simulated."""

    identity = "simulated:"
    shown = f"The {SIMULATED}"

    def __init__(self) -> None:
        self._server = SimulatedTeacher(latency_s=_LATENCY_S)

    async def start(self) -> None:
        logging.getLogger("sedi_dagster.teacher").warning(
            f"This is the {SIMULATED}: its tasks and answers come from a few templates, for rehearsal only."
        )
        await asyncio.to_thread(self._server.__enter__)
        self.base_url = self._server.base_url

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.__exit__)
