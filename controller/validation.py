"""Validating stored workflows and plans: small ones in the event loop, large ones by a worker that can be ended.

An object that no worker could judge is set aside: its condition says so, an Event tells it, and it is looked at again
when it, or a workflow of it, has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from cachetools import LRUCache
from pydantic import ValidationError

from app.models.base import ApiModel
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.findings import Report, refusal
from app.rules.levels import is_too_deep
from app.rules.plan import check_plan
from app.rules.weight import takes_long
from app.rules.workflow import check_workflow
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.worker import Ask
from app.runtime.workers import BusyError, Workers, WorkFailedError
from controller.lanes import Key
from controller.validity import judge

log = get_logger(__name__)

SECONDS = 20.0
"""How long judging one object may take."""
REMEMBERED = 256
"""Reports on large objects that are kept: plans are looked at whenever a run of theirs has changed them."""
SET_ASIDE = "SetAside"
"""Rule of the finding about an object that nobody could judge, and reason of its Event."""

Stored = Mapping[str, Any]
M = TypeVar("M", bound=ApiModel)


class Validator:
    """Judges stored objects. Without workers, all of them in the event loop."""

    def __init__(self, own_namespace: str, workers: Workers | None = None) -> None:
        self._own = own_namespace
        self._workers = workers
        self._known: LRUCache[tuple[str, ...], Report] = LRUCache(REMEMBERED)

    async def workflow(self, stored: Stored) -> Report:
        """Return what the rules say about a workflow."""
        if is_too_deep(stored):
            return _workflow_report(stored, self._own)  # which refuses it
        data = orjson.dumps(stored)
        if self._workers is None or not takes_long(data):
            return _workflow_report(stored, self._own)
        return await self._judged("workflow_here", stored, (), data)

    async def plan(self, stored: Stored, workflows: Mapping[Key, Stored | None]) -> Report:
        """Return what the rules say about a plan; `workflows` are those that it references, None for a missing one."""
        if self._workers is None:
            return _plan_report(stored, workflows, self._own)
        if is_too_deep(stored):
            return _plan_report(stored, {}, self._own)
        data, written = orjson.dumps(stored), []
        workflows = {key: each for key, each in workflows.items() if not is_too_deep(each)}
        for key, each in workflows.items():
            written.append((key, None if each is None else orjson.dumps(each)))
            await asyncio.sleep(0)
        if not takes_long(data, *(each for _, each in written if each is not None)):
            return _plan_report(stored, workflows, self._own)
        return await self._judged("plan_here", stored, tuple(filter(None, workflows.values())), data, written)

    async def _judged(self, function: str, stored: Stored, others: tuple[Stored, ...], *arguments: object) -> Report:
        assert self._workers is not None
        version = tuple(map(_version, (stored, *others)))
        if version not in self._known:
            try:
                report: Report = await self._workers.call(
                    f"{__name__}:{function}", *arguments, self._own, seconds=SECONDS
                )
            except BusyError:
                raise
            except WorkFailedError as failed:
                report = _set_aside(stored, failed)
            self._known[version] = report
        return self._known[version]


def workflow_here(ask: Ask, data: bytes, own: str) -> Report:
    """Judge a workflow, in a worker."""
    del ask
    return _workflow_report(orjson.loads(data), own)


def plan_here(ask: Ask, data: bytes, written: list[tuple[Key, bytes | None]], own: str) -> Report:
    """Judge a plan, in a worker."""
    del ask
    workflows = {key: None if each is None else orjson.loads(each) for key, each in written}
    return _plan_report(orjson.loads(data), workflows, own)


def _workflow_report(stored: Stored, own: str) -> Report:
    return judge(DRWorkflow, dict(stored), lambda workflow: check_workflow(workflow, own_namespace=own))


def _plan_report(stored: Stored, workflows: Mapping[Key, Stored | None], own: str) -> Report:
    known = decoded_workflows(workflows)
    return judge(DRPlan, dict(stored), lambda plan: check_plan(plan, known, own_namespace=own))


def decoded_workflows(stored: Mapping[Key, Stored | None]) -> dict[Key, DRWorkflow | None]:
    """Return the workflows that can be decoded; what is wrong with others is told of themselves."""
    found: dict[Key, DRWorkflow | None] = {}
    for key, data in stored.items():
        if data is None:
            found[key] = None
        elif (workflow := decoded(DRWorkflow, data)) is not None:
            found[key] = workflow
    return found


def decoded(model: type[M], stored: Stored) -> M | None:
    """Return a stored object; None when it cannot be decoded."""
    try:
        return model.from_wire(dict(stored))
    except ValidationError:
        return None


def _set_aside(stored: Stored, failed: WorkFailedError) -> Report:
    kind = str(stored.get("kind", ""))
    metrics.set_aside_total.labels(kind).inc()
    log.warning("object is set aside until it changes", kind=kind, object=_name(stored), error=str(failed))
    return refusal(SET_ASIDE, "spec", f"the {kind} was not judged and is set aside until it changes: {failed}")


def _name(stored: Stored) -> str:
    return f"{stored['metadata'].get('namespace')}/{stored['metadata'].get('name')}"


def _version(stored: Stored) -> str:
    metadata = stored["metadata"]
    return f"{metadata.get('uid')}@{metadata.get('generation')}"
