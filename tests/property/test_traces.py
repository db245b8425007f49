"""Spans of whole runs: one for each part, under its parent, however often the controller is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from app.engine.build import execute_definition
from app.engine.definition import Address
from app.engine.health import Answer
from app.engine.outcome import Outcome
from app.engine.tree import running_actions
from app.models.execution import DRPlanExecution, DRPlanExecutionSpec, DRPlanExecutionStatus
from app.models.meta import ObjectMeta
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from app.runtime.tracing import PastSpan, Traces, identity_of
from controller.run.traces import RunTrace
from tests.property.plans import snapshots
from tests.property.tries import tries
from tests.property.world import Behaviour, World

OUTCOMES = ("ok", "ok", "broken", "flaky")
FATES = st.lists(st.sampled_from(OUTCOMES), min_size=1)
ORDERS = st.lists(st.integers(0, 20), max_size=40)
KILLS = st.lists(st.sampled_from(["", "", "before", "after"]), min_size=1, max_size=40)


class Kept(Traces):
    """Keeps spans instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[PastSpan] = []

    @property
    def recording(self) -> bool:
        return True

    def record(self, span: PastSpan) -> None:
        self.spans.append(span)


class TracedWorld(World):
    """A world whose controllers trace what they commit; one that is killed after a commit says nothing of it."""

    def __init__(self, snapshot: Snapshot, behaviour: Behaviour) -> None:
        super().__init__(execute_definition(snapshot), behaviour)
        self.snapshot = snapshot
        self.kept = Kept()
        self.untold: set[str] = set()
        """Parts whose end was committed and not traced."""
        self.trace = self._new_trace()

    def step(
        self, results: dict[Address, Outcome], *, answers: dict[int, Answer] | None = None, killed: str = ""
    ) -> None:
        old = self.status
        super().step(results, answers=answers, killed=killed)
        if not killed:
            self.trace.follow(old, self.status, [])
        elif killed == "after":
            before = {name for name, phase in self.parts(old) if phase.is_final}
            self.untold |= {name for name, phase in self.parts(self.status) if phase.is_final} - before

    def restart(self) -> None:
        super().restart()
        self.trace = self._new_trace()

    def finish(self) -> DRPlanExecutionStatus:
        status = super().finish()
        self.trace.end(
            DRPlanExecution(
                metadata=ObjectMeta(uid=self.snapshot.execution_uid),
                spec=DRPlanExecutionSpec(plan_ref="plan", operation_type=self.snapshot.operation),
                status=status,
            )
        )
        return status

    def parts(self, status: DRPlanExecutionStatus) -> Iterator[tuple[str, Phase]]:
        """Identity and phase of every part that is to have a span when it has ended.

        None within a skipped one, and no action that was skipped before it began.
        """
        for stage in status.stage_statuses:
            yield self._identity(stage.name), stage.phase
            if stage.phase is Phase.SKIPPED:
                continue
            for w, workflow in enumerate(stage.workflow_executions):
                yield self._identity(stage.name, w), workflow.phase
                if workflow.phase is Phase.SKIPPED:
                    continue
                for action in workflow.action_statuses:
                    if action.attempt or action.phase is Phase.FAILED:
                        yield self._identity(stage.name, w, action.name), action.phase

    def _identity(self, *path: str | int) -> str:
        return identity_of(self.snapshot.execution_uid, *path)

    def _new_trace(self) -> RunTrace:
        in_doubt = [address for address, _ in running_actions(self.status)]
        return RunTrace(self.kept, self.snapshot, self.definition, in_doubt=in_doubt, now=self.now)


def behaviours(fates: list[str]) -> Behaviour:
    return lambda address, attempt: fates[(sum(address) * 13 + address.action + attempt) % len(fates)]


def play(world: TracedWorld, order: list[int], kills: list[str]) -> DRPlanExecutionStatus:
    world.step({})
    for number, choice in enumerate(order):
        if not world.in_flight:
            break
        world.advance(0.7)
        world.end(choice, killed=kills[number % len(kills)])
    return world.finish()


@given(snapshot=snapshots(), fates=FATES, order=ORDERS)
@tries(40)
def test_every_part_has_one_span_within_its_parent(snapshot: Snapshot, fates: list[str], order: list[int]) -> None:
    world = TracedWorld(snapshot, behaviours(fates))
    status = play(world, order, [""])
    spans = {span.identity: span for span in world.kept.spans}
    assert len(spans) == len(world.kept.spans)
    root = identity_of(snapshot.execution_uid)
    assert set(spans) == {root, *(name for name, _ in world.parts(status))}
    for span in spans.values():
        if span.identity != root:
            parent = spans[span.parent]
            assert parent.start <= span.start <= span.end <= parent.end


@given(snapshot=snapshots(), fates=FATES, order=ORDERS, kills=KILLS)
@tries(40)
def test_a_killed_controller_loses_only_what_it_committed_last(
    snapshot: Snapshot, fates: list[str], order: list[int], kills: list[str]
) -> None:
    world = TracedWorld(snapshot, behaviours(fates))
    status = play(world, order, kills)
    told = Counter(span.identity for span in world.kept.spans)
    assert set(told.values()) == {1}
    wanted = {identity_of(snapshot.execution_uid), *(name for name, _ in world.parts(status))}
    assert set(told) <= wanted
    assert all(span.parent in wanted for span in world.kept.spans if span.parent)
    for missing in wanted - set(told):
        assert any(missing == part or missing.startswith(f"{part}/") for part in world.untold)
