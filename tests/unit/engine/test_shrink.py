"""A status fits into an object, with as little left out as possible (decision D6)."""

from __future__ import annotations

import json

import pytest

from app.engine.events import CancelRequested
from app.engine.fold import fold, initial_status
from app.engine.outcome import Failed, Succeeded
from app.engine.shrink import STATUS_LIMIT, minimal, shrink
from app.engine.summary import summarize
from app.models.common import CoreReference
from app.models.execution import (
    ActionOutputs,
    ActionStatus,
    ClusterActionStatus,
    DRPlanExecutionStatus,
    HttpResponse,
    ResolvedParam,
)
from app.models.phases import Phase
from tests.unit.engine.runs import START, Player, actions, definition_of, flow, nodes, phases, stage

REF = CoreReference(api_version="v1", kind="ConfigMap", namespace="ns", name="x", uid="u-x")


def size(status: DRPlanExecutionStatus) -> int:
    return len(json.dumps(status.to_wire(), separators=(",", ":"), ensure_ascii=False).encode())


def with_each_action(status: DRPlanExecutionStatus, **update: object) -> DRPlanExecutionStatus:
    return status.model_copy(
        update={
            "stage_statuses": tuple(
                one.model_copy(
                    update={
                        "workflow_executions": tuple(
                            workflow.model_copy(
                                update={
                                    "resolved_params": (ResolvedParam(name="p", value="v"),),
                                    "action_statuses": tuple(
                                        action.model_copy(update=update) for action in workflow.action_statuses
                                    ),
                                }
                            )
                            for workflow in one.workflow_executions
                        )
                    }
                )
                for one in status.stage_statuses
            )
        }
    )


CLUSTER = ClusterActionStatus(cluster="ns/c", cluster_id="id", phase=Phase.SUCCEEDED, message="m" * 100)


def large(count: int, *, clusters: int = 0) -> DRPlanExecutionStatus:
    status = initial_status(definition_of(stage("one", flow(*(f"action-{n}" for n in range(count))))), START)
    return with_each_action(
        status,
        phase=Phase.FAILED,
        message="é" * 512,
        outputs=ActionOutputs(http_response=HttpResponse(status_code=500, body="é" * 500), resource_ref=REF),
        cluster_statuses=(CLUSTER,) * clusters,
    )


def first(status: DRPlanExecutionStatus) -> ActionStatus:
    return next(actions(status))[1]


def test_a_status_that_fits_is_left_as_it_is() -> None:
    status = large(100)
    assert shrink(status, size) is status


def test_a_thousand_actions_with_full_messages_and_bodies_fit() -> None:
    status = summarize(large(1000))
    assert size(status) > STATUS_LIMIT
    small = shrink(status, size)
    assert size(small) <= STATUS_LIMIT
    assert [(a.name, a.phase) for _, a in actions(small)] == [(a.name, a.phase) for _, a in actions(status)]
    assert small.summary == status.summary
    assert first(small).outputs == ActionOutputs(http_response=HttpResponse(status_code=500), resource_ref=REF)


@pytest.mark.parametrize(
    ("limit_in_actions", "body", "message", "clusters"),
    [
        (2000, 200, 1024, 2),
        (1700, 0, 1024, 2),
        (900, 0, 256, 2),
        (750, 0, 96, 2),
        (400, 0, 48, 0),
        (1, 0, 48, 0),
    ],
)
def test_bodies_go_first_then_messages_then_clusters(
    limit_in_actions: int, body: int, message: int, clusters: int
) -> None:
    small = first(shrink(large(20, clusters=2), size, limit=20 * limit_in_actions))
    assert small.outputs is not None
    assert small.outputs.http_response is not None
    found = len(small.outputs.http_response.body.encode()), len(small.message.encode()), len(small.cluster_statuses)
    assert found[2] == clusters
    assert body - 2 <= found[0] <= body
    assert message - 2 <= found[1] <= message
    assert small.outputs.http_response.status_code == 500


def test_what_a_revert_needs_always_stays() -> None:
    for small in (shrink(large(20), size, limit=1), minimal(large(20))):
        for _, action in actions(small):
            assert action.outputs is not None
            assert action.outputs.resource_ref == REF


def test_shrinking_what_is_small_already_changes_nothing_more() -> None:
    once = shrink(large(20, clusters=2), size, limit=1)
    assert shrink(once, size, limit=1) == once


@pytest.mark.parametrize("smaller", [lambda status: shrink(status, size, limit=1), minimal], ids=["shrunk", "minimal"])
def test_a_run_goes_on_from_a_shortened_status(smaller: object) -> None:
    """Why something was kept back is read from its message, so that the beginning of it must stay."""
    definition = definition_of(
        stage("one" * 20, flow("a" * 50, "b")), stage("two", flow("c"), depends_on=("one" * 20,))
    )
    player = Player(definition)
    player.end("a" * 50, Failed("x" * 900))
    assert player.phase() is Phase.FAILED
    short = smaller(player.status)  # type: ignore[operator]
    assert phases(short) == phases(player.status)
    assert all(n.message.startswith("Not started: ") for n in nodes(short) if n.phase is Phase.SKIPPED)


def test_a_minimal_status_keeps_what_a_run_goes_on_from() -> None:
    definition = definition_of(stage("one", flow("a", "b", "c")), at_once=2)
    player = Player(definition)
    player.end("a", Succeeded("done", ActionOutputs(http_response=HttpResponse(status_code=200, body="b" * 900))))
    status = minimal(player.status.model_copy(update={"journal_sequence": 3}))
    assert status.journal_sequence == 3
    assert phases(status) == {"a": "Succeeded", "b": "Running", "c": "Pending"}
    status = fold(definition, status, CancelRequested(player.now, "stop"))
    assert phases(status) == {"a": "Succeeded", "b": "Running", "c": "Skipped"}


def test_a_minimal_status_has_no_details() -> None:
    status = large(3, clusters=2).model_copy(update={"resolved_params": (ResolvedParam(name="p", value="v"),)})
    small = minimal(status)
    assert small.resolved_params == ()
    assert small.stage_statuses[0].workflow_executions[0].resolved_params == ()
    assert first(small).cluster_statuses == ()
    assert len(first(small).message.encode()) <= 48
