"""Letting go of the lock of a Revert that has ended: what it took back is marked before the lock is gone."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from app.kube.errors import IllegalName, NotFound
from app.kube.kept import Records
from app.models.execution import DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.phases import Operation, Phase
from app.models.plan import CurrentExecution, DRPlanSpec, DRPlanStatus
from app.models.snapshot import Snapshot, StageRun, Target, WorkflowRun
from controller.plans.lock import sound_lock
from controller.services import Services

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN = ObjectMeta(name="p", namespace="ns")
ACTION = {"name": "a", "type": "HTTP", "phase": "Succeeded"}
USE = {"workflowRef": {"name": "w", "namespace": "ns"}, "phase": "Succeeded", "actionStatuses": [ACTION]}
DONE = {"phase": "Succeeded", "stageStatuses": [{"name": "s", "phase": "Succeeded", "workflowExecutions": [USE]}]}
HTTP = {"url": "http://x.invalid", "method": "POST"}
WORKFLOW = {"actions": [{"name": "a", "type": "HTTP", "http": HTTP, "rollback": {"type": "HTTP", "http": HTTP}}]}


class FakeKube:
    """Two executions: the Revert that holds the lock, and its target; `log` has what was written."""

    def __init__(self, *executions: dict[str, Any]) -> None:
        self._executions = {execution["metadata"]["name"]: execution for execution in executions}
        self.log: list[dict[str, Any]] = []

    async def get(self, resource: Any, name: str, *, namespace: str) -> dict[str, Any]:
        if name not in self._executions:
            raise NotFound(404, "NotFound", f"{name} not found")
        return self._executions[name]

    async def replace(self, resource: Any, body: dict[str, Any], *, subresource: str) -> dict[str, Any]:
        assert subresource == "status"
        self.log.append(body)
        return body


def _execution(name: str, operation: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"planRef": "p", "operationType": operation, **spec}, "status": DONE}


def _services(kube: FakeKube) -> Services:
    snapshot = Snapshot(
        execution_name="undo",
        execution_namespace="ns",
        execution_uid="uid-undo",
        operation=Operation.REVERT,
        mode="rollback",
        plan_name="p",
        plan_spec=DRPlanSpec.model_validate({"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}}]}]}),
        workflows=cast(Any, {"ns/w": WORKFLOW}),
        stages=(StageRun(name="s", workflows=(WorkflowRun(namespace="ns", name="w"),)),),
        target=Target(name="run", uid="uid-run", status=DRPlanExecutionStatus.from_wire(DONE)),
    )

    async def load(uid: str) -> Snapshot | None:
        return snapshot if uid == "uid-undo" else None

    caches = SimpleNamespace(remember=lambda obj: None)

    async def records(uid: str) -> Records:
        return Records(None)

    return cast(
        Services,
        SimpleNamespace(
            kube=kube,
            executions=caches,
            snapshots=SimpleNamespace(load=load),
            records=SimpleNamespace(load=records),
            now=lambda: NOW,
        ),
    )


async def test_target_of_an_ended_revert_is_marked_before_its_lock_is_gone() -> None:
    kube = FakeKube(_execution("undo", "Revert", revertExecutionRef="run"), _execution("run", "Execute"))
    lock = CurrentExecution(name="undo", namespace="ns", uid="uid-undo")
    settled = await sound_lock(_services(kube), DRPlanStatus(current_execution=lock), PLAN)
    assert settled.current_execution is None
    assert settled.last_execution_ref == "undo"
    (written,) = kube.log
    assert written["metadata"]["name"] == "run"
    assert written["status"]["revertedBy"] == "undo"
    (action,) = written["status"]["stageStatuses"][0]["workflowExecutions"][0]["actionStatuses"]
    assert action["rolledBackBy"] == "undo"


async def test_ended_execute_marks_nothing() -> None:
    kube = FakeKube(_execution("run", "Execute"))
    lock = CurrentExecution(name="run", namespace="ns", uid="uid-run")
    settled = await sound_lock(_services(kube), DRPlanStatus(current_execution=lock), PLAN)
    assert settled.current_execution is None
    assert [record.phase for record in settled.execution_history] == [Phase.SUCCEEDED]
    assert kube.log == []


async def test_lock_of_a_vanished_execution_is_dropped() -> None:
    kube = FakeKube()
    lock = CurrentExecution(name="gone", namespace="ns", uid="uid-gone")
    settled = await sound_lock(_services(kube), DRPlanStatus(current_execution=lock), PLAN)
    assert settled.current_execution is None
    assert kube.log == []


async def test_a_lock_whose_holder_has_a_name_that_nothing_can_have_is_let_go() -> None:
    class Strict(FakeKube):
        async def get(self, resource: Any, name: str, *, namespace: str) -> dict[str, Any]:
            raise IllegalName(f"name of a {resource.kind} must have at most 253 bytes")

    status = DRPlanStatus(current_execution=CurrentExecution(name="x" * 300, namespace="ns"))
    settled = await sound_lock(_services(Strict()), status, PLAN)
    assert settled.current_execution is None
