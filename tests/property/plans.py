"""Random plans."""

from __future__ import annotations

from hypothesis import strategies as st

from app.models.actions import Action, RetryPolicy
from app.models.health import HealthCheck, HealthChecks, HttpCheck, PlanHealthChecks
from app.models.phases import PlanPolicy, StagePolicy, WorkflowPolicy
from app.models.snapshot import Snapshot
from tests.unit.engine.runs import S, W, http, snapshot_of

WHENS = ("", "", "", 'mode == "install"', 'mode == "delete" || mode == "upgrade"', "nonsense")
ROLLBACK = {"http": {"url": "http://site.invalid/undo"}}


@st.composite
def edges(draw: st.DrawFn, count: int) -> list[list[int]]:
    """For each of `count` nodes the nodes it depends on: no cycle, but in any order, forward references included."""
    order = draw(st.permutations(range(count)))
    position = {node: index for index, node in enumerate(order)}
    return [
        sorted(draw(st.sets(st.sampled_from(order[: position[node]]), max_size=3))) if position[node] else []
        for node in range(count)
    ]


@st.composite
def workflows(draw: st.DrawFn, prefix: str, whens: tuple[str, ...]) -> W:
    count = draw(st.integers(1, 5))
    depends = draw(edges(count)) if draw(st.booleans()) else [[] for _ in range(count)]

    def action(index: int) -> Action:
        return http(
            f"{prefix}-{index}",
            *(f"{prefix}-{other}" for other in depends[index]),
            when=draw(st.sampled_from(whens)),
            retry=RetryPolicy(limit=draw(st.integers(0, 2)), interval="1s"),
            rollback=draw(st.sampled_from([None, ROLLBACK])),
        )

    return W(tuple(action(index) for index in range(count)), draw(st.sampled_from(WorkflowPolicy)))


@st.composite
def snapshots(draw: st.DrawFn, whens: tuple[str, ...] = WHENS) -> Snapshot:
    """The snapshot of an Execute of a random plan."""
    count = draw(st.integers(1, 5))
    depends = draw(edges(count))
    stages = [
        S(
            name=f"s{index}",
            workflows=tuple(
                draw(workflows(f"{index}-{position}", whens)) for position in range(draw(st.integers(1, 3)))
            ),
            parallel=draw(st.booleans()),
            depends_on=tuple(f"s{other}" for other in depends[index]),
            policy=draw(st.sampled_from([None, *StagePolicy])),
        )
        for index in range(count)
    ]
    return snapshot_of(
        *stages, policy=draw(st.sampled_from(PlanPolicy)), at_once=draw(st.sampled_from([None, 1, 2, 3]))
    )


@st.composite
def health_checks(draw: st.DrawFn) -> HealthChecks:
    count = draw(st.integers(1, 3))
    return HealthChecks(
        checks=tuple(
            HealthCheck(
                name=f"h{index}",
                http=HttpCheck(url="http://site.invalid/health"),
                attempts=draw(st.sampled_from([None, 1, 2])),
                interval=draw(st.sampled_from([None, "1s"])),
            )
            for index in range(count)
        ),
        sustained_for=draw(st.sampled_from([None, None, "5s"])),
    )


@st.composite
def plan_health_checks(draw: st.DrawFn) -> PlanHealthChecks:
    return PlanHealthChecks(**draw(health_checks()).written(), on_execute=draw(st.booleans()))


@st.composite
def checked_snapshots(draw: st.DrawFn, whens: tuple[str, ...] = WHENS) -> Snapshot:
    """The snapshot of an Execute of a random plan, with random health checks."""
    snapshot = draw(snapshots(whens))
    spec = snapshot.plan_spec
    stages = tuple(
        stage.model_copy(update={"health_check": draw(st.none() | health_checks())}) for stage in spec.stages
    )
    update = {"stages": stages, "health_check": draw(st.none() | plan_health_checks())}
    return snapshot.model_copy(update={"plan_spec": spec.model_copy(update=update)})
