"""How `drplan downgrade` ends a run: by its status, its journal and its snapshot, as far as there are any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from app.engine.events import ActionFinished, ActionStarted, Event
from app.engine.fold import fold, initial_status
from app.kube.client import KubeClient
from app.kube.resources import EXECUTIONS, Resource
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from controller.downgrade import WHY, Ending, RunsInFlightError, convert
from controller.journal import Entry
from controller.snapshots import SnapshotDamagedError, SnapshotStore
from tests.support.installation import actions_of, phases_of
from tests.unit.engine.runs import actions, after, definition_of, flow, snapshot_of, stage

STAGES = (stage("s", flow("a", "b", "c")),)
MADE = ActionOutputs(resource_ref=CoreReference(kind="ConfigMap", namespace="ns", name="made", uid="u"))
DEFINITION = definition_of(*STAGES)
ADDRESSES = [address for address, _ in actions(initial_status(DEFINITION, after(0)))]


class Snapshots:
    """A store with one snapshot, none, or one that is damaged."""

    def __init__(self, snapshot: Snapshot | None, *, damaged: bool = False) -> None:
        self._snapshot = snapshot
        self._damaged = damaged

    async def load(self, uid: str) -> Snapshot | None:
        assert uid == "uid-1"
        if self._damaged:
            raise SnapshotDamagedError("the checksum does not match")
        return self._snapshot


def _stored(status: DRPlanExecutionStatus | dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "run-1", "namespace": "ns", "uid": "uid-1"},
        "spec": {"planRef": "plan", "operationType": "Execute"},
        "status": status if isinstance(status, dict) else status.to_wire(),
    }


def _journal() -> list[Entry]:
    """`a` started, which the status has; then it ended and made something, and `b` started."""
    address = ADDRESSES
    events: list[Event] = [
        ActionStarted(after(0), address[0], 1),
        ActionFinished(after(1), address[0], Phase.SUCCEEDED, "done", MADE),
        ActionStarted(after(1), address[1], 1),
    ]
    return [Entry("uid-1", "ns", "run-1", number, event) for number, event in enumerate(events, start=1)]


def _begun() -> DRPlanExecutionStatus:
    """The status as far as the first entry."""
    status = fold(DEFINITION, initial_status(DEFINITION, after(0)), _journal()[0].event)
    return status.model_copy(update={"journal_sequence": 1})


def _now() -> datetime:
    return after(60)


async def _ended(status: DRPlanExecutionStatus | dict[str, Any], snapshots: Snapshots, entries: list[Entry]) -> Any:
    ending = Ending(cast(SnapshotStore, snapshots), {"uid-1": entries}, _now)
    return await ending.execution(_stored(status))


async def test_what_only_the_journal_knows_is_kept() -> None:
    status = await _ended(_begun(), Snapshots(snapshot_of(*STAGES)), _journal())
    assert (status["phase"], status["message"]) == ("Failed", WHY)
    assert phases_of(status) == {"a": "Succeeded", "b": "Failed", "c": "Skipped"}
    assert actions_of(status)[0]["outputs"]["resourceRef"]["name"] == "made"


@pytest.mark.parametrize("snapshots", [Snapshots(None), Snapshots(None, damaged=True)], ids=["none", "damaged"])
async def test_without_a_snapshot_the_status_alone_counts(snapshots: Snapshots) -> None:
    status = await _ended(_begun(), snapshots, _journal())
    assert phases_of(status) == {"a": "Failed", "b": "Skipped", "c": "Skipped"}


async def test_entries_that_the_status_has_are_not_applied_again() -> None:
    status = await _ended(_begun(), Snapshots(snapshot_of(*STAGES)), _journal()[:1])
    assert phases_of(status)["a"] == "Failed"


async def test_run_that_the_journal_knows_to_have_ended_is_as_it_ended() -> None:
    _, second, third = ADDRESSES
    more: list[Event] = [
        ActionFinished(after(2), second, Phase.SUCCEEDED, "done"),
        ActionStarted(after(2), third, 1),
        ActionFinished(after(3), third, Phase.SUCCEEDED, "done"),
    ]
    entries = [*_journal(), *(Entry("uid-1", "ns", "run-1", 4 + at, event) for at, event in enumerate(more))]
    status = await _ended(_begun(), Snapshots(snapshot_of(*STAGES)), entries)
    assert status["phase"] == "Succeeded"
    assert set(phases_of(status).values()) == {"Succeeded"}


@pytest.mark.parametrize("status", [{}, {"phase": "Pending", "message": "Waiting"}])
async def test_execution_that_never_started_is_cancelled(status: dict[str, Any]) -> None:
    ended = await _ended(status, Snapshots(None), [])
    assert (ended["phase"], ended["message"]) == ("Cancelled", "Cancelled by drplan downgrade")


async def test_unknown_run_is_failed() -> None:
    status = _begun().model_copy(update={"phase": Phase.UNKNOWN})
    assert (await _ended(status, Snapshots(None), []))["phase"] == "Failed"


async def test_execution_that_cannot_be_read_is_failed() -> None:
    assert await _ended({"phase": "Running", "startTime": "yesterday"}, Snapshots(None), []) == {
        "phase": "Failed",
        "message": WHY,
    }


async def test_ended_in_the_meantime_stays_as_it_is() -> None:
    assert await _ended({"phase": "Succeeded", "message": "m"}, Snapshots(None), []) == {
        "phase": "Succeeded",
        "message": "m",
    }


class Cluster:
    """An API server with one execution, which started after somebody had looked whether there is any."""

    def __init__(self) -> None:
        self.execution = _stored(_begun())
        self.changed: list[str] = []
        """Phases that were written."""

    async def list(self, resource: Resource, **_: object) -> dict[str, Any]:
        return {"items": [self.execution] if resource is EXECUTIONS else []}

    async def list_all(self, _resource: Resource, **_: object) -> Sequence[dict[str, Any]]:
        return []

    async def get(self, _resource: Resource, _name: str, **_: object) -> dict[str, Any]:
        return self.execution

    async def create(self, _resource: Resource, body: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}

    async def replace(self, _resource: Resource, body: dict[str, Any], **_: object) -> dict[str, Any]:
        self.changed.append(body["status"]["phase"])
        self.execution = body
        return body

    async def delete(self, _resource: Resource, _name: str, **_: object) -> None:
        """Takes the journal's segment."""


async def test_run_that_started_before_the_lease_was_taken_is_not_ended_unasked() -> None:
    cluster = Cluster()
    with pytest.raises(RunsInFlightError, match=r"^1 execution\(s\) have not ended, .* --end-runs$"):
        await convert(cast(KubeClient, cluster), "system", "me", _now, print, end_runs=False)
    assert cluster.changed == []


async def test_run_that_started_before_the_lease_was_taken_is_ended_when_asked() -> None:
    cluster = Cluster()
    await convert(cast(KubeClient, cluster), "system", "me", _now, print, end_runs=True)
    assert cluster.changed == ["Failed"]
