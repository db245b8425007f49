"""Which rights a plan needs, both ways: told from what its workflows say before anything is rendered."""

from typing import Any

import pytest

from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.rights import MOST_RIGHTS, rights_needed


def manifest(name: str = "c", kind: str = "ConfigMap", namespace: str = "") -> str:
    place = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\n"


def resource(operation: str, text: str = "", **more: Any) -> dict[str, Any]:
    block = {"operation": operation, "manifest": text or manifest()}
    return {"name": "a", "type": "KubernetesResource", "resource": block, **more}


def needed(*actions: dict[str, Any]) -> list[tuple[str, ...]]:
    workflow = DRWorkflow.from_wire({"metadata": {"name": "w", "namespace": "ns"}, "spec": {"actions": [*actions]}})
    plan = DRPlan.from_wire(
        {
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w"}}] * 2}]},
        }
    )
    return [tuple(each) for each in rights_needed(plan, {("ns", "w"): workflow})]


A = "workflow ns/w, action a"
BACK = f"{A} (when it is taken back)"
C = ("v1", "ConfigMap", "ns")


@pytest.mark.parametrize(
    ("action", "verbs"),
    [
        (resource("Create"), {"create": A, "get": A, "delete": BACK}),
        (resource("Apply"), {"get": A, "patch": A, "create": A, "delete": BACK}),
        (resource("Apply", waitReady=True), {"get": A, "patch": A, "create": A, "list": A, "watch": A, "delete": BACK}),
        (resource("Patch"), {"get": A, "patch": A}),
        (resource("Delete"), {"get": A, "delete": A}),
        (resource("Patch", rollbackPolicy="Restore"), {"get": A, "patch": A}),
        (resource("Delete", rollbackPolicy="Restore"), {"get": A, "delete": A, "create": BACK}),
        (resource("Create", rollbackPolicy="None"), {"create": A, "get": A}),
        (resource("Create", rollback={"http": {"url": "http://x/"}}), {"create": A, "get": A}),
    ],
)
def test_verbs_of_both_ways(action: dict[str, Any], verbs: dict[str, str]) -> None:
    found = {verb: where for verb, _, _, _, _, where in needed(action)}
    assert found == verbs
    names = {verb: name for verb, _, _, _, name, _ in needed(action)}
    assert all(name == ("" if verb in ("create", "list", "watch") else "c") for verb, name in names.items())
    assert all(each[1:4] == C for each in needed(action))


def test_a_custom_rollback_needs_what_it_does() -> None:
    rollback = {"type": "KubernetesResource", "resource": {"operation": "Delete", "manifest": manifest("d")}}
    found = needed(resource("Patch", rollback=rollback))
    assert ("delete", *C, "d", f"{A} (rollback)") in found
    assert not any("taken back" in each[-1] for each in found)


def test_what_is_known_only_by_the_run_is_left_out() -> None:
    assert needed(resource("Create", manifest(kind="$(params.kind)"))) == []
    assert needed(resource("Create", manifest(namespace="$(params.ns)"))) == []
    assert needed(resource("Create", "$(params.all)")) == []
    assert [each[0] for each in needed(resource("Apply", manifest("$(params.name)")))] == ["create"]
    assert {each[4] for each in needed(resource("Patch", manifest("$(planName)-x")))} == {"p-x"}
    assert needed({"name": "a", "type": "HTTP", "http": {"url": "http://x/", "headersFrom": []}}) == []
    assert needed(resource("Create", rollback={"resource": 5}))


def test_jobs_and_clusternets_kinds() -> None:
    job = {"name": "a", "type": "Job", "job": {"namespace": "jobs", "template": {"spec": {}}}}
    assert [each[:4] for each in needed(job)] == [
        (verb, "batch/v1", "Job", "jobs") for verb in ("create", "get", "list", "watch", "delete")
    ]
    replace = {"name": "a", "type": "Subscription", "subscription": {"operation": "Replace", "name": "s"}}
    found = needed(replace)
    assert [each[0] for each in found] == ["get", "delete", "create", "list", "watch", "patch"]
    assert {each[1:4] for each in found} == {("apps.clusternet.io/v1alpha1", "Subscription", "default")}


def test_each_right_is_told_once_and_there_is_a_bound() -> None:
    many = [{**resource("Apply", manifest(f"c{number}")), "name": f"a{number}"} for number in range(MOST_RIGHTS)]
    found = needed(*many)
    assert len(found) == MOST_RIGHTS
    assert len({each[:5] for each in found}) == MOST_RIGHTS
    assert len([each for each in found if each[0] == "create"]) == 1
