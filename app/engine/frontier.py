"""Which stages of a run may be under way, and which have to be looked at again, while a change is drawn through them.

It is brought up to date with each stage that changes. So a change that passes through all stages takes time in
proportion to their number, not to its square.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heappop, heappush

from app.engine import messages
from app.engine.cause import CANCELLED, Cause
from app.engine.conditions import cancel_requested
from app.engine.definition import RunDefinition
from app.engine.policy import halts
from app.models.execution import DRPlanExecutionStatus, StageStatus
from app.models.phases import FINAL, Phase
from app.models.reasons import NodeReason

_UNFORTUNATE = FINAL - {Phase.SUCCEEDED}


class Frontier:
    """The stages of a status while it is settled; each new version of a stage is handed over by `replace`."""

    def __init__(self, definition: RunDefinition, status: DRPlanExecutionStatus) -> None:
        self._definition = definition
        self._cancelled = cancel_requested(status)
        self.stages = list(status.stage_statuses)
        self.checks = status.health_checks
        """The health checks of the run, kept up by whoever settles."""
        self.unfortunate = any(stage.phase in _UNFORTUNATE for stage in self.stages)
        """Whether a stage has ended otherwise than well."""
        self._halting = {index for index, stage in enumerate(self.stages) if self._halts(index, stage)}
        self.halt = self._halt()
        """Why nothing more may start in the whole run; None when all may."""
        self._running = sum(stage.phase is Phase.RUNNING for stage in self.stages)
        self._unmet = [
            sum(self.stages[need].phase is not Phase.SUCCEEDED for need in node.needs) for node in definition.stages
        ]
        self._ready = [index for index in range(len(self.stages)) if self._is_ready(index)]
        self._now: list[int] = []
        self._next: list[int] = []
        self._queued: set[int] = set()
        self._at = -1

    def is_open(self, index: int) -> bool:
        """Tell whether a stage runs or may begin now: in spec order, as many as the plan allows (decision P3)."""
        if self.stages[index].phase is Phase.RUNNING:
            return True
        position = bisect_left(self._ready, index)
        return position < self._free() and self._ready[position : position + 1] == [index]

    def look_at(self, index: int) -> None:
        """Have a stage looked at: in this pass through the stages if its turn is still to come, else in the next."""
        if index not in self._queued and self.stages[index].phase not in FINAL:
            self._queued.add(index)
            heappush(self._now if index > self._at else self._next, index)

    def look_at_all(self) -> None:
        """Have every stage looked at that has not ended."""
        for index in range(len(self.stages)):
            self.look_at(index)

    def pop(self) -> int | None:
        """Return the stage to look at next, in passes in the order of the list; None when nothing is left to do."""
        if not self._now:
            self._now, self._next, self._at = self._next, [], -1
        if not self._now:
            return None
        self._at = heappop(self._now)
        self._queued.discard(self._at)
        return self._at

    def replace(self, index: int, stage: StageStatus) -> None:
        """Put a new version of a stage in its place, and have the stages looked at that this concerns."""
        before, self.stages[index] = self.stages[index].phase, stage
        if stage.phase is not before:
            self._take_phase(index, before, stage.phase)
        if self._halts(index, stage):
            self._halting.add(index)
        elif index in self._halting:
            self._halting.discard(index)
        else:
            return
        if (halt := self._halt()) != self.halt:
            self.halt = halt
            self.look_at_all()

    def _take_phase(self, index: int, before: Phase, phase: Phase) -> None:
        self._running += (phase is Phase.RUNNING) - (before is Phase.RUNNING)
        position = bisect_left(self._ready, index)
        if self._ready[position : position + 1] == [index]:
            del self._ready[position]
        if phase not in FINAL:
            return
        self.unfortunate = self.unfortunate or phase is not Phase.SUCCEEDED
        if 0 < self._free() <= len(self._ready):
            self.look_at(self._ready[self._free() - 1])
        for dependant in self._definition.dependants[index]:
            self._unmet[dependant] -= phase is Phase.SUCCEEDED
            if self._is_ready(dependant):
                insort(self._ready, dependant)
            self.look_at(dependant)

    def _is_ready(self, index: int) -> bool:
        return self._unmet[index] == 0 and self.stages[index].phase is Phase.PENDING

    def _free(self) -> int:
        return max(0, self._definition.max_parallel_stages - self._running)

    def _halts(self, index: int, stage: StageStatus) -> bool:
        return halts(self._definition, self._definition.stages[index], stage)

    def _halt(self) -> Cause | None:
        if self._cancelled:
            return CANCELLED
        if not self._halting:
            return None
        message = messages.stage_halts(self._definition.stages[min(self._halting)].name)
        return Cause(NodeReason.FAILURE_POLICY, message)
