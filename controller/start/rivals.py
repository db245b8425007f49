"""Executions of one plan that got past admission together: one runs, however late the controller looks at the other.

The plan's lock alone does not tell: the first run may be over before the second execution is looked at, which must not
start then (decision P2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from app.models.execution import DRPlanExecution
from app.models.meta import ObjectMeta
from app.models.plan import DRPlan
from app.models.stored import members
from controller.indices import BY_ENDED_PLAN, BY_STARTED_PLAN
from controller.run.runs import Runs
from controller.services import Services
from controller.start.may_begin import Rival

CLOCK_SLACK = timedelta(seconds=5)
"""How far the clocks of the API server and the controller may be apart."""


class Rivals:
    """Remembers when executions were created that have not started, and tells those that came second."""

    def __init__(self, services: Services, runs: Runs) -> None:
        self._services = services
        self._runs = runs
        self._born: dict[str, int] = {}

    def note(self, execution: DRPlanExecution) -> None:
        """Remember the first known resourceVersion of an execution, before the controller itself changes it."""
        self._born.setdefault(execution.metadata.uid, int(execution.metadata.resource_version))

    def forget(self, execution: DRPlanExecution) -> None:
        """Let go of an execution that has started or ended."""
        self._born.pop(execution.metadata.uid, None)

    def started(self, plan: DRPlan) -> Iterator[ObjectMeta]:
        """Return the executions of a plan that have begun and not ended; not one that runs another plan in truth."""
        for stored in self._services.executions.by_index(BY_STARTED_PLAN, plan.metadata.key):
            run = self._runs.get(stored["metadata"]["uid"])
            if run is None or run.snapshot.plan_name == plan.metadata.name:
                yield ObjectMeta.from_wire(stored["metadata"])

    def of(self, plan: DRPlan, execution: DRPlanExecution) -> Rival | None:
        """Return who ran the plan when an execution was created, though it may be gone by now; None when nobody did."""
        metadata = execution.metadata
        run = self._runs.of_plan(metadata.namespace, plan.metadata.name)
        if run is not None and run.uid != metadata.uid:
            return Rival(run.snapshot.execution_name, run.has_ended)
        born = self._born.get(metadata.uid, int(metadata.resource_version))
        for stored in self._services.executions.by_index(BY_ENDED_PLAN, f"{metadata.namespace}/{plan.metadata.name}"):
            if int(stored["metadata"]["resourceVersion"]) <= born:
                continue  # a plan may have thousands that ended long ago; decoding them all would hold up the start
            if stored["metadata"]["name"] == execution.spec.revert_execution_ref:
                continue  # what a Revert takes back has ended, and may have been written to since
            ended = _readable(stored)
            if ended is None:
                continue  # what cannot be read has no say in the starts of others
            if outlived(ended, born, metadata.creation_timestamp):
                return Rival(ended.metadata.name)
        return None


def _readable(stored: Mapping[str, Any]) -> DRPlanExecution | None:
    """Decode an execution that has ended, of whose status the cache keeps little; without a status that does not.

    Its parameters say nothing here, and may be many.
    """
    slim = {**stored, "spec": {**members(stored.get("spec")), "params": []}}
    for found in (slim, {**slim, "status": {}}):
        with suppress(ValidationError):
            return DRPlanExecution.from_wire(found)
    return None


def outlived(ended: DRPlanExecution, born: int, created: datetime | None) -> bool:
    """Tell whether an execution that has ended was still running when another one was created.

    `born` is the other one's first resourceVersion, `created` its creationTimestamp. The order of the versions tells;
    the times keep a label that is put on an old execution from counting as its end.
    """
    done = ended.status.completion_time
    if done is None or created is None or done + CLOCK_SLACK < created:
        return False
    return int(ended.metadata.resource_version) > born
