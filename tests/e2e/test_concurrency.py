"""Many plans run at once, one plan never twice (invariants 5 and 7, decisions P2 and D7)."""

from __future__ import annotations

from tests.e2e.rivals import RIVALS, check_only_one_ran, held_plan
from tests.e2e.support import attempt_together, create, create_together
from tests.support.installation import Installation, execution, http_action, plan, revert, stage, workflow


def test_twenty_plans_run_together(drplan: Installation) -> None:
    """All twenty first actions are under way at the same moment: every call has arrived and none was answered."""
    root, count = f"/{drplan.namespace}", 20
    drplan.site.hold(f"{root}/together")
    url = f"{drplan.site.url}{root}/together"
    create(drplan, workflow("w", [http_action("x", url), http_action("y", f"{drplan.site.url}{root}/after")]))
    create_together(drplan, [plan(f"p{number}", [stage("s", "w")]) for number in range(count)])
    create_together(drplan, [execution(f"e{number}", f"p{number}") for number in range(count)])
    drplan.site.wait_for(f"{root}/together", times=count, timeout=60)
    assert not drplan.site.calls(f"{root}/after"), "nobody was answered, so nobody has gone on"
    drplan.site.let_go(f"{root}/together")
    for number in range(count):
        drplan.wait_phase(f"e{number}", "Succeeded")
    assert len(drplan.site.calls(f"{root}/together")) == count
    assert len(drplan.site.calls(f"{root}/after")) == count


def test_slow_plan_delays_neither_another_plan_nor_a_cancel(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/slow")
    create(
        drplan,
        workflow("slow", [http_action("slow", f"{url}/slow")]),
        workflow("quick", [http_action("quick", f"{url}/quick")]),
        plan("ps", [stage("s", "slow")]),
        plan("pq", [stage("s", "quick")]),
        execution("es", "ps"),
    )
    drplan.site.wait_for(f"{root}/slow")
    drplan.run("eq", "pq")
    assert drplan.status("es")["phase"] == "Running"
    drplan.site.let_go(f"{root}/slow")
    drplan.wait_phase("es", "Succeeded")


def test_executions_created_at_the_same_moment(drplan: Installation) -> None:
    """Some are refused at admission, others may get past it together: one runs in any case."""
    held_plan(drplan)
    names = [f"e{number}" for number in range(RIVALS)]
    answers = attempt_together(drplan, [execution(name, "p") for name in names])
    admitted = [name for name, status in zip(names, answers, strict=True) if status == 201]
    assert admitted
    assert set(answers) <= {201, 403, 400, 409, 422}
    check_only_one_ran(drplan, admitted)


def test_second_execution_of_a_running_plan_is_refused(drplan: Installation) -> None:
    held_plan(drplan)
    create(drplan, execution("e", "p"))
    drplan.site.wait_for(f"/{drplan.namespace}/x")
    answer = drplan.cluster.kubectl(
        "create", "-f", "-", stdin=execution("second", "p"), namespace=drplan.namespace, check=False
    )
    assert answer.rc == 1
    assert f"plan p already has a running execution: {drplan.namespace}/e" in answer.stderr
    answer = drplan.cluster.kubectl(
        "create", "-f", "-", stdin=revert("back", "p", "e"), namespace=drplan.namespace, check=False
    )
    assert f"plan p already has a running execution: {drplan.namespace}/e" in answer.stderr
    assert "must be in a terminal phase (Succeeded, Failed or Cancelled), got Running" in answer.stderr
    drplan.site.let_go(f"/{drplan.namespace}/x")
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    drplan.run("third", "p")
