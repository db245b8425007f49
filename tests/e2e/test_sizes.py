"""Runs whose statuses grow, and statuses that others fill: nothing is lost or exceeds its bounds (decision D6)."""

from __future__ import annotations

import json

from tests.e2e.support import action_of, config_map, create, names
from tests.support.installation import (
    Installation,
    actions_of,
    check_summary,
    execution,
    http_action,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer

MESSAGE_LIMIT = 1024


def test_long_messages_are_cut_at_a_character(drplan: Installation) -> None:
    ns = drplan.namespace
    labels = f"{{a: {'ü' * 3000}}}"
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: {ns}, labels: {labels}}}"
    create(
        drplan,
        workflow("w", [{"name": "long", "type": "KubernetesResource", "resource": {"manifest": manifest}}]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    message = action_of(status, "long")["message"]
    assert MESSAGE_LIMIT - 4 <= len(message.encode()) <= MESSAGE_LIMIT
    assert message.endswith(("ü…", "ü...")), "and one sees that it was cut"
    assert len(status["message"].encode()) <= MESSAGE_LIMIT


def test_large_parameter_is_used_whole_and_shown_short(drplan: Installation) -> None:
    ns, large = drplan.namespace, "x" * 300_000
    source = {"apiVersion": "v1", "kind": "ConfigMap", "name": "large", "namespace": ns, "jsonPath": "{.data.v}"}
    uses = [{"workflowRef": {"name": "w"}, "params": [{"name": "n", "value": str(number)}]} for number in range(5)]
    create(
        drplan,
        config_map("large", {"v": large}),
        workflow("w", [http_action("x", f"{drplan.site.url}/{ns}/x", http={"body": "$(params.n)$(params.large)"})]),
        plan("p", [stage("s", *uses)], globalParams=[{"name": "large", "valueFrom": {"manifestRef": source}}]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert [len(call.body) for call in drplan.site.calls(f"/{ns}/x")] == [1 + len(large)] * 5
    [shown] = [param for param in status["resolvedParams"] if param["name"] == "large"]
    assert len(shown["value"].encode()) <= MESSAGE_LIMIT
    assert len(json.dumps(status)) < 50_000


def test_many_long_answers_fit_into_one_status(drplan: Installation) -> None:
    """A control character takes six bytes in JSON, so these answers are more than a status holds: they are cut."""
    ns, count = drplan.namespace, 220
    drplan.site.script(f"/{ns}/x", Answer(body="\x01" * 1000))
    members = [f"w{number}" for number in range(11)]
    create(
        drplan,
        *(
            workflow(
                name, [http_action(f"{name}-{number}", f"{drplan.site.url}/{ns}/x") for number in range(count // 11)]
            )
            for name in members
        ),
        plan("p", [stage("s", *members, parallel=True)]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert len(json.dumps(status, separators=(",", ":"))) <= 1024 * 1024
    assert len(actions_of(status)) == count
    assert {action["phase"] for action in actions_of(status)} == {"Succeeded"}
    assert {action["outputs"]["httpResponse"]["statusCode"] for action in actions_of(status)} == {200}
    assert len(drplan.site.calls(f"/{ns}/x")) == count
    assert names(actions_of(status))[:2] == ["w0-0", "w0-1"]
    check_summary(status)
