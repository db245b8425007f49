"""Many plans at once, each a sequence of slow calls."""

from __future__ import annotations

import time

from bench.figures import Figure
from bench.lab import Lab, Space
from bench.objects import execution, http_action, plan, use, workflow
from bench.target import Call
from bench.watch import Seen

FRESH_SECONDS = 5.0


def twenty(lab: Lab) -> None:
    """20 plans, 5 actions of 200 ms each."""
    _measure(lab, plans=20, actions=5, milliseconds=200, target=1.6)


def hundred(lab: Lab) -> None:
    """100 plans, 20 actions of 100 ms each."""
    _measure(lab, plans=100, actions=20, milliseconds=100, target=4 * 2.0)


def prepare(space: Space, plans: int, actions: int, milliseconds: int) -> list[str]:
    """Make plans whose calls are told apart by their execution; return their names."""
    url = f"{space.lab.target.url}/{space.name}/$(executionName)"
    space.create(workflow("slow", [http_action(f"a{n}", f"{url}/{n}?ms={milliseconds}") for n in range(actions)]))
    names = [f"plan-{number:03}" for number in range(plans)]
    space.create_at_once(plan(name, [[use("slow")]]) for name in names)
    space.wait_free(*names)
    return names


def run_all(space: Space, plans: list[str], number: int) -> tuple[float, list[str]]:
    """Run all plans at once; return the seconds from the first creation to the last visible end, and the runs."""
    runs = [f"{plan}-run-{number}" for plan in plans]
    started = time.perf_counter()
    space.create_at_once(execution(run, plan) for run, plan in zip(runs, plans, strict=True))
    return max(space.watch.wait_phase(run).at for run in runs) - started, runs


def _measure(lab: Lab, *, plans: int, actions: int, milliseconds: int, target: float) -> None:
    case, ideal = f"{plans} plans, {actions} x {milliseconds} ms", actions * milliseconds / 1e3
    seconds, ages, cpu = [], [], []
    with lab.space("parallel") as space:
        names = prepare(space, plans, actions, milliseconds)
        for number in range(lab.rounds):
            used, runs = lab.cpu()["controller"], [f"{name}-run-{number}" for name in names]
            with space.costing(case, lambda runs=runs: runs):  # type: ignore[misc]
                took, _ = run_all(space, names, number)
                space.wait_free(*names)
            seconds.append(took)
            cpu.append((lab.cpu()["controller"] - used) / (plans * actions) * 1e3)
            ages.append(_oldest(space, runs))
    lab.add(
        Figure(case, "first creation to last visible end", "s", seconds, target, ideal, "floor: the calls alone"),
        Figure(case, "oldest status meanwhile", "s", ages, FRESH_SECONDS),
        Figure(case, "controller CPU for one call", "ms", cpu),
    )


def _oldest(space: Space, runs: list[str]) -> float:
    """Seconds from an answer to the first status that has its action as ended, of all actions the most."""
    calls: dict[str, list[Call]] = {}
    for call in space.lab.target.calls(f"/{space.name}/"):
        calls.setdefault(call.path.split("/")[2], []).append(call)
    return max(oldest_of(calls[run], space.watch.events(run)) for run in runs)


def oldest_of(calls: list[Call], events: list[Seen]) -> float:
    """The same of one run, from its calls and the events with its statuses."""
    return max(
        next(event.at for event in events if event.ended > number) - call.answered
        for number, call in enumerate(sorted(calls, key=lambda call: call.answered))
    )
