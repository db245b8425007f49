"""Statuses and definitions as the Go operator takes them (decision D1)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from app.engine.earlier import differences, earlier_status
from app.engine.earlier_notes import earlier_notes
from tests.support.cluster import CRDS
from tests.support.schemas import sample
from tests.upgrade.go_operator import GROUP, PLURALS, STATUSES


def _everything(kind: str) -> dict[str, Any]:
    """A status of ours with every member that it can have, each phase the last of its enum."""
    crd = yaml.safe_load((CRDS / f"{GROUP}_{PLURALS[kind]}.yaml").read_text())
    made = sample(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"])
    assert isinstance(made, dict)
    return made


def _unknown(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """What a schema does not have: members, values of enums, missing required members."""
    if isinstance(value, dict) and "properties" in schema:
        missing = [f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        inner = [
            found
            for name, item in value.items()
            for found in (
                _unknown(item, schema["properties"][name], f"{path}.{name}")
                if name in schema["properties"]
                else [f"{path}.{name}"]
            )
        ]
        return missing + inner
    if isinstance(value, list):
        return [found for item in value for found in _unknown(item, schema["items"], f"{path}[]")]
    return [f"{path}={value}"] if "enum" in schema and value not in schema["enum"] else []


@pytest.mark.parametrize("kind", PLURALS)
def test_nothing_unknown_is_left_of_a_status_with_every_member(kind: str) -> None:
    everything = _everything(kind)
    assert _unknown(everything, STATUSES[kind]) != []
    assert _unknown(earlier_status(kind, everything), STATUSES[kind]) == []


@pytest.mark.parametrize("kind", PLURALS)
def test_what_the_go_operator_knows_is_kept(kind: str) -> None:
    known = sample(STATUSES[kind])
    assert earlier_status(kind, known) == known


def test_a_second_time_changes_nothing() -> None:
    once = earlier_status("DRPlanExecution", _everything("DRPlanExecution"))
    assert earlier_status("DRPlanExecution", once) == once


def test_cancelled_is_spelled_with_one_l_at_every_level() -> None:
    action = {"name": "a", "phase": "Cancelled", "clusterStatuses": [{"cluster": "n/c", "phase": "Cancelled"}]}
    run = {"workflowRef": {"name": "w"}, "phase": "Cancelled", "actionStatuses": [action]}
    status = {"phase": "Cancelled", "stageStatuses": [{"name": "s", "phase": "Cancelled", "workflowExecutions": [run]}]}
    changed = earlier_status("DRPlanExecution", status)
    assert list(differences(status, changed)) == [
        "phase Cancelled to Canceled",
        "stageStatuses[].phase Cancelled to Canceled",
        "stageStatuses[].workflowExecutions[].phase Cancelled to Canceled",
        "stageStatuses[].workflowExecutions[].actionStatuses[].phase Cancelled to Canceled",
        "stageStatuses[].workflowExecutions[].actionStatuses[].clusterStatuses[].phase Cancelled to Failed",
    ]


def test_removed_members_are_named() -> None:
    status = {"phase": "Succeeded", "progress": "1/1", "summary": {"totalStages": 1, "totalActions": 2}}
    assert list(differences(status, earlier_status("DRPlanExecution", status))) == [
        "progress removed",
        "summary.totalActions removed",
    ]


def _notes_of_action(**action: Any) -> list[str]:
    return list(earlier_notes("DRWorkflow", {"actions": [{"name": "a", **action}]}))


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ({"type": "HTTP", "http": {"url": "u", "caBundle": "x"}}, "spec.actions[0].http.caBundle"),
        ({"type": "HTTP", "http": {"url": "u", "followRedirects": True}}, "spec.actions[0].http.followRedirects"),
        ({"type": "HTTP", "http": {"url": "$(outputs.b.body)"}}, "spec.actions[0]"),
        ({"type": "HTTP", "http": {"url": "$$(mode)"}}, "spec.actions[0]"),
        ({"type": "HTTP", "retryPolicy": {"limit": 0}}, "spec.actions[0].retryPolicy.limit"),
        ({"type": "HTTP", "when": "params.x == 'y'"}, "spec.actions[0].when"),
        ({"type": "HTTP", "rollback": {"type": "Job", "job": {}}}, "spec.actions[0].rollback.type"),
        ({"type": "HTTP", "rollback": {"http": {"headersFrom": []}}}, "spec.actions[0].rollback.http.headersFrom"),
        ({"type": "KubernetesResource", "waitReady": True}, "spec.actions[0].waitReady"),
        (
            {"type": "KubernetesResource", "resource": {"manifest": "a: 1\n---\nb: 2\n"}},
            "spec.actions[0].resource.manifest",
        ),
    ],
)
def test_what_runs_otherwise_is_named_by_its_path(action: dict[str, Any], path: str) -> None:
    [note] = _notes_of_action(**action)
    assert note.partition(": ")[0] == path


@pytest.mark.parametrize(
    "action",
    [
        {"rollback": {"retryPolicy": "3"}},
        {"rollback": {"http": 5}},
        {"rollback": {"resource": ["a: 1"]}},
        {"rollback": "undo"},
        {"type": {"a": 1}, "http": "http://site.invalid", "retryPolicy": 3, "resource": 1},
    ],
)
def test_malformed_actions_stop_no_look_at_the_rest(action: dict[str, Any]) -> None:
    fine = {"name": "b", "type": "HTTP", "retryPolicy": {"limit": 0}}
    [note] = earlier_notes("DRWorkflow", {"actions": [{"name": "a", "type": "HTTP", **action}, "c", fine]})
    assert note.startswith("spec.actions[2].retryPolicy.limit: ")


def test_malformed_condition_is_refused_there() -> None:
    [note] = _notes_of_action(type="HTTP", when=5)
    assert note.startswith("spec.actions[0].when: refused")


@pytest.mark.parametrize(
    ("kind", "spec"), [("DRWorkflow", {"actions": 5}), ("DRWorkflow", {}), ("DRPlan", {"maxParallelStages": "2"})]
)
def test_malformed_definitions_have_no_notes(kind: str, spec: dict[str, Any]) -> None:
    assert list(earlier_notes(kind, spec)) == []


def test_what_the_go_operator_does_as_we_do_is_not_named() -> None:
    http = {"url": "http://$(params.host)/", "body": "$(date +%s)"}
    assert _notes_of_action(type="HTTP", http=http, when='mode == "install" || mode == "upgrade"') == []
    manifest = {"manifest": "---\na: 1\n"}
    assert _notes_of_action(type="KubernetesResource", resource=manifest, rollback={"resource": manifest}) == []
    assert list(earlier_notes("DRPlan", {"maxParallelStages": 1})) == []
