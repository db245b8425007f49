"""What runs, reconciliations and reviews ask of the API server, counted in its audit log: figures without noise."""

from __future__ import annotations

from collections import Counter
from typing import Any

from devcluster.audit import AuditedRequest
from tests.acceptance.looks import is_look
from tests.acceptance.stories import controller_of, wait_valid
from tests.support.installation import Installation, execution, http_action, plan, stage, workflow

OURS = ("drworkflows", "drplans", "drplanexecutions")
WRITES = ("create", "update", "patch", "delete")
ACTIONS = 40


def _asked(drplan: Installation, mark: int, identity: str = "controller") -> list[AuditedRequest]:
    """What a process asked for, without its lease, its watches and the looks after these."""
    user = drplan.cluster.plane.identity(identity).username
    asked = drplan.cluster.audit.since(mark, user=user)
    return [r for r in asked if r.resource != "leases" and r.verb != "watch" and not is_look(r)]


def _journal_writes(asked: list[AuditedRequest]) -> list[AuditedRequest]:
    return [request for request in asked if request.name.startswith("drplan-journal-") and request.verb == "update"]


def _calls(drplan: Installation, count: int) -> list[dict[str, Any]]:
    url = f"{drplan.site.url}/{drplan.namespace}"
    return [http_action(f"a{number:02}", f"{url}/{number}") for number in range(count)]


def _reconciled(drplan: Installation, kind: str) -> float:
    """How many reconciliations of a kind have ended."""
    lines = controller_of(drplan).metrics().splitlines()
    wanted = f'drplan_reconcile_total{{controller="{kind}"'
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(wanted))


def test_a_sequence_of_actions_is_one_journal_write_an_action_and_a_bounded_rest(drplan: Installation) -> None:
    drplan.apply(workflow("w", _calls(drplan, ACTIONS)), plan("p", [stage("only", "w")]))
    wait_valid(drplan, "p")
    drplan.run("warm-up", "p")
    drplan.wait_unlocked("p")
    mark = drplan.cluster.audit.mark()
    drplan.run("run", "p")
    drplan.wait_unlocked("p")
    asked = _asked(drplan, mark)

    journal = _journal_writes(asked)
    assert len(journal) <= ACTIONS + 1 + 2 * len({request.name for request in journal})
    counts = Counter((request.verb, request.resource, request.subresource) for request in asked)
    assert counts["update", "drplans", "status"] == 2
    assert sum(count for (verb, resource, _), count in counts.items() if verb == "list" and resource in OURS) == 0
    others = [r for r in asked if r not in journal and r.resource != "events" and r.subresource != "status"]
    assert len(others) <= 16, Counter((request.verb, request.resource, request.name) for request in others)


def test_runs_at_once_share_the_writes_of_the_journal(drplan: Installation) -> None:
    runs, actions = 8, 10
    gate = f"/{drplan.namespace}/gate"
    first = http_action("gate", f"{drplan.site.url}{gate}")
    names = [f"p{number}" for number in range(runs)]
    drplan.apply(
        workflow("w", [first, *_calls(drplan, actions)]), *(plan(name, [stage("only", "w")]) for name in names)
    )
    for name in names:
        wait_valid(drplan, name)
    drplan.site.hold(gate)
    drplan.apply(*(execution(f"{name}-run", name) for name in names))
    drplan.site.wait_for(gate, times=runs)
    mark = drplan.cluster.audit.mark()
    drplan.site.let_go(gate)
    for name in names:
        drplan.wait_phase(f"{name}-run", "Succeeded")
    assert len(_journal_writes(_asked(drplan, mark))) <= runs * actions / 2


def test_reconciling_what_needs_nothing_asks_nothing(drplan: Installation) -> None:
    """Neither lists nor reads nor writes: caches answer."""
    drplan.apply(workflow("w", _calls(drplan, 1)), plan("p", [stage("only", "w")]))
    wait_valid(drplan, "p")
    runs = [f"run-{number}" for number in range(3)]
    for run in runs:
        drplan.run(run, "p")
        drplan.wait_unlocked("p")
    before = {kind: _reconciled(drplan, kind) for kind in ("drplanexecution", "drplan", "drworkflow")}
    mark = drplan.cluster.audit.mark()
    drplan.kubectl("annotate", "drpe", *runs, "note=seen")
    drplan.kubectl("annotate", "drp", "p", "note=seen")
    drplan.kubectl("annotate", "drw", "w", "note=seen")
    for kind, count in before.items():
        least = count + (len(runs) if kind == "drplanexecution" else 1)
        drplan.wait(lambda kind=kind, least=least: _reconciled(drplan, kind) >= least)  # type: ignore[misc]
    asked = [request for request in _asked(drplan, mark) if request.resource in OURS]
    assert asked == [], [(request.verb, request.uri) for request in asked]


def test_a_review_asks_for_no_more_than_it_must_know(drplan: Installation) -> None:
    names = [f"w{number}" for number in range(12)]

    def asked_for(*objects: dict[str, Any]) -> Counter[tuple[str, str]]:
        mark = drplan.cluster.audit.mark()
        drplan.apply(*objects)
        return Counter((request.verb, request.resource) for request in _asked(drplan, mark, "webhook"))

    assert asked_for(*(workflow(name, _calls(drplan, 2)) for name in names)) == {}
    assert asked_for(plan("p", [stage(f"s-{name}", name) for name in names])) == {("list", "drworkflows"): 1}
    wait_valid(drplan, "p")
    for_execution = asked_for(execution("run", "p"))
    assert for_execution[("list", "drplanexecutions")] == 1
    assert sum(for_execution.values()) <= 3, for_execution
    drplan.wait_phase("run", "Succeeded")
