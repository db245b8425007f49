"""The estimate of a status is never less than what shortening leaves of it (decision D6)."""

from __future__ import annotations

import json

import pytest

from app.engine.events import CancelRequested
from app.engine.fold import fold
from app.engine.outcome import Failed, Outcome, Succeeded
from app.engine.shrink import STATUS_LIMIT, shrink
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecutionStatus, HttpResponse, ResolvedParam
from app.models.phases import Phase
from app.models.workflow import DRWorkflow
from app.rules.estimate import MAX_STATUS_BYTES, WorkflowKey, estimate_status_bytes
from app.rules.plan import check_plan
from tests.unit.engine.runs import Player, definition_of, flow
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
