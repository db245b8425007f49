"""The way back to the Go operator: stored objects are made fit for it (decision D1).

It takes `Cancelled` and `Unknown` for phases of runs that go on, and starts every execution that has not ended from its
first stage. So every run is ended, phases are spelled as it spells them, locks are released, and members that it does
not know are removed. All of it can be repeated: what is done is not done again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from app.engine.abandon import abandoned
from app.engine.earlier import differences, earlier_status
from app.engine.earlier_notes import earlier_notes
from app.engine.fold import end_run
from app.engine.history import PlanRun, completed, without_stale_lock
from app.kube.client import KubeClient
from app.kube.errors import Conflict, NotFound
from app.kube.fresh import Attempts, read_same
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS, Resource
from app.models.execution import DRPlanExecution, DRPlanExecutionStatus
from app.models.phases import Phase, has_ended
from app.models.plan import CurrentExecution, DRPlan, DRPlanStatus
from app.models.stored import members
from controller.journal.format import Entry, demand_sound, entries_by_run
from controller.journal.head import HeadStore
from controller.journal.store import SegmentStore
from controller.run.definition import definition_of
from controller.run.recorded import recorded_status
from controller.snapshots import SnapshotDamagedError, SnapshotStore

PAGE = 50
"""Objects read at once; a status may have 1 MiB."""
WHY = "Ended by drplan downgrade; whether what was running took effect is not known"

JsonObject = dict[str, Any]


class RunsInFlightError(Exception):
    """Executions have not ended, and nobody said that they may be ended here."""


@dataclass(frozen=True, slots=True)
class Found:
    """One stored object, and what there is to say about it."""

    resource: Resource
    namespace: str
    name: str
    texts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.namespace}/{self.name}"


@dataclass(slots=True)
class Findings:
    """What a look at all objects gave."""

    in_flight: list[Found] = field(default_factory=list)
    """Executions that have not ended."""
    changes: list[Found] = field(default_factory=list)
    """Objects whose status has something that the Go operator does not know, or holds a lock."""
    notes: list[Found] = field(default_factory=list)
    """Definitions that it runs otherwise."""


async def examine(kube: KubeClient) -> Findings:
    """Look at every object of the three kinds; nothing is written."""
    findings = Findings()
    for resource in (EXECUTIONS, PLANS, WORKFLOWS):
        async for stored in _each(kube, resource):
            _examine(resource, stored, findings)
    return findings


def _examine(resource: Resource, stored: JsonObject, findings: Findings) -> None:
    name, namespace = stored["metadata"]["name"], stored["metadata"]["namespace"]
    status = stored.get("status") or {}
    changes = [*dict.fromkeys(differences(status, earlier_status(resource.kind, status)))]
    if resource is EXECUTIONS and not has_ended(status.get("phase")):
        text = " ".join(filter(None, (status.get("phase") or "not started", status.get("progress"))))
        findings.in_flight.append(Found(resource, namespace, name, (text,)))
        return
    if resource is PLANS and (lock := status.get("currentExecution")):
        changes.append(f"currentExecution {lock.get('name')} released")
    if changes:
        findings.changes.append(Found(resource, namespace, name, tuple(changes)))
    if notes := tuple(earlier_notes(resource.kind, members(stored.get("spec")))):
        findings.notes.append(Found(resource, namespace, name, notes))


def demand_ended(findings: Findings) -> None:
    """Raise `RunsInFlightError` when an execution has not ended."""
    if findings.in_flight:
        raise RunsInFlightError(
            f"{len(findings.in_flight)} execution(s) have not ended, and the Go operator would start them from their "
            "first stage; no status was written. Wait for them or cancel them while the controller runs, or end them "
            "here with --end-runs"
        )


async def convert(
    kube: KubeClient,
    namespace: str,
    identity: str,
    now: Callable[[], datetime],
    say: Callable[[str], None],
    *,
    end_runs: bool,
) -> None:
    """Make every object fit, as the holder of the lease; `say` is called with each thing done.

    The journal is claimed first, which stops a former leader that still believes in its lease, and deleted at the end.
    Only then is it certain what is in flight. Raises `RunsInFlightError` when that is anything and `end_runs` is false;
    no status has been written then. Raises `KubeError` and `DamagedSegmentError`; what was done until then stays done.
    """
    store = SegmentStore(kube, namespace)
    _, segments = await store.claim(identity)
    demand_sound(segments)
    journal = entries_by_run(segments)
    findings = await examine(kube)
    if not end_runs:
        demand_ended(findings)
    ending = Ending(SnapshotStore(kube, namespace), journal, now)
    for found in findings.in_flight:
        if phase := await _rewrite(kube, found, ending.execution):
            say(f"{found}: ended as {phase}")
    for found in (await examine(kube)).changes:
        release = Release(kube, now) if found.resource is PLANS else None
        if await _rewrite(kube, found, release.plan if release else None) is not None:
            say(f"{found}: converted")
    await HeadStore(kube, namespace).delete()
    for segment in segments:
        await store.delete(segment)


class Ending:
    """Ends a run: by what its journal says, and what is open after that counts as failed."""

    def __init__(
        self, snapshots: SnapshotStore, journal: Mapping[str, Sequence[Entry]], now: Callable[[], datetime]
    ) -> None:
        self._snapshots = snapshots
        self._journal = journal
        self._now = now

    async def execution(self, stored: JsonObject) -> JsonObject:
        """Return the status of a run that is over. One that never started is Cancelled."""
        if has_ended(members(stored.get("status")).get("phase")):
            return stored.get("status") or {}
        try:
            execution = DRPlanExecution.from_wire(stored)
        except ValidationError:
            return {"phase": Phase.FAILED.value, "message": WHY}
        if execution.phase is Phase.PENDING:
            return end_run(execution.status, Phase.CANCELLED, "Cancelled by drplan downgrade", self._now()).to_wire()
        status = await self._recorded(execution)
        if not status.has_ended:
            status = abandoned(status, WHY, self._now())
        return status.to_wire()

    async def _recorded(self, execution: DRPlanExecution) -> DRPlanExecutionStatus:
        """Return the status with the journal's later events, as far as a snapshot says what they mean."""
        status, entries = execution.status, self._journal.get(execution.metadata.uid, ())
        if not any(entry.sequence > status.journal_sequence for entry in entries):
            return status
        try:
            snapshot = await self._snapshots.load(execution.metadata.uid)
        except SnapshotDamagedError:
            return status
        if snapshot is None:
            return status
        return recorded_status(definition_of(snapshot), execution, entries)


