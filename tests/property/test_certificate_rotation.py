"""At whatever moment replicas stand still, what a ready one serves is signed by an authority in every caBundle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.certificates.world import POLICY, Replica, World, problem_of
from webhook.certificates.kept import ROTATE

pytestmark = pytest.mark.slow

STEP = st.tuples(st.just("step"), st.integers(0, 2), st.integers(1, 25))
WAIT = st.tuples(st.just("wait"), st.sampled_from([0, 1, 4, 9, 11, 30, 70]), st.just(0))
RESTART = st.tuples(st.just("restart"), st.integers(0, 2), st.just(0))
OTHER = st.tuples(st.sampled_from(["lose", "rotate"]), st.integers(0, 1), st.just(0))
EVENTS = st.lists(st.one_of(STEP, STEP, STEP, WAIT, WAIT, RESTART, OTHER), min_size=20, max_size=150)


def happen(world: World, replicas: list[Replica], event: tuple[str, int, int]) -> None:
    kind, which, count = event
    if kind == "wait":
        world.seconds += which
    elif kind == "restart":
        replicas[which].end()
        replicas[which] = Replica(world)
    elif kind == "lose":
        world.lose()
    elif kind == "rotate":
        world.secrets["ca" if which else "tls"]["metadata"].setdefault("annotations", {})[ROTATE] = "true"
    elif kind == "step":
        for _ in range(count):
            replicas[which].step()
            for replica in replicas:
                assert problem_of(world, replica) is None


@settings(max_examples=60)
@given(events=EVENTS)
def test_what_is_served_is_always_trusted(events: list[tuple[str, int, int]]) -> None:
    world = World()
    replicas = [Replica(world) for _ in range(3)]
    try:
        for _ in range(2):
            for replica in replicas:
                replica.look()
            world.seconds += 11
        for replica in replicas:
            replica.look()
        assert all(replica.ready for replica in replicas)
        happen(world, replicas, ("rotate", 0, 0))
        for event in events:
            happen(world, replicas, event)
            for replica in replicas:
                assert problem_of(world, replica) is None, event
    finally:
        for replica in replicas:
            replica.end()


@settings(max_examples=4)
@given(order=st.lists(st.integers(0, 1), min_size=10, max_size=40))
def test_replicas_agree_and_rotation_comes_to_its_end(order: list[int]) -> None:
    world = World()
    replicas = [Replica(world), Replica(world)]
    for which in order:
        replicas[which].step()
    for _ in range(250):
        for replica in replicas:
            replica.look()
            assert problem_of(world, replica) is None
        world.seconds += 8
    kept = world.kept()
    assert all(replica.live.served == kept.pair for replica in replicas)
    assert all(replica.ready for replica in replicas)
    assert not kept.pair.expired(world.now())
    # a new authority every 800 s, the one before dropped at most one certificate's life and the margins later
    assert len(kept.authorities) <= 2
    assert kept.authorities[0].not_valid_before_utc > world.now() - POLICY.authority_lifetime
