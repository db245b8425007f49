"""The estimate of a status is never less than what shortening leaves of it (decision D6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.engine.events import CancelRequested
from app.engine.fold import end_run, fold
from app.engine.outcome import Failed, Outcome, Succeeded
from app.engine.shrink import STATUS_LIMIT, shrink
from app.models.common import CoreReference, ObjectReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus, HttpResponse, ResolvedParam
from app.models.phases import Phase
from app.models.workflow import DRWorkflow
from app.rules.estimate import MAX_STATUS_BYTES, WorkflowKey, estimate_status_bytes
from app.rules.plan import check_plan
from tests.unit.engine.runs import START, Player, definition_of, flow
from tests.unit.engine.runs import stage as stage_of_run
from tests.unit.rules.builders import http, plan, resource, stage, workflow

LONG = "n" * 63
ANSWER = HttpResponse(status_code=503, body='"<é\n' * 200)
REFERENCE = CoreReference(
    api_version="apps.example.com/v1alpha1", kind="Statefulset", namespace=LONG, name=LONG, uid="u" * 36
)


def size(status: DRPlanExecutionStatus) -> int:
    return len(json.dumps(status.to_wire(), separators=(",", ":"), ensure_ascii=False).encode())


def status_of(stages: int, names: list[str], outcome: Outcome | None) -> DRPlanExecutionStatus:
    """A run in which each action ended with `outcome`; cancelled before its first action ended when there is none."""
    player = Player(definition_of(*(stage_of_run(f"s{n}", flow(*names)) for n in range(stages)), at_once=1))
    if outcome is None:
        player.status = fold(player.definition, player.status, CancelRequested(player.now, "m" * 900))
    status = player.status
    return status.model_copy(
        update={
            "resolved_params": tuple(ResolvedParam(name=f"p{n}", value="v" * 200) for n in range(50)),
            "stage_statuses": tuple(
                each.model_copy(
                    update={
                        "workflow_executions": tuple(
                            use.model_copy(
                                update={
                                    "action_statuses": tuple(
                                        action.model_copy(update=ended(outcome, player))
                                        for action in use.action_statuses
                                    )
                                }
                            )
                            for use in each.workflow_executions
                        )
                    }
                )
                for each in status.stage_statuses
            ),
        }
    )


def ended(outcome: Outcome | None, player: Player) -> dict[str, object]:
    if not isinstance(outcome, Succeeded | Failed):
        return {}
    return {
        "phase": Phase.FAILED if isinstance(outcome, Failed) else Phase.SUCCEEDED,
        "start_time": player.now,
        "completion_time": player.now,
        "failure_time": player.now if isinstance(outcome, Failed) else None,
        "reason": "RetriesExhausted" if isinstance(outcome, Failed) else "",
        "last_failure": "" if isinstance(outcome, Failed) else "m" * 512,
        "rolled_back_by": "r" * 253,
        "duration": "123h59m59.999s",
        "attempt": 10,
        "retry_count": 9,
        "message": outcome.message,
        "outputs": outcome.outputs,
    }


ENDS = {
    "answered": (Succeeded("m" * 1024, ActionOutputs(http_response=ANSWER)), http),
    "made an object": (Succeeded("é" * 512, ActionOutputs(resource_ref=REFERENCE)), None),
    "failed": (Failed("m" * 1024), http),
    "cancelled": (None, http),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("stages", "count"), [(1, 1), (1, 100), (20, 5), (100, 1)])
def test_shortening_leaves_no_more_than_the_estimate(end: str, stages: int, count: int) -> None:
    outcome, builder = ENDS[end]
    names = [f"action-{n}" for n in range(count)]
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    used = workflow(*(builder(name) if builder else resource(manifest, name=name) for name in names))
    run = status_of(stages, names, outcome)
    known: dict[WorkflowKey, DRWorkflow | None] = {}
    described = []
    for each in run.stage_statuses:
        references = [use.workflow_ref for use in each.workflow_executions]
        known |= {(ref.namespace, ref.name): used for ref in references}
        uses = [{"workflowRef": {"name": ref.name, "namespace": ref.namespace}} for ref in references]
        described.append(stage(each.name, *uses))
    estimate = estimate_status_bytes(plan(*described), known)
    assert size(shrink(run, size, limit=1)) <= estimate


def test_a_thousand_http_actions_with_full_answers_are_admitted_and_fit() -> None:
    names = [f"action-{n}" for n in range(1000)]
    used = workflow(*(http(name) for name in names))
    assert check_plan(plan(), {("default", "w"): used}).ok
    assert estimate_status_bytes(plan(), {("default", "w"): used}) <= MAX_STATUS_BYTES
    run = status_of(1, names, Failed("m" * 1024, ActionOutputs(http_response=ANSWER)))
    assert size(run) > STATUS_LIMIT
    assert size(shrink(run, size)) <= STATUS_LIMIT


def long_named(kind: str) -> tuple[dict[str, Any], ActionOutputs]:
    """An action on an object whose names are as long as the API server takes them, and what it records."""
    name, namespace = ".".join(["n" * 63] * 4)[:253], "s" * 63
    group = ".".join(["g" * 63] * 4)[:253]
    made = CoreReference(api_version=f"{group}/v1", kind="K" * 63, namespace=namespace, name=name, uid="u" * 36)
    document = f"apiVersion: {group}/v1\nkind: {made.kind}\nmetadata:\n  name: {name}\n"
    if kind == "several documents":
        outputs = ActionOutputs(resource_ref=made, resource_refs=(made,) * 3)
        return resource("\n---\n".join([document] * 3), name="x" * 512), outputs
    if kind == "placeholders":
        short = made.model_copy(update={"api_version": "apps/v1", "kind": "Deployment"})
        manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: $(params.x), namespace: $(params.y)}\n"
        return resource(manifest, name="x" * 512), ActionOutputs(resource_ref=short)
    if kind == "Subscription":
        block = {"operation": "Delete", "name": name, "namespace": namespace}
        action = {"name": "x" * 512, "type": "Subscription", "subscription": block}
        update = {"api_version": "apps.clusternet.io/v1alpha1", "kind": "Subscription"}
        return action, ActionOutputs(subscription_ref=made.model_copy(update=update))
    return resource(document, name="x" * 512), ActionOutputs(resource_ref=made)


@pytest.mark.parametrize("kind", ["one document", "several documents", "placeholders", "Subscription"])
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.RUNNING])
def test_names_as_long_as_kubernetes_has_them_are_counted(kind: str, phase: Phase) -> None:
    action, outputs = long_named(kind)
    names = [f"{number:03}" + action["name"][3:] for number in range(40)]
    used = workflow(*({**action, "name": name} for name in names))
    run = status_of(1, names, Failed("é" * 512, outputs) if phase is Phase.FAILED else Succeeded("m", outputs))
    [node] = run.stage_statuses
    [use] = node.workflow_executions
    reference = ObjectReference(name="w" * 253, namespace="s" * 63)
    use = use.model_copy(update={"workflow_ref": reference, "current_action": names[0], "message": "é" * 512})
    node = node.model_copy(update={"name": "t" * 253, "workflow_executions": (use,), "message": "é" * 512})
    run = run.model_copy(update={"stage_statuses": (node,)})
    if phase is Phase.FAILED:
        run = end_run(run, phase, f"Stage {node.name} failed: " + "é" * 512, START)
    planned = plan(stage(node.name, {"workflowRef": {"name": reference.name, "namespace": reference.namespace}}))
    estimate = estimate_status_bytes(planned, {("s" * 63, "w" * 253): used})
    assert size(shrink(run, size, limit=1)) <= estimate


def test_what_a_revert_marks_never_makes_a_full_status_too_large() -> None:
    """Its name may be as long as 253 characters, and stands with every action that it took back."""
    names = [f"action-{n}" for n in range(1900)]
    run = status_of(1, names, Succeeded("m", ActionOutputs(http_response=ANSWER)))
    assert size(shrink(run, size)) <= STATUS_LIMIT