class Release:
    """Releases the lock of a plan whose execution has ended or is gone."""

    def __init__(self, kube: KubeClient, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._now = now

    async def plan(self, stored: JsonObject) -> JsonObject:
        """Return the plan's status without a lock, the end of its holder carried over."""
        status = stored.get("status") or {}
        try:
            plan = DRPlan.from_wire(stored)
        except ValidationError:
            return {name: value for name, value in status.items() if name != "currentExecution"}
        held = plan.status.current_execution
        if held is None:
            return status
        return (await self._released(plan, held)).to_wire()

    async def _released(self, plan: DRPlan, held: CurrentExecution) -> DRPlanStatus:
        namespace = held.namespace or plan.metadata.namespace
        found = await read_same(self._kube, EXECUTIONS, namespace, held.name, held.uid)
        if found is None:
            return without_stale_lock(plan.status, self._now())
        try:
            execution = DRPlanExecution.from_wire(found)
        except ValidationError:
            return without_stale_lock(plan.status, self._now())
        locked = held.model_copy(update={"uid": execution.metadata.uid})
        owned = plan.status.model_copy(update={"current_execution": locked})
        return completed(owned, PlanRun.of(execution))


async def _rewrite(kube: KubeClient, found: Found, change: Callable[[JsonObject], Any] | None) -> str | None:
    """Store an object's status as the Go operator would have it; return its phase, None when nothing was written."""
    attempts = Attempts(str(found), "run this again")
    while True:
        try:
            stored = await kube.get(found.resource, found.name, namespace=found.namespace)
            status = await change(stored) if change else stored.get("status") or {}
            wanted = earlier_status(found.resource.kind, status)
            if wanted == (stored.get("status") or {}):
                return None
            await kube.replace(found.resource, {**stored, "status": wanted}, subresource="status", timeout=30.0)
        except NotFound:
            return None
        except Conflict:
            attempts.conflict()
            continue
        return str(wanted.get("phase", ""))


async def _each(kube: KubeClient, resource: Resource) -> AsyncIterator[JsonObject]:
    token: str | None = None
    while True:
        page = await kube.list(resource, limit=PAGE, continue_token=token)
        for item in page["items"]:
            yield item
        token = page.get("metadata", {}).get("continue")
        if not token:
            return
