"""Conditions on outputs come to the same answer after a crash: outputs are those recorded, never asked for again."""

from __future__ import annotations

import pytest

from tests.crash.harness import Crashing
from tests.support.installation import actions_of, execution, phases_of, plan, stage, workflow
from tests.support.site import Answer


@pytest.mark.parametrize("moment", ["outputs committed", "outputs not committed", "status not sent"])
def test_conditions_on_outputs_survive_a_crash(drplan: Crashing, moment: str) -> None:
    drplan.site.script(drplan.path("probe"), Answer(body="primary"), Answer(body="secondary"))
    actions = [
        drplan.http("probe"),
        drplan.http("one", when='outputs.probe.body == "primary"'),
        drplan.http("two", when='outputs.probe.body == "secondary"'),
        drplan.http("last", when="has(outputs.one) || has(outputs.two)"),
    ]
    drplan.create(workflow("w", actions), plan("p", [stage("s", "w")]))
    match moment:
        case "outputs committed":
            rule = drplan.killed_after(drplan.entry("ActionFinished", "e", 0, 0, 0))
        case "outputs not committed":
            rule = drplan.killed_before(drplan.entry("ActionFinished", "e", 0, 0, 0))
        case _:
            one_ran = drplan.execution_status("e", lambda status: phases_of(status).get("one") == "Succeeded")
            rule = drplan.killed_before(one_ran)
    drplan.create(execution("e", "p"))
    drplan.crash(rule)
    drplan.restart()
    status = drplan.wait_phase("e", "Succeeded")
    lost = moment == "outputs not committed"
    assert drplan.calls()["probe"] == (2 if lost else 1)
    taken, left = ("two", "one") if lost else ("one", "two")
    assert phases_of(status) == {"probe": "Succeeded", taken: "Succeeded", left: "Skipped", "last": "Succeeded"}
    assert left not in drplan.calls()
    [message] = [action["message"] for action in actions_of(status) if action["name"] == left]
    assert message.startswith("when not matched: outputs.probe.body == ")
