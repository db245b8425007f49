"""AC4 for Jobs, which run only on the full control plane: a Job that ran is deleted, together with its pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.stories import check_tracked, messages_of
from tests.support.installation import Installation, actions_of, check_summary, plan, stage, workflow

pytestmark = pytest.mark.full


def _job_action(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.invalid/c"}
    template = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"namespace": namespace, "template": {"spec": {"backoffLimit": 0, "template": template}}}
    return {"name": name, "type": "Job", "job": job, "retryPolicy": {"limit": 0}}


def test_ac4_jobs_are_deleted_with_their_pods(full_drplan: Installation) -> None:
    ns = full_drplan.namespace
    full_drplan.apply(
        workflow("good", [_job_action("migrate", ns)]),
        workflow("bad", [_job_action("break", ns, **{"drplan.test/fail": "true"})]),
        plan("p", [stage("one", "good"), stage("two", "bad")]),
    )
    executed = full_drplan.run("run", "p", "Failed")
    check_tracked(executed)
    migrate, broken = actions_of(executed)
    first, second = (action["outputs"]["jobRef"]["name"] for action in (migrate, broken))
    assert migrate["message"] == f"Job {ns}/{first} completed successfully"
    assert broken["message"].startswith(f"Job {ns}/{second} failed: ")
    assert "the last line of the container's output" in broken["message"]
    assert full_drplan.kubectl("get", "pods", "-o", "name").stdout.split()
    full_drplan.wait_unlocked("p")

    reverted = full_drplan.take_back("undo", "p", "run")
    check_tracked(reverted)
    check_summary(reverted)
    assert messages_of(reverted) == {
        "break": f"Rolled back: deleted Job {ns}/{second}",
        "migrate": f"Rolled back: deleted Job {ns}/{first}",
    }
    assert reverted["message"] == (
        "Plan reverted successfully: 2 stage(s) rolled back, 2 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    full_drplan.wait(lambda: not full_drplan.kubectl("get", "jobs,pods", "-o", "name").stdout.split())
