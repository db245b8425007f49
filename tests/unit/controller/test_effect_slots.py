"""Slots for actions under way: bounded, fair between runs, and none is lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from app.runtime import metrics
from controller.effect_slots import EffectSlots


def nobody() -> None:
    """Wake nobody."""


def test_one_run_alone_leaves_slots_for_the_first_action_of_another() -> None:
    slots = EffectSlots(500)
    assert slots.ask("big", 1000, nobody) == 400
    assert [slots.ask(f"small-{n}", 1, nobody) for n in range(100)] == [1] * 100
    assert slots.ask("late", 1, nobody) == 0, "all are taken"
    assert slots.awaits("late")


@pytest.mark.parametrize("most", [1, 2, 3, 10, 57])
def test_every_bound_lets_runs_go_on(most: int) -> None:
    slots = EffectSlots(most)
    done = 0
    while done < 200:
        taken = slots.ask("r", 200 - done, nobody)
        assert 1 <= taken <= most
        slots.give_back("r", taken)
        done += taken


def test_freed_slots_go_to_who_has_the_fewest_then_to_who_waited_longest() -> None:
    slots, woken = EffectSlots(4), list[str]()
    assert [slots.ask(uid, 3, lambda: woken.append("ab")) for uid in "ab"] == [3, 1]
    for uid in "cd":
        assert slots.ask(uid, 1, lambda uid=uid: woken.append(uid)) == 0  # type: ignore[misc]
    slots.give_back("a")
    slots.give_back("a")
    assert woken == ["c", "d"]


def test_what_is_kept_for_a_run_is_not_taken_by_others_and_goes_on_when_it_is_not_wanted() -> None:
    slots, woken = EffectSlots(1), list[str]()
    assert slots.ask("a", 1, nobody) == 1
    assert slots.ask("b", 1, lambda: woken.append("b")) == 0
    assert slots.ask("c", 1, lambda: woken.append("c")) == 0
    slots.give_back("a")
    assert woken == ["b"]
    assert not slots.awaits("b")
    assert slots.ask("a", 1, nobody) == 0, "the one that ended cannot be faster than the one that waits"
    assert slots.ask("b", 0, nobody) == 0, "b was cancelled meanwhile"
    assert woken == ["b", "c"]
    slots.leave("c")
    assert slots.ask("a", 1, nobody) == 1


def test_what_an_earlier_process_had_begun_goes_on_beyond_the_bound() -> None:
    slots = EffectSlots(2)
    for _ in range(5):
        slots.hold("resumed")
    assert slots.ask("resumed", 1, nobody) == 0
    assert slots.ask("other", 1, nobody) == 0
    slots.give_back("resumed", 4)
    assert slots.ask("other", 1, nobody) == 1


def test_whatever_runs_do_the_bound_holds_nobody_starves_and_no_slot_is_lost() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        most = rng.randint(1, 30)
        slots, held, missing = EffectSlots(most), Counter[str](), {f"r{n}": rng.randint(1, 60) for n in range(8)}
        woken = set(missing)
        for _ in range(4000):
            if not any(missing.values()) and not held.total():
                break
            asking = [uid for uid in sorted(woken) if missing.get(uid, 0)]
            if asking and rng.random() < 0.6:
                uid = rng.choice(asking)
                woken.discard(uid)
                taken = slots.ask(uid, missing[uid], lambda uid=uid, woken=woken: woken.add(uid))  # type: ignore[misc]
                held[uid] += taken
                missing[uid] -= taken
            elif held.total():
                uid = rng.choice(sorted(held.elements()))
                if rng.random() < 0.02:
                    slots.leave(uid)
                    held.pop(uid)
                    missing[uid] = 0
                else:
                    held[uid] -= 1
                    slots.give_back(uid)
            assert held.total() <= most
        assert not any(missing.values()), f"seed {seed}: somebody was not woken"
        for uid in missing:
            slots.leave(uid)
        assert [slots.ask(f"n{n}", 1, nobody) for n in range(most)] == [1] * most, f"seed {seed}: a slot is lost"
        for n in range(most):
            slots.leave(f"n{n}")
    for state in ("running", "waiting"):
        assert metrics.REGISTRY.get_sample_value("drplan_action_effects", {"state": state}) == 0
