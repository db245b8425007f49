"""Who gives way when a port is full (no I/O)."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from app.service.crowd import Crowd, Standing


@dataclass(eq=False)
class Someone:
    peer: str
    since: float = 0.0
    rank: Standing = Standing.UNPROVEN
    evicted: list[float] = field(default_factory=list)

    def standing(self, now: float) -> Standing:
        return self.rank

    def evict(self) -> None:
        self.evicted.append(1.0)


def crowd(*guests: Someone, most: int, per_peer: int = 99) -> Crowd:
    made = Crowd(most, per_peer)
    for each in guests:
        assert made.admit(each, 0.0) == (True, None)
    return made


def test_of_the_least_standing_the_oldest_of_the_greatest_peer_gives_way() -> None:
    busy, kept = Someone("a", rank=Standing.BUSY), Someone("a", rank=Standing.KEPT)
    lone, old, young = Someone("b", 1.0), Someone("c", 2.0), Someone("c", 3.0)
    full = crowd(busy, kept, lone, old, young, most=5)
    victims = [full.admit(Someone(f"new-{n}", 10.0 + n, Standing.BUSY), 20.0)[1] for n in range(4)]
    assert victims == [old, lone, young, kept]
    assert full.admit(Someone("x"), 20.0) == (False, None)
    assert [len(each.evicted) for each in (busy, kept, lone, old, young)] == [0, 1, 1, 1, 1]


def test_a_peer_at_its_limit_only_hurts_itself() -> None:
    honest = Someone("api-server", 0.0, Standing.KEPT)
    greedy = [Someone("greedy", float(n)) for n in range(3)]
    full = crowd(honest, *greedy, most=10, per_peer=3)
    assert full.admit(Someone("greedy", 9.0), 20.0) == (True, greedy[0])
    assert honest in full
    assert len(full) == 4


def test_a_peer_that_is_busy_on_all_is_refused() -> None:
    full = crowd(*(Someone("p", rank=Standing.BUSY) for _ in range(3)), most=10, per_peer=3)
    assert full.admit(Someone("p"), 1.0) == (False, None)
    assert full.admit(Someone("q"), 1.0) == (True, None)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(list(Standing)), st.booleans()), max_size=60))
def test_the_limits_hold_and_nobody_is_lost(steps: list[tuple[str, Standing, bool]]) -> None:
    full, inside = Crowd(6, 4), list[Someone]()
    for number, (peer, rank, leaves) in enumerate(steps):
        if leaves and inside:
            full.leave(inside.pop(0))
            continue
        new = Someone(peer, float(number), rank)
        entered, victim = full.admit(new, float(number))
        if victim is not None:
            assert victim.standing(0.0) is not Standing.BUSY
            inside.remove(victim)  # type: ignore[arg-type]
        inside += [new] if entered else []
        assert len(full) == len(inside) <= 6
        assert all(sum(each.peer == name for each in inside) <= 4 for name in "abcd")
        assert all(each in full for each in inside)


def test_leaving_twice_is_fine() -> None:
    one = Someone("a")
    full = crowd(one, most=2)
    full.leave(one)
    full.leave(one)
    assert len(full) == 0
    assert one not in full
