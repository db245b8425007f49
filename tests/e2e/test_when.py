"""`when`: the run's mode selects actions; without one, install is assumed and the run says so (decision P7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import NO_RETRY, action_of, create
from tests.support.installation import (
    Installation,
    check_summary,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer

NOTE = "No spec.mode given: mode install was assumed"


def _actions(drplan: Installation) -> list[dict[str, Any]]:
    url = f"{drplan.site.url}/{drplan.namespace}"
    return [
        http_action("always", f"{url}/always"),
        http_action("installs", f"{url}/installs", when='mode == "install"'),
        http_action("changes", f"{url}/changes", when="mode == 'upgrade' || operation == Rollback"),
    ]


@pytest.mark.parametrize(
    ("mode", "run"),
    [("Install", {"always", "installs"}), ("Upgrade", {"always", "changes"}), ("Rollback", {"always", "changes"})],
)
def test_mode_selects_actions(drplan: Installation, mode: str, run: set[str]) -> None:
    create(drplan, workflow("w", _actions(drplan)), plan("p", [stage("s", "w")]), execution("e", "p", mode=mode))
    status = drplan.wait_phase("e", "Succeeded")
    assert {name for name, phase in phases_of(status).items() if phase == "Succeeded"} == run
    assert {call.path.rpartition("/")[2] for call in drplan.site.calls(prefix=f"/{drplan.namespace}/")} == run
    expected = {"installs": "install", "changes": "upgrade,rollback"}
    for name in expected.keys() - run:
        action = action_of(status, name)
        assert action["phase"] == "Skipped"
        assert action["message"] == f"when not matched: mode={mode.lower()}, expected one of [{expected[name]}]"
    assert status["message"] == "All stages completed successfully"
    check_summary(status)


def test_without_mode_install_is_assumed_and_said(drplan: Installation) -> None:
    root = f"/{drplan.namespace}"
    drplan.site.hold(f"{root}/always")
    create(drplan, workflow("w", _actions(drplan)), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.site.wait_for(f"{root}/always")
    assert drplan.status("e")["message"] == NOTE
    drplan.site.let_go(f"{root}/always")
    status = drplan.wait_phase("e", "Succeeded")
    assert phases_of(status) == {"always": "Succeeded", "installs": "Succeeded", "changes": "Skipped"}
    assert status["message"] == f"All stages completed successfully ({NOTE})"


def test_failed_run_says_that_a_mode_was_assumed(drplan: Installation) -> None:
    root = f"/{drplan.namespace}"
    drplan.site.script(f"{root}/always", Answer(status=500))
    actions = _actions(drplan)
    actions[0]["retryPolicy"] = NO_RETRY
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    assert NOTE in drplan.wait_phase("e", "Failed")["message"]


def test_workflow_with_nothing_to_do_is_skipped_and_its_stage_succeeds(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}/x"
    create(
        drplan,
        workflow("w", [http_action("x", url, when="mode == upgrade")]),
        plan("p", [stage("s", "w")]),
        execution("e", "p", mode="Install"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    [found] = status["stageStatuses"]
    assert (found["phase"], found["message"]) == ("Succeeded", "All workflows skipped")
    [used] = found["workflowExecutions"]
    assert (used["phase"], used["message"]) == ("Skipped", "All actions were skipped")
    assert not drplan.site.calls(prefix=f"/{drplan.namespace}/")
