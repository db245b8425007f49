"""How long an execution waits for its plan to be validated (decision P2)."""

from __future__ import annotations

import asyncio

from app.models.execution import DRPlanExecution
from controller.lanes import Key
from controller.start.may_begin import VALIDATION_PATIENCE


class Patience:
    """Since when each execution waits, on the event loop's clock: no other clock is asked, because those differ."""

    def __init__(self) -> None:
        self._since: dict[Key, tuple[str, float]] = {}

    def left(self, execution: DRPlanExecution) -> float:
        """Return how many seconds an execution may still wait; not more than 0 when it may not."""
        metadata, now = execution.metadata, asyncio.get_running_loop().time()
        key = (metadata.namespace, metadata.name)
        if self._since.get(key, ("", 0.0))[0] != metadata.uid:
            self._since[key] = metadata.uid, now
        return self._since[key][1] + VALIDATION_PATIENCE - now

    def forget(self, key: Key) -> None:
        """Let go of an execution that waits no more, or is gone."""
        self._since.pop(key, None)
