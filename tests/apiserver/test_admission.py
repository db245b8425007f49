"""The admission service as a process of its own, called by a real API server, used through kubectl.

Executions are put into phases by writing their status, because no controller runs here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster import WebhookProcess, register_webhooks, start_webhook, unregister_webhooks
from tests.support.cluster import Cluster, Kubectl
from tests.unit.rules.builders import execution_json, http, plan_json, resource, stage, workflow_json

Json = dict[str, Any]


@pytest.fixture(scope="module")
def webhook(cluster: Cluster) -> Iterator[WebhookProcess]:
    service = start_webhook(cluster.plane, name="webhook-admission")
    try:
        register_webhooks(cluster.plane, service)
        yield service
    finally:
        unregister_webhooks(cluster.plane)
        service.stop()


@pytest.fixture
def site(webhook: WebhookProcess, cluster: Cluster, namespace: str) -> Site:
    return Site(cluster, namespace)


class Site:
    """One namespace with the webhooks on."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def put(self, obj: Json, *, verb: str = "create", flags: tuple[str, ...] = (), check: bool = True) -> Kubectl:
        moved = {**obj, "metadata": {**obj["metadata"], "namespace": self.namespace}}
        moved["metadata"].pop("uid", None)
        moved["metadata"].pop("generation", None)
        status = moved.pop("status", None)
        answer = self.cluster.kubectl(verb, *flags, "-f", "-", stdin=moved, namespace=self.namespace, check=check)
        if status is not None:
            self.set_status(obj["kind"].lower(), obj["metadata"]["name"], status)
        return answer

    def refused(self, obj: Json, *, verb: str = "create") -> str:
        answer = self.put(obj, verb=verb, check=False)
        assert answer.rc != 0, answer.text
        return answer.text

    def set_status(self, kind: str, name: str, status: Json) -> None:
        patch = json.dumps({"status": status})
        self.run("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)

    def run(self, *arguments: str, check: bool = True) -> Kubectl:
        return self.cluster.kubectl(*arguments, namespace=self.namespace, check=check)

    def get(self, kind: str, name: str) -> Json:
        return dict(self.run("get", kind, name, "-o", "json").json())

    def story(self) -> None:
        """A workflow and a plan that uses it."""
        self.put(workflow_json(http(), name="nginx-workflow"))
        self.put(plan_json(stage("s", "nginx-workflow"), name="nginx-plan"))


def run_of(name: str, phase: str | None = None, **spec: Any) -> Json:
    status = {"phase": phase} if phase else None
    return execution_json(name, status=status, planRef="nginx-plan", **spec)


def test_d1_a_workflow_in_use_cannot_be_deleted(site: Site) -> None:
    site.story()
    answer = site.run("delete", "drworkflow", "nginx-workflow", check=False)
    assert answer.rc == 1
    assert (
        'Error from server (Forbidden): admission webhook "vdrworkflow.kb.io" denied the request: cannot delete '
        f"DRWorkflow {site.namespace}/nginx-workflow: referenced by DRPlan(s): [{site.namespace}/nginx-plan]"
    ) in answer.stderr
    assert "Warning: Workflow is referenced by 1 plan(s)" in answer.stderr
    assert site.get("drworkflow", "nginx-workflow")["metadata"].get("deletionTimestamp") is None


def test_d1_plans_of_other_namespaces_protect_too(site: Site) -> None:
    site.story()
    site.run("delete", "drplan", "nginx-plan")
    elsewhere = Site(site.cluster, site.cluster.namespace())
    reference = {"workflowRef": {"name": "nginx-workflow", "namespace": site.namespace}}
    elsewhere.put(plan_json(stage("s", reference), name="far"))
    answer = site.run("delete", "drworkflow", "nginx-workflow", check=False)
    assert f"referenced by DRPlan(s): [{elsewhere.namespace}/far]" in answer.stderr
    elsewhere.run("delete", "drplan", "far")
    site.run("delete", "drworkflow", "nginx-workflow")


def test_d2_a_plan_whose_lock_is_held_cannot_be_deleted(site: Site) -> None:
    site.story()
    site.put(run_of("run-1", "Running"))
    lock = {"name": "run-1", "namespace": site.namespace, "uid": site.get("drpe", "run-1")["metadata"]["uid"]}
    site.set_status("drplan", "nginx-plan", {"currentExecution": lock})
    answer = site.run("delete", "drplan", "nginx-plan", check=False)
    assert (
        'admission webhook "vdrplan.kb.io" denied the request: cannot delete plan with running execution: '
        f"{site.namespace}/run-1"
    ) in answer.stderr
    assert "Warning: Plan has a running execution" in answer.stderr


def test_d2_a_plan_with_an_unfinished_execution_cannot_be_deleted_before_the_lock_is_set(site: Site) -> None:
    site.story()
    site.put(run_of("run-1"))
    answer = site.run("delete", "drplan", "nginx-plan", check=False)
    assert (
        f"cannot delete DRPlan {site.namespace}/nginx-plan: has running executions: [{site.namespace}/run-1 (phase=)]"
    ) in answer.stderr
    assert "Warning: Plan has 1 running execution(s)" in answer.stderr


def test_d2_stale_locks_do_not_count(site: Site) -> None:
    site.story()
    site.put(run_of("run-1", "Succeeded"))
    site.set_status("drplan", "nginx-plan", {"currentExecution": {"name": "run-1", "namespace": site.namespace}})
    site.put(run_of("run-2", "Failed"))
    site.run("delete", "drpe", "run-1", "--wait=false")
    site.run("delete", "drplan", "nginx-plan")


def test_d3_after_the_run_the_plan_and_after_the_plan_the_workflow_can_be_deleted(site: Site) -> None:
    site.story()
    site.put(run_of("run-1", "Running"))
    assert site.run("delete", "drplan", "nginx-plan", check=False).rc == 1
    site.set_status("drpe", "run-1", {"phase": "Succeeded"})
    site.run("delete", "drplan", "nginx-plan")
    site.run("delete", "drworkflow", "nginx-workflow")


@pytest.mark.parametrize("phase", [None, "Pending", "Running", "Unknown"])
def test_d4_a_second_execution_is_refused_naming_the_one_that_runs(site: Site, phase: str | None) -> None:
    site.story()
    site.put(run_of("run-1", phase))
    assert (
        'admission webhook "vdrplanexecution.kb.io" denied the request: validation failed: '
        f"[plan nginx-plan already has a running execution: {site.namespace}/run-1]"
    ) in site.refused(run_of("run-2"))
    site.set_status("drpe", "run-1", {"phase": "Cancelled"})
    site.put(run_of("run-2"))


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Cancelled", "Canceled"])
def test_d5_an_ended_execute_can_be_reverted(site: Site, phase: str) -> None:
    site.story()
    site.put(run_of("run-1", phase))
    site.put(run_of("back", operationType="Revert", revertExecutionRef="run-1"))


def test_d5_what_cannot_be_reverted(site: Site) -> None:
    site.story()
    site.put(plan_json(stage("s", "nginx-workflow"), name="other"))

    def refused(target: str | None) -> str:
        reference = {"revertExecutionRef": target} if target else {}
        return site.refused(run_of("back", operationType="Revert", **reference))

    assert "[revertExecutionRef is required for Revert operation]" in refused(None)
    assert '[referenced execution x not found: drplanexecutions.dr.bkbcs.tencent.com "x" not found]' in refused("x")
    site.put({**run_of("foreign", "Succeeded"), "spec": {"planRef": "other", "operationType": "Execute"}})
    assert ("[referenced execution foreign must belong to the same plan (expected nginx-plan, got other)]") in refused(
        "foreign"
    )
    site.put(run_of("run-1", "Succeeded"))
    site.put(run_of("undo", "Succeeded", operationType="Revert", revertExecutionRef="run-1"))
    assert "[referenced execution undo must be an Execute operation, got Revert]" in refused("undo")
    site.set_status("drpe", "run-1", {"revertedBy": "undo"})
    assert f"[execution {site.namespace}/run-1 was already reverted by undo]" in refused("run-1")
    site.put(run_of("run-2", "Running"))
    assert (
        "referenced execution run-2 must be in a terminal phase (Succeeded, Failed or Cancelled), got Running"
    ) in refused("run-2")


def test_an_execution_needs_a_plan_that_is_not_invalid(site: Site) -> None:
    site.story()
    assert ('[plan gone not found: drplans.dr.bkbcs.tencent.com "gone" not found]') in site.refused(
        execution_json("e", planRef="gone")
    )
    generation = site.get("drplan", "nginx-plan")["metadata"]["generation"]
    site.set_status("drplan", "nginx-plan", {"phase": "Invalid", "observedGeneration": generation})
    assert "[plan nginx-plan is not ready (phase=Invalid)]" in site.refused(run_of("e"))
    site.set_status("drplan", "nginx-plan", {"phase": "Invalid", "observedGeneration": generation - 1})
    site.put(run_of("e"))


def test_workflow_plan_and_execution_can_be_applied_together(site: Site) -> None:
    objects = [workflow_json(), plan_json(), execution_json()]
    for obj in objects:
        obj["metadata"] = {"name": obj["metadata"]["name"]}
    answer = site.cluster.apply(objects, namespace=site.namespace)
    assert answer.stdout.count("created") == 3
    assert "is not ready" not in answer.text


def test_the_spec_of_an_execution_cannot_be_changed_but_its_metadata_can(site: Site) -> None:
    site.story()
    site.put(run_of("e"))
    patch = json.dumps({"spec": {"mode": "Install"}})
    answer = site.run("patch", "drpe", "e", "--type=merge", "-p", patch, check=False)
    assert "denied the request: cannot modify spec after creation" in answer.stderr
    site.run("label", "drpe", "e", "a=b")
    site.run("annotate", "drpe", "e", "dr.bkbcs.tencent.com/cancel=true")


def test_deleting_a_running_execution_is_allowed_with_a_warning(site: Site) -> None:
    site.story()
    site.put(run_of("e", "Running"))
    answer = site.run("delete", "drpe", "e")
    assert "Warning: Deleting a running execution may leave resources in inconsistent state" in answer.stderr


def test_a_plan_whose_workflow_is_gone_can_be_labelled_and_deleted(site: Site, webhook: WebhookProcess) -> None:
    site.story()
    unregister_webhooks(site.cluster.plane)
    try:
        site.run("delete", "drworkflow", "nginx-workflow")
    finally:
        register_webhooks(site.cluster.plane, webhook)
    site.run("label", "drplan", "nginx-plan", "a=b")
    patch = json.dumps({"spec": {"description": "still editable"}})
    answer = site.run("patch", "drplan", "nginx-plan", "--type=merge", "-p", patch)
    assert f"Warning: stage[0] 's' workflow[0]: workflow {site.namespace}/nginx-workflow not found" in answer.stderr
    site.run("delete", "drplan", "nginx-plan")


def test_defaults_appear_and_payloads_stay_as_written(site: Site) -> None:
    localization = {"name": "l", "namespace": "ns1", "spec": {"feed": {"apiVersion": "v1", "kind": "A", "name": "b"}}}
    site.put(workflow_json(http(), {"name": "l", "type": "Localization", "localization": localization}))
    site.put(plan_json(stage("s", parallel=True)))
    first, second = site.get("drw", "w")["spec"]["actions"]
    assert first["timeout"] == "5m"
    assert first["retryPolicy"] == {"limit": 3, "interval": "5s", "backoffMultiplier": "2.0"}
    assert first["http"]["method"] == "GET"
    assert second["localization"] == {**localization, "operation": "Create"}
    plan = site.get("drp", "p")["spec"]
    assert plan["failurePolicy"] == "Stop"
    assert "failurePolicy" not in plan["stages"][0]
    assert plan["stages"][0]["workflows"][0]["workflowRef"] == {"name": "w", "namespace": site.namespace}
    before = site.get("drw", "w")["metadata"]["generation"]
    site.run("label", "drw", "w", "a=b")
    assert site.get("drw", "w")["metadata"]["generation"] == before


def test_all_problems_come_at_once_with_causes(site: Site) -> None:
    bad = workflow_json(
        http(http={"url": ""}), http(dependsOn=["nope"], when="sometimes"), resource("kind: X", name="m")
    )
    bad["metadata"] = {"name": "bad", "namespace": site.namespace}
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{site.namespace}/drworkflows"
    code, body = site.cluster.api.raw("POST", path, bad)
    status = json.loads(body)
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["message"].startswith(
        'admission webhook "vdrworkflow.kb.io" denied the request: validation failed: ['
    )
    assert [cause["field"] for cause in status["details"]["causes"]] == [
        "spec.actions[0].http.url",
        "spec.actions[1].name",
        "spec.actions[1].when",
        "spec.actions[2].resource.manifest",
        "spec.actions[1].dependsOn[0]",
    ]
    for cause in status["details"]["causes"]:
        assert cause["message"] in status["message"]


def test_conditions_are_checked_and_say_where_they_are_wrong(site: Site) -> None:
    prefix = "action[1] 'b': "
    expected = {
        'params.n == 3 && mode == "install"': "column 10: == cannot be applied to string, int",
        'mod != "install"': 'column 1: "mod" is not known, did you mean mode?',
        'mode != "Install"': 'the mode is never "Install", it is one of install, upgrade, delete, rollback',
        'outputs.aa.body == ""': "outputs.aa in when can never be there: the workflow has no action 'aa'",
        "mode == install || mode == nope": 'unsupported mode value "nope" in when',
    }
    for when, said in expected.items():
        text = site.refused(workflow_json(http(), http("b", when=when), name="bad"))
        assert prefix in text.replace("\\", "")
        assert said in text.replace("\\", "")
    good = 'has(params.zone) && outputs.a.body.contains("x") || mode in ["upgrade", "delete"]'
    site.put(workflow_json(http(), http("b", when=good), name="good"))


def test_an_execution_needs_the_parameters_of_conditions(site: Site) -> None:
    site.put(workflow_json(http(), http("b", when='params.zone == "x"'), name="w"))
    warning = site.put(plan_json(name="p")).stderr
    assert "uses params.zone in its when, which has no value; every execution must give one" in warning
    text = site.refused(execution_json("e", planRef="p"))
    assert "uses params.zone in its when, which has no value; give one in spec.params" in text
    site.put(execution_json("e", planRef="p", params=[{"name": "zone", "value": "x"}]))


def test_dry_run_tells_the_same_and_stores_nothing(site: Site) -> None:
    site.story()
    site.put(run_of("probe"), verb="create", flags=("--dry-run=server",))
    assert site.run("get", "drpe", "probe", check=False).rc == 1
    assert "not found" in site.put(execution_json("x", planRef="gone"), flags=("--dry-run=server",), check=False).stderr
    answer = site.run("delete", "drworkflow", "nginx-workflow", "--dry-run=server", check=False)
    assert "referenced by DRPlan(s)" in answer.stderr


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        ({"actions": []}, "spec.actions"),
        ({"actions": "x"}, "spec.actions"),
        ({"actions": [{"name": "a", "type": "SSH"}]}, "SSH"),
        ({"actions": [http(timeout=5)]}, "spec.actions[0].timeout"),
        (
            {"actions": [http(rollback={"timeout": 5, "http": {"url": "http://x"}})]},
            "rollback: timeout must be text, found 5",
        ),
        ({"actions": [http(rollback={"http": {"url": ["x"]}})]}, "rollback: http.url must be text, found a list"),
    ],
)
def test_malformed_objects_are_refused_with_the_field(site: Site, spoil: Json, expected: str) -> None:
    obj = {**workflow_json(), "spec": spoil}
    obj["metadata"] = {"name": "bad", "namespace": site.namespace}
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{site.namespace}/drworkflows"
    code, body = site.cluster.api.raw("POST", path, obj)
    assert code in (400, 403, 422)
    assert expected in json.loads(body)["message"]
    assert b"Traceback" not in body


