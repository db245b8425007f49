"""S1 and S3: how soon a run begins, shows and goes on, and how its executions are found."""

from __future__ import annotations

from tests.acceptance.stories import controller_of, small_plan, undone_by_http, wait_valid
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

START_SECONDS = 10.0
SHOW_SECONDS = 5.0
GO_ON_SECONDS = 30.0


def test_s1_first_action_starts_and_each_change_shows(drplan: Installation) -> None:
    ns = drplan.namespace
    names = ("one", "two", "three")
    drplan.apply(
        workflow("w", [http_action(name, f"{drplan.site.url}/{ns}/{name}") for name in names]),
        plan("p", [stage("only", "w")]),
    )
    wait_valid(drplan, "p")
    for name in names:
        drplan.site.hold(f"/{ns}/{name}")
    drplan.apply(execution("e", "p"))
    timeout = START_SECONDS
    for number, name in enumerate(names):
        drplan.site.wait_for(f"/{ns}/{name}", timeout=timeout)
        expected = {
            other: ("Succeeded", "Running", "Pending")[(at >= number) + (at > number)] for at, other in enumerate(names)
        }

        def shows(expected: dict[str, str] = expected) -> bool:
            return phases_of(drplan.status("e")) == expected

        drplan.wait(shows, SHOW_SECONDS, f"the status does not show {expected}")
        status = drplan.status("e")
        assert status["phase"] == "Running"
        assert status["progress"] == f"{number}/3"
        assert status["stageStatuses"][0]["workflowExecutions"][0]["currentAction"] == name
        check_summary(status)
        drplan.site.let_go(f"/{ns}/{name}")
        timeout = SHOW_SECONDS
    drplan.wait(lambda: drplan.status("e")["phase"] == "Succeeded", SHOW_SECONDS, "the end does not show")


def test_s1_a_revert_shows_while_it_works(drplan: Installation) -> None:
    ns = drplan.namespace
    names = ("one", "two")
    drplan.apply(
        workflow("w", [undone_by_http(name, f"{drplan.site.url}/{ns}/{name}") for name in names]),
        plan("p", [stage("only", "w")]),
    )
    wait_valid(drplan, "p")
    drplan.run("run", "p")
    drplan.wait_unlocked("p")
    drplan.site.hold(f"/{ns}/one/undo")
    drplan.apply(execution("undo", "p", "Revert", revertExecutionRef="run"))
    drplan.site.wait_for(f"/{ns}/one/undo", timeout=START_SECONDS)
    expected = {"two": "Succeeded", "one": "Running"}
    drplan.wait(lambda: phases_of(drplan.status("undo")) == expected, SHOW_SECONDS)
    status = drplan.status("undo")
    assert status["stageStatuses"][0]["workflowExecutions"][0]["progress"] == "1/2 actions rolled back"
    drplan.site.let_go(f"/{ns}/one/undo")
    drplan.wait_phase("undo", "Succeeded")


def test_s1_a_run_goes_on_after_a_restart_of_the_controller(drplan: Installation) -> None:
    ns = drplan.namespace
    names = ("one", "two", "three")
    drplan.apply(
        workflow("w", [http_action(name, f"{drplan.site.url}/{ns}/{name}") for name in names]),
        plan("p", [stage("only", "w")]),
    )
    wait_valid(drplan, "p")
    drplan.site.hold(f"/{ns}/two")
    drplan.apply(execution("e", "p"))
    drplan.site.wait_for(f"/{ns}/two")
    controller = controller_of(drplan)
    controller.kill9()
    controller.start()
    drplan.site.let_go(f"/{ns}/two")
    drplan.site.wait_for(f"/{ns}/three", timeout=GO_ON_SECONDS)
    status = drplan.wait_phase("e", "Succeeded")
    assert {action["phase"] for action in actions_of(status)} == {"Succeeded"}
    assert len(drplan.site.calls(f"/{ns}/one")) == 1
    calls = drplan.site.calls(f"/{ns}/two")
    keys = {value for call in calls for name, value in call.headers.items() if name.lower() == "idempotency-key"}
    assert len(calls) == 2
    assert len(keys) == 1
    controller.wait_ready()


def test_s3_executions_of_a_plan_are_found_by_label(drplan: Installation) -> None:
    small_plan(drplan, "nginx-plan")
    small_plan(drplan, "other")
    drplan.run("first", "nginx-plan")
    drplan.run("foreign", "other")
    drplan.wait_unlocked("nginx-plan")
    drplan.take_back("back", "nginx-plan", "first")

    def listed(*selectors: str) -> list[str]:
        answer = drplan.kubectl("get", "drplanexecution", *selectors, "-o", "name").stdout
        return sorted(line.partition("/")[2] for line in answer.split())

    assert listed("-l", "dr.bkbcs.tencent.com/plan=nginx-plan") == ["back", "first"]
    assert listed("-l", "dr.bkbcs.tencent.com/plan=nginx-plan,dr.bkbcs.tencent.com/operation=Revert") == ["back"]
    assert listed("-l", "dr.bkbcs.tencent.com/plan=other") == ["foreign"]
    assert listed("--field-selector=spec.planRef=nginx-plan,status.phase=Succeeded") == ["back", "first"]


def test_s3_plan_names_longer_than_a_label_are_cut_and_hashed(drplan: Installation) -> None:
    name = "a-plan-whose-name-is-longer-than-any-label-value-may-be-" + "x" * 20
    small_plan(drplan, name)
    drplan.run("run", name)
    label = drplan.get("drpe", "run")["metadata"]["labels"]["dr.bkbcs.tencent.com/plan"]
    assert len(label) <= 63
    assert label.startswith(name[:54])
    assert label != name[:63]
