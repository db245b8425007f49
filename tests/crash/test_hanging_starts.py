"""References that nobody answers: their executions wait, others start, and whoever calls one off is heard at once."""

from __future__ import annotations

from tests.crash.harness import Crashing
from tests.support.installation import execution, plan, stage, workflow
from tests.support.proxy import Request, hold

HANGING = 12


def test_executions_whose_reference_hangs_hold_up_nobody(drplan: Crashing) -> None:
    """One is cancelled, one deleted while they wait, the controller is killed, and the rest starts once."""
    names = [f"hangs-{number}" for number in range(HANGING)]
    ref = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": drplan.namespace,
        "name": "slow",
        "jsonPath": "$.data.x",
    }
    parameter = {"name": "x", "valueFrom": {"manifestRef": ref}}
    drplan.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slow"}, "data": {"x": "1"}},
        workflow("w", [drplan.http("call", body="$(params.x)")], parameters=[{"name": "x"}]),
        workflow("good", [drplan.http("good")]),
        plan("good", [stage("s", "good")]),
        *(plan(name, [stage("s", "w")], globalParams=[parameter]) for name in names),
    )

    def reads_it(request: Request) -> bool:
        return request.method == "GET" and request.path.endswith(f"/{drplan.namespace}/configmaps/slow")

    held = drplan.proxy.on(reads_it, hold, times=None)
    drplan.create(*(execution(name, name) for name in names))
    drplan.wait(lambda: held.seen >= HANGING, 60.0, "they read one after the other")
    drplan.create(execution("good", "good"))
    drplan.ended("good", plan="good")
    what = f"Waiting for ConfigMap {drplan.namespace}/slow to be read, since 20"
    says = lambda: drplan.status(names[-1]).get("message", "").startswith(what)  # noqa: E731
    drplan.wait(says, 60.0, "it does not say what it waits for")
    drplan.cancel(names[0])
    drplan.remove(names[1])
    drplan.wait(
        lambda: drplan.status(names[0]).get("phase") == "Cancelled", 30.0, "a start that waits is not cancelled"
    )
    drplan.wait(lambda: not drplan.exists("drpe", names[1]), 30.0, "a start that waits keeps its execution")
    assert all(drplan.status(name).get("phase", "Pending") == "Pending" for name in names[2:])
    drplan.controller.kill9()
    held.release()
    drplan.restart()
    for name in names[2:]:
        drplan.ended(name, plan=name)
    assert drplan.calls() == {"good": 1, "call": HANGING - 2}
