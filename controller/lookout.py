"""Whether the watch of executions still tells what happens to them.

A watch may go silent without breaking: a proxy that forgot the connection, a version that the server will never
reach. It is listed anew after 75 s of silence, too long for somebody who cancels. It may also lose a change and go on.
So the runs under way are looked at by reading their metadata, which is cheap, and so are all executions, or where there
are many, their number: often while the watch is silent, else now and then. The first one that changed unseen, or
another number, has everything listed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from app.kube.errors import KubeError, NotFound
from app.kube.resources import EXECUTIONS
from app.runtime.logging import get_logger
from app.runtime.tasks import every
from controller.run.runner import Run
from controller.run.runs import Runs
from controller.services import Services

log = get_logger(__name__)

SILENT_SECONDS = 5.0
"""Silence of the watch after which it is doubted."""
SPEAKING_SECONDS = 40.0
"""Between two looks while the watch speaks."""
CONFIRM_SECONDS = 2.0
"""Until what seems to have been missed is looked at again: it may just be on its way."""
ROUND_SECONDS = 10.0
"""Between two rounds. So a cancel or a new execution is seen within 15 s and the time of a round, whatever the watch
does."""
LIST_SECONDS = 60.0
MOST_COMPARED = 200
"""Executions up to which each is compared; of more, the server only says how many there are."""
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


class Lookout:
    """Looks after the runs of this process while the watch of executions is silent."""

    def __init__(self, services: Services, runs: Runs) -> None:
        self._services = services
        self._runs = runs
        self._looked = -SPEAKING_SECONDS

    async def run(self) -> None:
        """Look until cancelled."""
        limit, tolerated = LIST_SECONDS + ROUND_SECONDS, (KubeError, TimeoutError)
        await every("lookout", ROUND_SECONDS, self.look, timeout=limit, tolerate=tolerated)

    async def look(self) -> None:
        """Do one round; nothing when the watch has spoken lately and was looked after not long ago."""
        now = asyncio.get_running_loop().time()
        is_silent = self._services.executions.seconds_since_last_line >= SILENT_SECONDS
        if not is_silent and now - self._looked < SPEAKING_SECONDS:
            return
        self._looked = now
        if not await self._has_missed():
            return
        await asyncio.sleep(CONFIRM_SECONDS)
        if await self._has_missed():
            log.warning("the watch of executions has missed a change, listing anew", silent=is_silent)
            await self._services.executions.refresh(asyncio.get_running_loop().time(), LIST_SECONDS)

    async def _has_missed(self) -> bool:
        for run in self._runs.under_way():
            if await self._changed_unseen(run):
                return True
        known = {obj["metadata"]["uid"]: int(obj["metadata"]["resourceVersion"]) for obj in self._cached()}
        page = await self._services.kube.list(EXECUTIONS, limit=_asked(len(known)), metadata_only=True)
        if page["metadata"].get("continue"):
            more = page["metadata"].get("remainingItemCount")
            return more is not None and len(page["items"]) + int(more) != len(known)
        live = {item["metadata"]["uid"]: int(item["metadata"]["resourceVersion"]) for item in page["items"]}
        return live.keys() != known.keys() or any(live[uid] > known[uid] for uid in live)

    def _cached(self) -> list[dict[str, Any]]:
        return self._services.executions.items()

    async def _changed_unseen(self, run: Run) -> bool:
        namespace, name = run.snapshot.execution_namespace, run.snapshot.execution_name
        try:
            content = await self._services.kube.get_raw(EXECUTIONS.path(namespace, name), accept=METADATA)
        except NotFound:
            return self._services.executions.get(namespace, name) is not None
        known = self._services.executions.get(namespace, name)
        live = orjson.loads(content)["metadata"]
        return known is None or int(live["resourceVersion"]) > int(known["metadata"]["resourceVersion"])


def _asked(known: int) -> int:
    """How many executions to read: all when there are few, and one more for a new one."""
    return known + 1 if known <= MOST_COMPARED else 1
