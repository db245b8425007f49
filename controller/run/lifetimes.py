"""Giving Jobs their `ttlSecondsAfterFinished` once the end of the action that made them is recorded.

Before that they must not go: an action in doubt has to find its Job. After a crash in between, whoever takes the run up
does it again; a run is not recorded as ended before it is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from app.engine.definition import Address, Forward, RollBack, RunDefinition, references
from app.engine.tree import action_at, each_address
from app.kube.errors import Conflict, KubeError, NotFound, is_transient
from app.models.common import CoreReference
from app.models.execution import ActionStatus, DRPlanExecutionStatus
from app.runtime.logging import get_logger
from controller.actions.job_ttl import release
from controller.services import Services

log = get_logger(__name__)

PATIENCE = 60.0
"""Seconds for which a run waits with its end until its Jobs have their lifetimes, if the API server does not answer."""
_PAUSE = 1.0


class Lifetimes:
    """The Jobs of one run that wait for their lifetimes. `stored` is the execution, for Events about it."""

    def __init__(self, services: Services, definition: RunDefinition, stored: dict[str, Any]) -> None:
        self._services = services
        self._definition = definition
        self._stored = stored
        self._waiting: asyncio.Queue[CoreReference] = asyncio.Queue()

    def take_all(self, status: DRPlanExecutionStatus) -> None:
        """Note the Jobs of every action that `status` records as ended."""
        for address in each_address(status):
            if action_at(status, address).phase.is_final:
                self.take(status, address)

    def take(self, status: DRPlanExecutionStatus, address: Address) -> None:
        """Note the Jobs of an action that `status` records as ended."""
        step = self._definition.action(address).step
        for ref in _expiring(step, action_at(status, address)) if step is not None else ():
            self._waiting.put_nowait(ref)

    async def run(self) -> None:
        """Work off what is noted, one Job after the other; never returns."""
        while True:
            ref = await self._waiting.get()
            try:
                await self._release(ref)
            finally:
                self._waiting.task_done()

    async def finish(self) -> None:
        """Wait until all is worked off by `run`, for a while."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._waiting.join()
        except TimeoutError:
            log.warning("Jobs keep no lifetime: the API server did not answer in time", left=self._waiting.qsize() + 1)

    async def work_off(self) -> None:
        """Work off what is noted now, for a run that nobody drives."""
        working = asyncio.get_running_loop().create_task(self.run(), name="lifetimes")
        try:
            await self.finish()
        finally:
            working.cancel()
            await asyncio.wait([working])

    async def _release(self, ref: CoreReference) -> None:
        """Give one Job its lifetime. What the API server refuses is told: the Job then stays until it is deleted."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while (error := await self._refusal(ref)) is not None:
            if loop.time() >= until or not (is_transient(error) or isinstance(error, Conflict)):
                self._tell(ref, error)
                break
            await asyncio.sleep(_PAUSE)

    async def _refusal(self, ref: CoreReference) -> KubeError | None:
        try:
            await release(self._services.bounded, ref)
        except NotFound:
            return None
        except KubeError as error:
            return error
        return None

    def _tell(self, ref: CoreReference, error: KubeError) -> None:
        message = (
            f"Job {ref.namespace}/{ref.name} did not get its ttlSecondsAfterFinished and stays until it is deleted: "
            f"{error}"
        )
        log.warning("a Job did not get its lifetime", job=f"{ref.namespace}/{ref.name}", error=str(error))
        self._services.recorder.emit(self._stored, "Warning", "LifetimeNotSet", message)


def _expiring(step: Forward | RollBack, action: ActionStatus) -> Iterator[CoreReference]:
    """Yield the Jobs that an action made and that are removed some time after they have ended."""
    outputs, block = action.outputs, step.body.job
    if outputs is None:
        return
    if outputs.job_ref is not None and outputs.job_ref.uid and block is not None and block.removes_itself:
        yield outputs.job_ref
    yield from (ref for ref in references(outputs) if ref.uid in outputs.expiring)