def test_a_user_may_only_reference_what_they_may_use(site: Site) -> None:
    secret = Site(site.cluster, site.cluster.namespace())
    secret.put(workflow_json())
    bob = site.cluster.plane.add_user(f"bob-{site.namespace}")
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "plans", "namespace": site.namespace},
        "rules": [{"apiGroups": ["dr.bkbcs.tencent.com"], "resources": ["*"], "verbs": ["*"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "plans", "namespace": site.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "plans"},
        "subjects": [{"kind": "User", "name": bob.username}],
    }
    site.cluster.apply([rights, binding])
    plan = plan_json(stage("s", {"workflowRef": {"name": "w", "namespace": secret.namespace}}))
    plan["metadata"] = {"name": "p", "namespace": site.namespace}
    deadline = time.monotonic() + 10
    while True:  # the new role is not in force at once
        answer = site.cluster.kubectl("create", "-f", "-", stdin=plan, identity=bob.name, check=False)
        if "cannot create resource" not in answer.stderr or time.monotonic() > deadline:
            break
    assert f'user "{bob.username}" may not use workflow {secret.namespace}/w' in answer.stderr
    site.put(plan)


def test_the_probes_and_metrics_tell_what_happens(site: Site, webhook: WebhookProcess) -> None:
    site.refused(execution_json("x", planRef="gone"))
    assert webhook.fetch(webhook.health_port, "/healthz")[0] == 200
    assert webhook.fetch(webhook.health_port, "/readyz")[0] == 200
    counter = 'drplan_admission_requests_total{allowed="false",kind="DRPlanExecution",operation="CREATE"}'
    assert counter in webhook.metrics()
    assert '"rules":["E2"]' in webhook.log.read_text()


def test_a_finalizer_of_ours_on_creation_warns(site: Site) -> None:
    site.story()
    restored = run_of("old")
    restored["metadata"]["finalizers"] = ["dr.bkbcs.tencent.com/execution-finalizer"]
    assert "restored from a backup" in site.put(restored).stderr
    site.run("patch", "drpe", "old", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def test_without_the_api_server_the_service_is_not_ready_and_comes_back(
    cluster: Cluster, webhook: WebhookProcess
) -> None:
    server = cluster.plane.components["kube-apiserver"]
    server.pause()
    try:
        webhook.wait_until(lambda: webhook.fetch(webhook.health_port, "/readyz")[0] == 503, 30)
        assert webhook.fetch(webhook.health_port, "/healthz")[0] == 200
    finally:
        server.resume()
    webhook.wait_ready()
