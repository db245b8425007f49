"""Actions with dependsOn: each starts when its own dependencies are done, and only a failed one's dependants are kept
back (decisions P4 and P5)."""

from __future__ import annotations

from typing import Any

from tests.e2e.support import NO_RETRY, action_of, create, names, stage_of
from tests.support.installation import (
    Installation,
    actions_of,
    check_summary,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer


def _action(drplan: Installation, name: str, *needs: str) -> dict[str, Any]:
    more = {"dependsOn": list(needs)} if needs else {}
    return http_action(name, f"{drplan.site.url}/{drplan.namespace}/{name}", retryPolicy=NO_RETRY, **more)


def test_failed_branch_keeps_only_its_dependants_back(drplan: Installation) -> None:
    drplan.site.script(f"/{drplan.namespace}/bad", Answer(status=500))
    actions = [
        _action(drplan, "root"),
        _action(drplan, "bad", "root"),
        _action(drplan, "child", "bad"),
        _action(drplan, "grandchild", "child"),
        _action(drplan, "other", "root"),
        _action(drplan, "leaf", "other"),
        _action(drplan, "both", "leaf", "child"),
    ]
    create(drplan, workflow("w", actions, failurePolicy="Continue"), plan("p", [stage("s", "w")]), execution("e", "p"))
    status = drplan.wait_phase("e", "Failed")
    assert phases_of(status) == {
        "root": "Succeeded",
        "bad": "Failed",
        "child": "Skipped",
        "grandchild": "Skipped",
        "other": "Succeeded",
        "leaf": "Succeeded",
        "both": "Skipped",
    }
    assert action_of(status, "bad")["reason"] == status["reason"] == "ActionFailed"
    assert {action_of(status, name)["reason"] for name in ("child", "grandchild", "both")} == {"DependencyFailed"}
    assert stage_of(status, "s")["reason"] == "WorkflowFailed"
    assert action_of(status, "child")["message"] == 'Not started: action "bad" it depends on did not succeed'
    assert action_of(status, "grandchild")["message"] == 'Not started: action "child" it depends on did not succeed'
    assert action_of(status, "both")["message"] == 'Not started: action "child" it depends on did not succeed'
    assert drplan.site.count(f"/{drplan.namespace}/") == {
        f"/{drplan.namespace}/{name}": 1 for name in ("root", "bad", "other", "leaf")
    }
    assert names(actions_of(status)) == names(actions), "listed in definition order"
    check_summary(status)


def test_fail_fast_lets_running_branches_end_and_starts_nothing(drplan: Installation) -> None:
    root = f"/{drplan.namespace}"
    drplan.site.script(f"{root}/bad", Answer(status=500))
    drplan.site.hold(f"{root}/slow")
    actions = [
        _action(drplan, "root"),
        _action(drplan, "bad", "root"),
        _action(drplan, "slow", "root"),
        _action(drplan, "after-slow", "slow"),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.site.wait_for(f"{root}/slow")
    drplan.wait(lambda: action_of(drplan.status("e"), "bad")["phase"] == "Failed")
    assert action_of(drplan.status("e"), "slow")["phase"] == "Running"
    drplan.site.let_go(f"{root}/slow")
    status = drplan.wait_phase("e", "Failed")
    assert phases_of(status) == {"root": "Succeeded", "bad": "Failed", "slow": "Succeeded", "after-slow": "Skipped"}
    assert action_of(status, "after-slow")["message"] == ('Not started: action "bad" failed (failurePolicy FailFast)')
    workflow_status = status["stageStatuses"][0]["workflowExecutions"][0]
    assert workflow_status["message"] == "action bad failed: unexpected status code: 500"


def test_action_starts_when_its_own_dependencies_are_done(drplan: Installation) -> None:
    """No layers: `deep` runs although `slow`, which begins beside its predecessor, has not ended."""
    root = f"/{drplan.namespace}"
    drplan.site.hold(f"{root}/slow")
    actions = [
        _action(drplan, "slow"),
        _action(drplan, "quick"),
        _action(drplan, "deep", "quick"),
        _action(drplan, "deeper", "deep"),
        _action(drplan, "last", "deeper", "slow"),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.site.wait_for(f"{root}/slow")
    drplan.site.wait_for(f"{root}/deeper")
    drplan.wait(lambda: action_of(drplan.status("e"), "deeper")["phase"] == "Succeeded")
    during = phases_of(drplan.status("e"))
    assert (during["slow"], during["last"]) == ("Running", "Pending")
    assert not drplan.site.calls(f"{root}/last")
    drplan.site.let_go(f"{root}/slow")
    status = drplan.wait_phase("e", "Succeeded")
    assert set(phases_of(status).values()) == {"Succeeded"}
    assert drplan.site.calls(prefix=root)[-1].path == f"{root}/last"


def test_skipped_dependency_does_not_block(drplan: Installation) -> None:
    actions = [
        {**_action(drplan, "only-upgrade"), "when": 'mode == "upgrade"'},
        _action(drplan, "next", "only-upgrade"),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p", mode="Install"))
    assert phases_of(drplan.wait_phase("e", "Succeeded")) == {"only-upgrade": "Skipped", "next": "Succeeded"}
