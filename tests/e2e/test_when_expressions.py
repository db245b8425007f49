"""`when` as a CEL expression over parameters and outputs: runs, skips, and failures that are no skips (decision P7)."""

from __future__ import annotations

import pytest

from tests.e2e.support import NO_RETRY, action_of, create
from tests.support.installation import Installation, execution, http_action, phases_of, plan, revert, stage, workflow
from tests.support.site import Answer


def _called(drplan: Installation) -> set[str]:
    return {call.path.rpartition("/")[2] for call in drplan.site.calls(prefix=f"/{drplan.namespace}/")}


@pytest.mark.parametrize(("region", "run"), [("eu", {"probe", "europe", "answer"}), ("us", {"probe", "answer"})])
def test_parameters_and_outputs_select_actions(drplan: Installation, region: str, run: set[str]) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"{root}/probe", Answer(status=202, body="site is healthy"))
    actions = [
        http_action("probe", f"{url}/probe"),
        http_action("europe", f"{url}/europe", when='params.region.startsWith("e") && planName == "p"'),
        http_action("answer", f"{url}/answer", when="int(outputs.probe.statusCode) == 202"),
        http_action("sick", f"{url}/sick", when='!outputs.probe.body.contains("healthy")'),
    ]
    flow = workflow("w", actions, parameters=[{"name": "region", "default": "eu"}])
    create(drplan, flow, plan("p", [stage("s", "w")]))
    create(drplan, execution("e", "p", mode="Install", params=[{"name": "region", "value": region}]))
    status = drplan.wait_phase("e", "Succeeded")
    assert {name for name, phase in phases_of(status).items() if phase == "Succeeded"} == run
    assert _called(drplan) == run
    sick = action_of(status, "sick")
    assert (sick["phase"], sick["message"]) == (
        "Skipped",
        'when not matched: !outputs.probe.body.contains("healthy") is false',
    )


def test_a_condition_without_answer_fails_its_action_and_the_policy_decides(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    actions = [
        http_action("probe", f"{url}/probe"),
        http_action("broken", f"{url}/broken", when="int(outputs.probe.body) > 5"),
        http_action("after", f"{url}/after"),
    ]
    for name, policy in (("fast", "FailFast"), ("on", "Continue")):
        create(drplan, workflow(name, actions, failurePolicy=policy), plan(f"p-{name}", [stage("s", name)]))
    create(drplan, execution("fast", "p-fast"))
    status = drplan.wait_phase("fast", "Failed")
    broken = action_of(status, "broken")
    assert broken["phase"] == "Failed"
    assert broken["message"] == (
        'when expression "int(outputs.probe.body) > 5" cannot be evaluated: cannot convert string to int'
    )
    assert action_of(status, "after")["phase"] == "Skipped"
    assert _called(drplan) == {"probe"}
    create(drplan, execution("on", "p-on"))
    assert action_of(drplan.wait_phase("on", "Failed"), "after")["phase"] == "Succeeded"


def test_outputs_of_a_skipped_action_can_be_asked_for(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    actions = [
        http_action("never", f"{url}/never", when='mode != "install"'),
        http_action("asks", f"{url}/asks", when='!has(outputs.never) || outputs.never.statusCode == "200"'),
        http_action("takes", f"{url}/takes", when='outputs.never.statusCode == "200"', retryPolicy=NO_RETRY),
    ]
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p", mode="Install"))
    status = drplan.wait_phase("e", "Failed")
    assert phases_of(status) == {"never": "Skipped", "asks": "Succeeded", "takes": "Failed"}
    assert action_of(status, "takes")["message"].endswith(
        'action "never" has no outputs, because it did not succeed ("never" in outputs asks whether it has any)'
    )


def test_a_revert_goes_by_what_ran_and_not_by_the_conditions(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    undo = {"type": "HTTP", "http": {"method": "POST", "url": f"{url}/undone"}}
    actions = [
        http_action("done", f"{url}/done", when='mode != "rollback" && has(params.x)', rollback=undo),
        http_action("left", f"{url}/left", when='params.x == "2"', rollback=undo),
    ]
    flow = workflow("w", actions, parameters=[{"name": "x", "default": "1"}])
    create(drplan, flow, plan("p", [stage("s", "w")]), execution("e", "p", mode="Install"))
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    create(drplan, revert("r", "p", "e"))
    status = drplan.wait_phase("r", "Succeeded")
    assert phases_of(status) == {"left": "Skipped", "done": "Succeeded"}
    assert len(drplan.site.calls(prefix=f"/{drplan.namespace}/undone")) == 1


def test_a_secret_cannot_be_read_by_a_condition_and_is_not_told(drplan: Installation) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials", "namespace": drplan.namespace},
        "stringData": {"word": "hunter2-very-secret"},
    }
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": "credentials",
        "namespace": drplan.namespace,
        "jsonPath": "{.data.word}",
    }
    actions = [
        http_action("loops", f"{url}/loops", when='params.exists(name, params[name].contains("aHVudGVy"))'),
        http_action("picks", f"{url}/picks", when='params["wo" + "rd"] != ""'),
    ]
    flow = workflow("w", actions, parameters=[{"name": "word", "valueFrom": {"manifestRef": reference}}])
    create(drplan, secret, flow, plan("p", [stage("s", "w")]), execution("e", "p"))
    status = drplan.wait_phase("e", "Failed")
    assert phases_of(status) == {"loops": "Skipped", "picks": "Failed"}
    assert "which a condition cannot read" in action_of(status, "picks")["message"]
    for text in ("hunter2", "aHVudGVy"):
        assert text not in str({**status, "stageStatuses": []})
        assert text not in action_of(status, "picks")["message"]
