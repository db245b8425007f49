"""What a record says against a status, what a status without record claims, and what of it a Revert would touch."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.engine.definition import Address
from app.engine.record import as_recorded, claims_digest, differences, with_marks
from app.engine.shrink import minimal
from app.engine.summary import summarize
from app.engine.unrecorded import named_objects
from app.models.execution import DRPlanExecutionStatus
from app.models.record import OutcomeRecord, TakenBack

Json = dict[str, Any]
REF = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "c", "uid": "u"}
ACTION = {
    "name": "a",
    "type": "KubernetesResource",
    "phase": "Succeeded",
    "message": "done",
    "outputs": {"resourceRef": REF},
}
USE = {"workflowRef": {"name": "w", "namespace": "ns"}, "phase": "Succeeded", "actionStatuses": [ACTION]}
WIRE: Json = {
    "phase": "Succeeded",
    "message": "x" * 300,
    "journalSequence": 7,
    "startTime": "2026-01-01T00:00:00Z",
    "stageStatuses": [{"name": "s", "phase": "Succeeded", "workflowExecutions": [USE]}],
}


def status(wire: Json = WIRE) -> DRPlanExecutionStatus:
    return DRPlanExecutionStatus.from_wire(wire)


def changed(*path: str | int, to: object) -> DRPlanExecutionStatus:
    wire: Any = copy.deepcopy(WIRE)
    at = wire
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return status(wire)


ACTION_AT = ("stageStatuses", 0, "workflowExecutions", 0, "actionStatuses", 0)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (changed("phase", to="Failed"), 'status.phase is "Failed", recorded "Succeeded"'),
        (changed("journalSequence", to=-1), "status.journalSequence is -1, recorded 7"),
        (changed("stageStatuses", to=[]), "status.stageStatuses is absent, recorded"),
        (changed("stageStatuses", 0, "name", to="t"), 'status.stageStatuses[0].name is "t", recorded "s"'),
        (
            changed(*ACTION_AT, "outputs", "resourceRef", "namespace", to="own"),
            'outputs.resourceRef.namespace is "own"',
        ),
        (
            changed(*ACTION_AT, "outputs", "resourceRef", "uid", to=""),
            'outputs.resourceRef.uid is absent, recorded "u"',
        ),
        (changed(*ACTION_AT, "rolledBackBy", to="r"), 'rolledBackBy is "r", recorded absent'),
        (changed("revertedBy", to="r"), 'status.revertedBy is "r", recorded absent'),
        (DRPlanExecutionStatus(), "status.phase is absent"),
    ],
)
def test_every_member_that_differs_is_told_with_its_path(found: DRPlanExecutionStatus, told: str) -> None:
    [first, *_] = differences(found, status())
    assert told in first


def test_what_differs_in_many_places_is_told_in_bounds() -> None:
    many = {**WIRE, "stageStatuses": [{"name": f"s{n}", "phase": "Failed"} for n in range(50)]}
    other = {**WIRE, "stageStatuses": [{"name": f"t{n}", "phase": "Failed"} for n in range(50)]}
    texts = differences(status(many), status(other))
    assert len(texts) == 6
    assert texts[-1] == "and more"


def test_seal_notes_and_the_minimal_form_are_no_differences() -> None:
    recorded = summarize(status())
    assert differences(recorded.model_copy(update={"seal": "abc"}), recorded) == []
    assert differences(minimal(recorded), recorded) == []
    note = {
        "type": "StatusDiffers",
        "status": "True",
        "reason": "ChangedByOthers",
        "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    assert differences(status({**WIRE, "conditions": [note]}), status()) == []


def test_marks_of_reverts_come_from_their_records() -> None:
    half = TakenBack(revert_name="r1", revert_uid="1", actions=((0, 0, 0),))
    whole = TakenBack(revert_name="r2", revert_uid="2", whole=True, actions=())
    marked = as_recorded(status(), (whole, half))
    assert marked.reverted_by == "r2"
    assert marked.stage_statuses[0].workflow_executions[0].action_statuses[0].rolled_back_by == "r1"
    assert marked == with_marks(with_marks(status(), [Address(0, 0, 0)], "r1", whole=False), [], "r2", whole=True)


def test_a_record_is_read_as_it_was_written() -> None:
    record = OutcomeRecord(
        execution_name="e",
        execution_namespace="ns",
        execution_uid="u",
        operation="Execute",
        plan_name="p",
        snapshot_digest="d",
        status=status(),
    )
    assert OutcomeRecord.load(record.dump()) == record


def test_claims_are_bound_to_the_run_its_phase_and_all_that_it_lists() -> None:
    digest = claims_digest("u", status().to_wire())
    others = [
        claims_digest("v", status().to_wire()),
        claims_digest("u", changed("phase", to="Failed").to_wire()),
        claims_digest("u", changed(*ACTION_AT, "phase", to="Failed").to_wire()),
        claims_digest("u", changed(*ACTION_AT, "outputs", "resourceRef", "name", to="d").to_wire()),
    ]
    assert len({digest, *others}) == 5
    assert claims_digest("u", changed("revertedBy", to="r").to_wire()) == digest


def test_named_objects_go_by_the_type_of_the_action_not_by_the_kind_that_is_said() -> None:
    outputs = {
        "jobRef": {"kind": "Secret", "name": "j"},
        "globalizationRef": {"kind": "Pod", "namespace": "x", "name": "g"},
        "subscriptionRefs": [{"name": "one"}, {"name": "one"}],
        "resourceRefs": [REF],
    }
    found = named_objects(changed(*ACTION_AT, "outputs", to=outputs))
    assert [(each.kind, each.namespace, each.name, each.changed) for each in found] == [
        ("Job", "default", "j", False),
        ("Globalization", "", "g", True),
        ("Subscription", "default", "one", True),
        ("ConfigMap", "ns", "c", True),
    ]
    assert found[-1].is_within("ns")
    assert not found[0].is_within("ns")
    taken_back = changed(*ACTION_AT, "rolledBackBy", to="r")
    assert named_objects(taken_back) == []
