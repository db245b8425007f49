"""What an author misspells is refused, what the API server warns of is told, and plans share objects (decision A9)."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.support import action_of, create
from tests.support.installation import Installation, execution, plan, stage, workflow


def _action(name: str, operation: str, manifest: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": "KubernetesResource",
        "resource": {"operation": operation, "manifest": manifest},
        "rollback": {"type": "KubernetesResource", "resource": {"operation": "Delete", "manifest": manifest}},
        **more,
    }


def _deployment(name: str, **spec: str) -> str:
    members = "".join(f"  {key}: {value}\n" for key, value in spec.items())
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n{members}"
        "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
        "    spec: {containers: [{name: main, image: example.invalid/app}]}\n"
    )


def test_misspelt_fields(drplan: Installation) -> None:
    """Each action is a workflow of its own, so that one failure does not keep the others from running."""
    actions = [
        _action("create", "Create", _deployment("a", replica="3")),
        _action("apply", "Apply", _deployment("b", replica="3")),
        _action("warned", "Create", _deployment("c", replica="3"), fieldValidation="Warn"),
        _action("ignored", "Create", _deployment("d", replica="3"), fieldValidation="Ignore"),
        _action("patch", "Patch", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: c}\nspec: {replicaz: 2}\n"),
    ]
    create(
        drplan,
        *(workflow(action["name"], [action]) for action in actions),
        plan("p", [stage("s", *(action["name"] for action in actions), failurePolicy="Continue")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    told = {name: action_of(status, name) for name in ("create", "apply", "warned", "ignored", "patch")}
    assert {name: action["phase"] for name, action in told.items()} == {
        "create": "Failed",
        "apply": "Failed",
        "warned": "Succeeded",
        "ignored": "Succeeded",
        "patch": "Failed",
    }
    assert 'unknown field "spec.replica"' in told["create"]["message"]
    assert "replica: field not declared in schema" in told["apply"]["message"]
    assert 'unknown field "spec.replicaz"' in told["patch"]["message"]
    assert 'warning: unknown field "spec.replica"' in told["warned"]["message"]
    assert "warning" not in told["ignored"]["message"]
    assert {action["attempt"] for action in told.values()} == {1}, "what is refused for good is not tried again"
    events = drplan.wait(
        lambda: [text for text in _events(drplan) if 'the API server warns: unknown field "spec.replica"' in text], 15.0
    )
    assert len(events) == 1


def _events(drplan: Installation) -> list[str]:
    found = drplan.kubectl("get", "events.events.k8s.io", "-o", "json").json()
    return [item.get("note", "") for item in found["items"]]


def test_two_plans_apply_different_keys_of_one_object(drplan: Installation) -> None:
    def keys(**data: str) -> str:
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shared}}\ndata: {data}\n"

    create(
        drplan,
        workflow("one", [_action("write", "Apply", keys(one="1", both="1"))]),
        workflow("two", [_action("write", "Apply", keys(two="2"))]),
        plan("p1", [stage("s", "one")]),
        plan("p2", [stage("s", "two")]),
        execution("e1", "p1"),
    )
    drplan.wait_phase("e1", "Succeeded")
    create(drplan, execution("e2", "p2"))
    drplan.wait_phase("e2", "Succeeded")
    shared = drplan.get("cm", "shared")
    assert shared["data"] == {"one": "1", "both": "1", "two": "2"}
    managers = {entry["manager"] for entry in shared["metadata"]["managedFields"]}
    assert len([name for name in managers if name.startswith("drplan.p1.write.")]) == 1
    assert len([name for name in managers if name.startswith("drplan.p2.write.")]) == 1

    drplan.kubectl("patch", "drw", "one", "--type=json", "-p", _without_both(keys(one="3")))
    drplan.wait(lambda: drplan.plan_status("p1").get("observedGeneration") is not None)
    create(drplan, execution("e3", "p1"))
    drplan.wait_phase("e3", "Succeeded")
    assert drplan.get("cm", "shared")["data"] == {"one": "3", "two": "2"}, "its own field goes, that of the other stays"


def _without_both(manifest: str) -> str:
    return json.dumps([{"op": "replace", "path": "/spec/actions/0/resource/manifest", "value": manifest}])
