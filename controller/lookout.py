"""Whether the watch of executions still tells what happens to those that run here.

A watch may go silent without breaking: a proxy that forgot the connection, a version that the server will never
reach. It is listed anew after 75 s of silence, too long for somebody who cancels. So while it is silent, the runs under
way are looked at by reading their metadata, which is cheap; the first one that changed unseen has everything listed.
"""

from __future__ import annotations

import asyncio

import orjson

from app.kube.errors import KubeError, NotFound
from app.kube.resources import EXECUTIONS
from app.runtime.logging import get_logger
from app.runtime.tasks import every
from controller.runner import Run
from controller.runs import Runs
from controller.services import Services

log = get_logger(__name__)

SILENT_SECONDS = 5.0
"""Silence of the watch after which it is doubted."""
ROUND_SECONDS = 10.0
"""Between two rounds. So a cancel is seen within 15 s and the time of a round, whatever the watch does."""
LIST_SECONDS = 60.0
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


class Lookout:
    """Looks after the runs of this process while the watch of executions is silent."""

    def __init__(self, services: Services, runs: Runs) -> None:
        self._services = services
        self._runs = runs

    async def run(self) -> None:
        """Look until cancelled."""
        limit, tolerated = LIST_SECONDS + ROUND_SECONDS, (KubeError, TimeoutError)
        await every("lookout", ROUND_SECONDS, self.look, timeout=limit, tolerate=tolerated)

    async def look(self) -> None:
        """Do one round; nothing when the watch has spoken lately."""
        executions = self._services.executions
        if executions.seconds_since_last_line < SILENT_SECONDS:
            return
        for run in self._runs.under_way():
            if await self._changed_unseen(run):
                log.warning("the watch of executions is silent and has missed a change, listing anew")
                await executions.refresh(asyncio.get_running_loop().time(), LIST_SECONDS)
                return

    async def _changed_unseen(self, run: Run) -> bool:
        namespace, name = run.snapshot.execution_namespace, run.snapshot.execution_name
        try:
            content = await self._services.kube.get_raw(EXECUTIONS.path(namespace, name), accept=METADATA)
        except NotFound:
            return self._services.executions.get(namespace, name) is not None
        known = self._services.executions.get(namespace, name)
        live = orjson.loads(content)["metadata"]
        return known is None or int(live["resourceVersion"]) > int(known["metadata"]["resourceVersion"])
