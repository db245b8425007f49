"""What users see of a run by kubectl alone: conditions to wait for, columns, labels, selectors (decisions D3 to D5)."""

from __future__ import annotations

import re
from typing import Any

from tests.e2e.support import cancel, create, stage_of
from tests.support.installation import (
    Installation,
    execution,
    http_action,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Answer


def _plan(drplan: Installation, name: str = "p", path: str = "x") -> None:
    url = f"{drplan.site.url}/{drplan.namespace}/{path}"
    action = http_action("x", url, retryPolicy={"limit": 0})
    create(drplan, workflow(f"w-{path}", [action]), plan(name, [stage("s", f"w-{path}")]))


def _conditions(status: dict[str, Any]) -> dict[str, str]:
    return {item["type"]: item["status"] for item in status["conditions"]}


def _row(drplan: Installation, *arguments: str) -> dict[str, str]:
    """The one row that `kubectl get` prints, by column title. Only the first column may be empty of blanks."""
    title, row = drplan.kubectl("get", *arguments).stdout.splitlines()
    starts = [index for index, char in enumerate(title) if char != " " and (index == 0 or title[index - 1] == " ")]
    ends = [*starts[1:], None]
    return {title[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_kubectl_wait_for_each_way_a_run_can_end(drplan: Installation) -> None:
    root = f"/{drplan.namespace}"
    _plan(drplan, "good", "good")
    _plan(drplan, "bad", "bad")
    _plan(drplan, "slow", "slow")
    drplan.site.script(f"{root}/bad", Answer(status=500))
    drplan.site.hold(f"{root}/slow")
    create(drplan, *(execution(name, name) for name in ("good", "bad", "slow")))
    drplan.kubectl("wait", "drpe/slow", "--for=condition=Started", "--timeout=30s")
    cancel(drplan, "slow")
    drplan.wait(lambda: "CancelRequested" in str(drplan.status("slow").get("conditions")))
    drplan.site.let_go(f"{root}/slow")
    for name in ("good", "bad", "slow"):
        drplan.kubectl("wait", f"drpe/{name}", "--for=condition=Completed", "--timeout=30s")
    drplan.kubectl("wait", "drpe/good", "--for=condition=Complete", "--timeout=30s")
    drplan.kubectl("wait", "drpe/bad", "--for=condition=Failed", "--timeout=30s")
    drplan.kubectl("wait", "drpe/slow", "--for=condition=Cancelled", "--timeout=30s")
    drplan.kubectl("wait", "drpe/good", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    ends = {"good": "Complete", "bad": "Failed", "slow": "Cancelled"}
    for name, true in ends.items():
        status = drplan.status(name)
        expected = {"Started": "True", "Completed": "True"} | {
            other: "True" if other == true else "False" for other in ends.values()
        }
        assert _conditions(status) == expected
        for item in status["conditions"]:
            assert item["reason"]
            assert item["lastTransitionTime"]
            assert item["observedGeneration"] == 1
        assert status["observedGeneration"] == 1
        assert next(item for item in status["conditions"] if item["type"] == true)["message"] == status["message"]


def test_kubectl_wait_for_workflow_and_plan(drplan: Installation) -> None:
    _plan(drplan)
    drplan.kubectl("wait", "drw/w-x", "drp/p", "--for=condition=Ready", "--timeout=30s")


def test_columns_follow_a_run(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/b")
    create(
        drplan,
        workflow("w", [http_action(name, f"{url}/{name}") for name in ("a", "b")]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.site.wait_for(f"{root}/b")
    drplan.wait(lambda: drplan.status("e").get("progress") == "1/2")
    row = _row(drplan, "drpe", "e")
    assert list(row) == ["NAME", "PLAN", "OPERATION", "PHASE", "PROGRESS", "DURATION", "AGE", "MESSAGE"]
    assert (row["PLAN"], row["OPERATION"], row["PHASE"], row["PROGRESS"]) == ("p", "Execute", "Running", "1/2")
    row = _row(drplan, "drp", "p")
    assert list(row) == ["NAME", "PHASE", "LAST", "CURRENT", "LAST-RUN", "RESULT", "WHEN", "AGE"]
    assert (row["PHASE"], row["CURRENT"], row["LAST"]) == ("Ready", "e", "")
    assert (row["LAST-RUN"], row["RESULT"], row["WHEN"]) == ("e", "Running", "")
    row = _row(drplan, "drw", "w")
    assert list(row) == ["NAME", "PHASE", "ACTIONS", "AGE"]
    assert (row["PHASE"], row["ACTIONS"]) == ("Ready", "2")
    used = stage_of(drplan.status("e"), "s")["workflowExecutions"][0]
    assert (used["progress"], used["currentAction"]) == ("1/2 actions completed", "b")
    drplan.site.let_go(f"{root}/b")
    status = drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    row = _row(drplan, "drpe", "e")
    assert (row["PHASE"], row["PROGRESS"], row["DURATION"]) == ("Succeeded", "2/2", status["duration"])
    assert _row(drplan, "drp", "p")["LAST"] == "e"
    used = stage_of(status, "s")["workflowExecutions"][0]
    assert used["progress"] == "2/2 actions completed"
    assert not used.get("currentAction")
    drplan.site.script(f"{root}/b", Answer(status=404))
    create(drplan, execution("f", "p"))
    assert drplan.wait_phase("f", "Failed")["progress"] == "1/2", "what succeeded"
    drplan.wait_unlocked("p")
    row = _row(drplan, "drp", "p")
    assert (row["PHASE"], row["LAST"], row["CURRENT"]) == ("Executed", "e", "")
    assert (row["LAST-RUN"], row["RESULT"]) == ("f", "Failed")
    assert re.fullmatch(r"[0-9]+[a-z0-9]*", row["WHEN"])
    row = _row(drplan, "drpe", "f")
    assert row["MESSAGE"].startswith("Stage s failed: ")
    drplan.kubectl("delete", "drpe", "f")
    listed = drplan.kubectl("get", "dr", "-o", "name").stdout.split()
    assert sorted(name.partition(".")[0] for name in listed) == ["drplan", "drplanexecution", "drworkflow"]


def test_times_and_durations_at_every_level(drplan: Installation) -> None:
    _plan(drplan)
    create(drplan, execution("e", "p"))
    status = drplan.wait_phase("e", "Succeeded")
    [found] = status["stageStatuses"]
    [used] = found["workflowExecutions"]
    [action] = used["actionStatuses"]
    for node in (status, found, used, action):
        assert node["startTime"] <= node["completionTime"]
        assert node["duration"]
    assert status["startTime"] <= found["startTime"] <= used["startTime"] <= action["startTime"]
    assert action["completionTime"] <= used["completionTime"] <= found["completionTime"] <= status["completionTime"]
    assert action["type"] == "HTTP"
    assert drplan.wait_unlocked("p")["lastExecutionTime"] == status["completionTime"]


def test_labels_and_selectors_find_the_runs_of_a_plan(drplan: Installation) -> None:
    long = "p" + "-long" * 20
    _plan(drplan, "p", "one")
    _plan(drplan, long, "two")
    create(drplan, execution("e", "p"), execution("f", long))
    for name in ("e", "f"):
        drplan.wait_phase(name, "Succeeded")
    drplan.wait_unlocked("p")
    create(drplan, revert("r", "p", "e"))
    drplan.wait_phase("r", "Succeeded")

    def found(*arguments: str) -> set[str]:
        return {
            line.rpartition("/")[2] for line in drplan.kubectl("get", "drpe", "-o", "name", *arguments).stdout.split()
        }

    key = "dr.bkbcs.tencent.com"
    assert found("-l", f"{key}/plan=p") == {"e", "r"}
    assert found("-l", f"{key}/plan=p,{key}/operation=Revert") == {"r"}
    assert found("--field-selector", f"spec.planRef={long}") == {"f"}
    assert found("--field-selector", "status.phase=Succeeded,spec.planRef=p") == {"e", "r"}
    label = drplan.get("drpe", "f")["metadata"]["labels"][f"{key}/plan"]
    assert len(label) <= 63
    assert label.startswith(long[:54])


def test_objects_that_a_run_made_name_it(drplan: Installation) -> None:
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: made, namespace: {drplan.namespace}}}\n"
    action = {"name": "Make it, now!", "type": "KubernetesResource", "resource": {"manifest": manifest}}
    create(drplan, workflow("w", [action]), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    uid = drplan.get("drpe", "e")["metadata"]["uid"]
    labels = drplan.get("cm", "made")["metadata"]["labels"]
    key = "dr.bkbcs.tencent.com"
    assert (labels[f"{key}/execution"], labels[f"{key}/execution-uid"]) == ("e", uid)
    assert f"{key}/execution-action" in labels or f"{key}/action" in labels
    listed = drplan.kubectl("get", "cm", "-l", f"{key}/execution-uid={uid}", "-o", "name").stdout
    assert listed.strip() == "configmap/made"
