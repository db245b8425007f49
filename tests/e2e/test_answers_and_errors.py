"""What actions keep of answers and of errors, and what they may reach (decisions A3, A5, A6, D6)."""

from __future__ import annotations

from tests.e2e.support import action_of, create, header
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer


def test_long_answer_is_cut_at_a_character(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/long"
    drplan.site.script(path, Answer(body="x" + "é" * 100_000))
    create(
        drplan,
        workflow("w", [http_action("ask", drplan.site.url + path)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    body = action_of(drplan.wait_phase("e", "Succeeded"), "ask")["outputs"]["httpResponse"]["body"]
    assert body == "x" + "é" * 499
    assert len(body.encode()) == 999


def test_redirects(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"{root}/old", Answer(status=302, headers={"Location": f"{url}/new"}))
    create(
        drplan,
        workflow(
            "w",
            [
                http_action("follow", f"{url}/old", "GET"),
                http_action("stay", f"{url}/old", "GET", http={"followRedirects": False, "successCodes": [302]}),
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert action_of(status, "follow")["message"] == "HTTP GET succeeded with status 200"
    assert action_of(status, "stay")["message"] == "HTTP GET succeeded with status 302"
    assert drplan.site.count(f"{root}/") == {f"{root}/old": 2, f"{root}/new": 1}


def test_header_from_a_secret_of_the_workflows_namespace(drplan: Installation) -> None:
    """A plan may use a workflow of another namespace; the workflow's Secrets are those of its own namespace."""
    other = drplan.cluster.namespace("shared")
    path = f"/{drplan.namespace}/x"
    drplan.site.script(path, Answer(body="you sent Bearer t0ps3cret, right?"))
    drplan.cluster.kubectl("create", "secret", "generic", "token", "--from-literal=key=t0ps3cret", namespace=other)
    source = {"name": "Authorization", "prefix": "Bearer ", "secretKeyRef": {"name": "token", "key": "key"}}
    drplan.cluster.apply(
        workflow("w", [http_action("x", drplan.site.url + path, http={"headersFrom": [source]})]), namespace=other
    )
    create(
        drplan,
        plan("p", [stage("s", {"workflowRef": {"name": "w", "namespace": other}})]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert header(drplan.site.calls(path)[0], "Authorization") == "Bearer t0ps3cret"
    assert "t0ps3cret" not in str(status)
    assert status["stageStatuses"][0]["workflowExecutions"][0]["workflowRef"]["namespace"] == other


def test_objects_that_the_controller_may_not_or_cannot_make(drplan: Installation) -> None:
    ns = drplan.namespace
    manifests = {
        "forbidden": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: {ns}}}",
        "unknown": f"apiVersion: example.com/v1\nkind: Gadget\nmetadata: {{name: g, namespace: {ns}}}",
        "wrong": f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: Not_A_Name, namespace: {ns}}}",
        "nowhere": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: no-such-namespace}",
    }
    once = {"type": "KubernetesResource", "retryPolicy": {"limit": 0}}
    actions = [{"name": name, **once, "resource": {"manifest": text}} for name, text in manifests.items()]
    create(
        drplan,
        workflow("w", actions, failurePolicy="Continue"),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert set(phases_of(status).values()) == {"Failed"}
    told = {name: action_of(status, name)["message"] for name in manifests}
    assert (
        'cannot create resource "secrets"' in told["forbidden"] or 'cannot get resource "secrets"' in told["forbidden"]
    )
    assert "Gadget" in told["unknown"]
    assert 'Invalid value: "Not_A_Name"' in told["wrong"]
    assert told["nowhere"] == 'namespaces "no-such-namespace" not found'
    check_summary(status)

    lacking: list[str] = []

    def is_told() -> bool:
        conditions = {each["type"]: each for each in drplan.get("drp", "p")["status"]["conditions"]}
        lacking[:] = [each["message"] for each in conditions.values() if each["reason"] == "RightsLacking"]
        return bool(lacking) and conditions["Authorized"]["status"] == "False"

    drplan.wait(is_told, message="no condition tells that the controller may not make Secrets")
    asked = f"create secrets in namespace {ns} (needed by workflow {ns}/w, action forbidden)"
    back = f'delete secrets "s" in namespace {ns} (needed by workflow {ns}/w, action forbidden (when it is taken back))'
    assert asked in lacking[0]
    assert back in lacking[0]
    assert "configmaps" not in lacking[0]
    drplan.wait_unlocked("p")
    answer = drplan.cluster.kubectl("create", "-f", "-", stdin=execution("again", "p"), namespace=ns)
    assert f"Warning: plan p: The controller may not: {asked}" in answer.stderr


def test_object_that_exists_is_not_taken_over_and_an_absent_one_counts_as_deleted(drplan: Installation) -> None:
    ns = drplan.namespace
    drplan.kubectl("create", "configmap", "mine", "--from-literal=by=hand")
    create(
        drplan,
        workflow(
            "w",
            [
                config_map_action("taken", "mine", ns),
                config_map_action("drop", "absent", ns, operation="Delete"),
                config_map_action(
                    "patch", "absent", ns, operation="Patch", rollback={"http": {"url": "http://127.0.0.1:1"}}
                ),
            ],
            failurePolicy="Continue",
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert action_of(status, "taken")["message"] == 'configmaps "mine" already exists'
    assert action_of(status, "drop")["message"] == f"Resource ConfigMap {ns}/absent Delete successfully"
    assert action_of(status, "patch")["message"] == 'configmaps "absent" not found'
    reverted = drplan.take_back("r", "p", "e")
    assert drplan.get("cm", "mine")["data"] == {"by": "hand"}
    assert set(phases_of(reverted).values()) == {"Skipped"}
    assert reverted["stageStatuses"][0]["phase"] == "Succeeded"
