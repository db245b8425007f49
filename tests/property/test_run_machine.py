"""A run against a world that ends attempts in any order, kills the controller anywhere, cancels and suspends at will.

What must hold is asserted by `World` at every event and by `legal` for every status (invariants 1, 2, 3, 8, 9).
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.engine.build import execute_definition
from app.engine.definition import Address
from app.engine.tree import action_at
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from tests.property.legal import check_counts, shape
from tests.property.plans import checked_snapshots
from tests.property.tries import tries
from tests.property.world import World

KILLS = st.sampled_from(["", "", "", "before", "after"])
OUTCOMES = ("ok", "ok", "ok", "broken", "flaky")


class RunMachine(RuleBasedStateMachine):
    world: World

    @initialize(
        snapshot=checked_snapshots(),
        fates=st.lists(st.sampled_from(OUTCOMES), min_size=1),
        health=st.lists(st.sampled_from([True, True, False]), min_size=1),
        tight=st.booleans(),
    )
    def start(self, snapshot: Snapshot, fates: list[str], health: list[bool], tight: bool) -> None:
        def behaviour(address: Address, attempt: int) -> str:
            return fates[(address.stage * 31 + address.workflow * 17 + address.action * 7 + attempt) % len(fates)]

        def finds(check: int, attempt: int) -> bool:
            return health[(check * 3 + attempt) % len(health)]

        self.world = World(execute_definition(snapshot), behaviour, finds, tight=tight)
        self.world.step({})

    @precondition(lambda self: self.world.in_flight)
    @rule(number=st.integers(0, 20), killed=KILLS)
    def an_attempt_ends(self, number: int, killed: str) -> None:
        self.world.end(number, killed=killed)

    @precondition(lambda self: self.world.probing)
    @rule(number=st.integers(0, 20), killed=KILLS)
    def a_health_check_is_answered(self, number: int, killed: str) -> None:
        self.world.answer(number, killed=killed)

    @rule(killed=KILLS)
    def nothing_happens(self, killed: str) -> None:
        if not self.world.over:
            self.world.step({}, killed=killed)

    @rule(seconds=st.sampled_from([0.4, 1, 3, 20, -2]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def the_status_is_stored(self) -> None:
        self.world.write_status()

    @rule()
    def the_controller_is_killed(self) -> None:
        self.world.restart()

    @precondition(lambda self: not self.world.over)
    @rule(killed=KILLS, sure=st.integers(0, 5))
    def somebody_cancels(self, killed: str, sure: int) -> None:
        if not sure:
            self.world.cancel(killed=killed)

    @rule()
    def the_outcome_of_a_write_stays_unknown(self) -> None:
        self.world.suspend()

    @rule()
    def somebody_resumes(self) -> None:
        self.world.resume()

    @invariant()
    def memory_agrees_with_the_journal(self) -> None:
        if not hasattr(self, "world"):
            return
        assert shape(self.world.status) == shape(self.world.journalled)
        check_counts(self.world.status)
        for address in self.world.in_flight:
            assert action_at(self.world.status, address).phase is Phase.RUNNING

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        status = self.world.finish()
        assert shape(status) == shape(self.world.journalled)
        if self.world.cancel_wish and any(c.reason == "CancelRequested" for c in status.conditions):
            assert status.phase is Phase.CANCELLED


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = tries(80, steps=40)
