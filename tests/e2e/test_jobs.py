"""Job actions where Jobs really run: success, failure with the pod's last words, time-out, rollback (decision A2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import action_of, create
from tests.support.installation import Installation, execution, phases_of, plan, stage, workflow

pytestmark = pytest.mark.full


def _job(name: str, namespace: str, *, marks: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "example.invalid/tool", "args": ["--plan=$(planName)"]}
    template = {
        "metadata": {"annotations": marks or {}},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    return {
        "name": name,
        "type": "Job",
        "job": {"namespace": namespace, "template": {"spec": {"backoffLimit": 0, "template": template}}},
        **more,
    }


def test_job_that_completes_and_its_rollback(full_drplan: Installation) -> None:
    ns = full_drplan.namespace
    create(full_drplan, workflow("w", [_job("check", ns)]), plan("p", [stage("s", "w")]), execution("e", "p"))
    action = action_of(full_drplan.wait_phase("e", "Succeeded"), "check")
    ref = action["outputs"]["jobRef"]
    assert action["message"] == f"Job {ns}/{ref['name']} completed successfully"
    job = full_drplan.get("job", ref["name"])
    assert job["metadata"]["uid"] == ref["uid"]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["--plan=p"]
    reverted = full_drplan.take_back("r", "p", "e")
    assert action_of(reverted, "check")["message"] == f"Rolled back: deleted Job {ns}/{ref['name']}"
    full_drplan.wait(lambda: not full_drplan.exists("job", ref["name"]))
    pods = lambda: full_drplan.kubectl("get", "pods", "-o", "name").stdout.strip()  # noqa: E731
    full_drplan.wait(lambda: not pods(), message="the pods of the Job outlive it")


def test_job_that_fails_says_why_and_can_be_taken_back(full_drplan: Installation) -> None:
    ns = full_drplan.namespace
    create(
        full_drplan,
        workflow("w", [_job("check", ns, marks={"drplan.test/fail": "true"})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = full_drplan.wait_phase("e", "Failed")
    action = action_of(status, "check")
    ref = action["outputs"]["jobRef"]
    assert action["message"].startswith(f"Job {ns}/{ref['name']} failed: BackoffLimitExceeded: ")
    assert action["message"].endswith("the last line of the container's output")
    assert action["attempt"] == 1, "a Job that failed is not run again"
    reverted = full_drplan.take_back("r", "p", "e")
    assert action_of(reverted, "check")["message"] == f"Rolled back: deleted Job {ns}/{ref['name']}"
    full_drplan.wait(lambda: not full_drplan.exists("job", ref["name"]))


def test_job_that_runs_too_long_is_deleted(full_drplan: Installation) -> None:
    ns = full_drplan.namespace
    create(
        full_drplan,
        workflow("w", [_job("check", ns, marks={"drplan.test/hang": "true"}, timeout="2s")]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    action = action_of(full_drplan.wait_phase("e", "Failed"), "check")
    assert action["message"].startswith("timed out after 2s: Job ")
    jobs = lambda: full_drplan.kubectl("get", "jobs", "-o", "name").stdout.strip()  # noqa: E731
    full_drplan.wait(lambda: not jobs(), message="the Job is still there")


def test_cancel_during_a_job_waits_for_its_end(full_drplan: Installation) -> None:
    ns = full_drplan.namespace
    create(
        full_drplan,
        workflow("w", [_job("long", ns, marks={"drplan.test/duration": "3s"}), _job("next", ns)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    full_drplan.wait(lambda: full_drplan.kubectl("get", "jobs", "-o", "name").stdout.strip())
    full_drplan.kubectl("annotate", "drpe", "e", "dr.bkbcs.tencent.com/cancel=true")
    status = full_drplan.wait_phase("e", "Cancelled")
    assert phases_of(status) == {"long": "Succeeded", "next": "Skipped"}


def test_deployment_is_waited_for_and_a_namespace_with_a_finished_run_can_be_deleted(
    full_drplan: Installation,
) -> None:
    ns = full_drplan.namespace
    manifest = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {ns}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: example.invalid/web}}]}}
"""
    action = {
        "name": "web",
        "type": "KubernetesResource",
        "waitReady": True,
        "resource": {"operation": "Apply", "manifest": manifest},
    }
    create(full_drplan, workflow("w", [action]), plan("p", [stage("s", "w")]), execution("e", "p"))
    full_drplan.wait_phase("e", "Succeeded")
    answer = full_drplan.kubectl("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}")
    assert answer.stdout == "2", "the action ended when the replicas were ready"
    full_drplan.wait_unlocked("p")
    full_drplan.kubectl("delete", "namespace", ns, "--wait=false")
    path = f"/api/v1/namespaces/{ns}"
    full_drplan.wait(lambda: full_drplan.cluster.api.raw("GET", path)[0] == 404, timeout=60)
