"""Objects that may come and go while no controller lives: their work is not done twice (invariant 3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.crash.harness import Crashing
from tests.e2e.support import action_of
from tests.support.installation import execution, phases_of, plan, stage, workflow
from tests.support.proxy import request_to

RESUME = "dr.bkbcs.tencent.com/resume"
TTL = "dr.bkbcs.tencent.com/ttl-seconds-after-finished"
POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]}


def job_action(drplan: Crashing, name: str, **spec: Any) -> dict[str, Any]:
    block = {"namespace": drplan.namespace, "template": {"spec": {"template": {"spec": POD}, **spec}}}
    return {"name": name, "type": "Job", "job": block}


def manifest_action(drplan: Crashing, name: str, operation: str, obj: dict[str, Any], **more: Any) -> dict[str, Any]:
    placed = {**obj, "metadata": {"name": name, "namespace": drplan.namespace}}
    block = {"operation": operation, "manifest": json.dumps(placed)}
    return {"name": name, "type": "KubernetesResource", "resource": block, **more}


def job_manifest(seconds: int) -> dict[str, Any]:
    spec = {"ttlSecondsAfterFinished": seconds, "template": {"spec": POD}}
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": spec}


def run(drplan: Crashing, *actions: dict[str, Any]) -> None:
    """A plan and an execution `e-<name>` for each action."""
    for item in actions:
        name = item["name"]
        drplan.create(workflow(name, [item]), plan(name, [stage("s", name)]), execution(f"e-{name}", name))


def jobs(drplan: Crashing) -> dict[str, dict[str, Any]]:
    """Every Job, by the action that made it."""
    found = drplan.cluster.api.get(f"/apis/batch/v1/namespaces/{drplan.namespace}/jobs")["items"]
    assert len({item["metadata"]["labels"]["dr.bkbcs.tencent.com/action"] for item in found}) == len(found)
    return {item["metadata"]["labels"]["dr.bkbcs.tencent.com/action"]: item for item in found}


def path_of(drplan: Crashing, job: dict[str, Any]) -> str:
    return f"/apis/batch/v1/namespaces/{drplan.namespace}/jobs/{job['metadata']['name']}"


def complete(drplan: Crashing, job: dict[str, Any]) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
    ended = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": done, "uncountedTerminatedPods": {}}
    drplan.merge(f"{path_of(drplan, job)}/status", {"status": ended})


def answer(drplan: Crashing, name: str, value: str) -> None:
    path = f"/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/{drplan.namespace}/drplanexecutions/e-{name}"
    drplan.merge(path, {"metadata": {"annotations": {RESUME: value}}})


def made(drplan: Crashing, name: str) -> bool:
    return bool(drplan.proxy.accepted(drplan.entry("ObjectsMade", f"e-{name}", 0, 0, 0), since=drplan.since))


def test_a_job_gets_its_lifetime_when_its_end_is_recorded(drplan: Crashing) -> None:
    """Of an action, of manifests that wait and that do not; ended while no controller lived; a crash in between."""
    waited = ("act", "create", "apply")
    rule = drplan.killed_before(request_to("POST", f"/{drplan.namespace}/jobs"))
    run(drplan, job_action(drplan, "early", ttlSecondsAfterFinished=0))
    drplan.crash(rule)  # its intent is recorded, and it cannot have come and gone: it is made without a question
    drplan.restart()
    drplan.wait(lambda: made(drplan, "early"))
    complete(drplan, jobs(drplan)["early"])
    drplan.ended("e-early", plan="early")
    run(
        drplan,
        job_action(drplan, "act", ttlSecondsAfterFinished=0),
        manifest_action(drplan, "create", "Create", job_manifest(0), waitReady=True),
        manifest_action(drplan, "apply", "Apply", job_manifest(30), waitReady=True),
        manifest_action(drplan, "plain", "Create", job_manifest(7)),
    )
    drplan.ended("e-plain", plan="plain")
    drplan.wait(lambda: all(made(drplan, name) for name in waited))
    before = jobs(drplan)
    assert before["plain"]["spec"]["ttlSecondsAfterFinished"] == 7
    assert TTL not in before["plain"]["metadata"]["annotations"]
    for name in waited:
        assert "ttlSecondsAfterFinished" not in before[name]["spec"]
        assert before[name]["metadata"]["annotations"][TTL] == ("30" if name == "apply" else "0")
    drplan.controller.kill9()
    for name in waited:
        complete(drplan, before[name])
    drplan.proxy.clear()
    drplan.free_lease()
    rule = drplan.killed_before(
        lambda request: request.method == "PATCH" and f"/{drplan.namespace}/jobs/" in request.path
    )
    drplan.controller.start()
    drplan.crash(rule)
    assert all("ttlSecondsAfterFinished" not in item["spec"] for name, item in jobs(drplan).items() if name in waited)
    drplan.restart()
    for name in waited:
        assert phases_of(drplan.ended(f"e-{name}", plan=name)) == {name: "Succeeded"}
    after = jobs(drplan)
    for name in waited:
        assert after[name]["metadata"]["uid"] == before[name]["metadata"]["uid"]
        assert after[name]["spec"]["ttlSecondsAfterFinished"] == (30 if name == "apply" else 0)
        assert TTL not in after[name]["metadata"]["annotations"]


def test_what_may_have_come_and_gone_is_asked_about(drplan: Crashing) -> None:
    """A Job that was seen made and deleted by hand; a TaskRun removed by its own controller before it was recorded."""
    task_runs = serve_task_runs(drplan)
    task_run = {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "spec": {"taskRef": {"name": "promote"}}}
    run(drplan, job_action(drplan, "job"), job_action(drplan, "stop"))
    drplan.wait(lambda: all(made(drplan, name) for name in ("job", "stop")))
    rule = drplan.killed_before(drplan.entry("ActionFinished", "e-task", 0, 0, 0))
    run(drplan, manifest_action(drplan, "task", "Create", task_run))
    drplan.crash(rule)
    for item in jobs(drplan).values():
        drplan.delete(f"{path_of(drplan, item)}?propagationPolicy=Background")
    drplan.delete(f"{task_runs}/task")
    drplan.restart()
    for name, told in (("job", "was made by this action"), ("stop", "is gone"), ("task", "may go by itself")):
        status = drplan.wait_phase(f"e-{name}", "Unknown")
        assert f"action {name}: it is not known whether this was done: " in status["message"]
        assert told in status["message"]
        assert action_of(status, name)["undecided"] is True
    assert jobs(drplan) == {}
    drplan.controller.kill9()
    drplan.restart()
    answer(drplan, "job", "done")
    answer(drplan, "task", "true")
    drplan.cancel("e-stop")
    assert phases_of(drplan.ended("e-job", plan="job")) == {"job": "Succeeded"}
    assert phases_of(drplan.ended("e-task", plan="task")) == {"task": "Succeeded"}
    assert phases_of(drplan.ended("e-stop", "Cancelled", plan="stop")) == {"stop": "Cancelled"}
    assert jobs(drplan) == {}
    assert drplan.cluster.api.get(f"{task_runs}/task")["spec"] == task_run["spec"]


def serve_task_runs(drplan: Crashing) -> str:
    """Have the API server serve TaskRuns, which the controller may create; return their path."""
    api = drplan.cluster.api
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "TaskRun", "plural": "taskruns", "singular": "taskrun", "listKind": "TaskRunList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "taskruns.tekton.dev"},
        "spec": {"group": "tekton.dev", "names": names, "scope": "Namespaced", "versions": [version]},
    }
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": ["tekton.dev"], "resources": ["taskruns"], "verbs": ["*"]}]
    name = f"{drplan.namespace}-taskruns"
    role = {"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    account = {"kind": "ServiceAccount", "name": "drplan-controller", "namespace": "drplan-system"}
    binding = {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [account],
    }
    api.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    api.request("POST", f"{rbac}/clusterroles", role)
    api.request("POST", f"{rbac}/clusterrolebindings", binding)
    path = f"/apis/tekton.dev/v1/namespaces/{drplan.namespace}/taskruns"
    drplan.wait(lambda: api.raw("GET", path)[0] == 200)
    return path
