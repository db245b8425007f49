"""Many actions one after another: 50 stages, each after the one before."""

from __future__ import annotations

from bench.figures import Figure
from bench.floor import Floor
from bench.lab import Lab, Space
from bench.objects import config_map_action, execution, http_action, plan, revert, use, workflow

STAGES = 50


def http_calls(lab: Lab) -> None:
    """50 x 4 and 50 x 20 HTTP actions that are answered at once."""
    per_action = {}
    with lab.space("calls") as space:
        for width in (4, 20):
            floor, name = lab.floor(), f"calls-{width}"
            _prepare_calls(space, name, width)
            seconds = space.timed_runs(name, lambda n, name=name: execution(f"{name}-{n}", name))  # type: ignore[misc]
            per_action[width] = [value / (STAGES * width) * 1e3 for value in seconds]
            lab.add(*_calls_figures(width, seconds, floor))
            _note_cost(space, name)
    small = sorted(per_action[4])[len(per_action[4]) // 2]
    ratio = [value / small for value in per_action[20]]
    lab.add(Figure("50 x 20 HTTP actions", "time per action, to that of 50 x 4", "x", ratio, target=1.5))


def objects(lab: Lab) -> None:
    """50 x 4 ConfigMaps, created and then taken back."""
    with lab.space("objects") as space:
        actions = [config_map_action(f"a{n}", f"$(params.s)-{n}", space.name) for n in range(4)]
        space.create(workflow("objects", actions, ["s"]))
        space.create(plan("objects", [[use("objects", s=f"s{n}")] for n in range(STAGES)]))
        floor, forward, back = lab.floor(), [], []
        for number in range(lab.rounds + 1):
            name = f"run-{number}"
            with space.costing("50 x 4 ConfigMaps: execute and revert", lambda name=name: (name, f"{name}-back")):  # type: ignore[misc]
                space.wait_free("objects")
                forward.append(space.run(execution(name, "objects")).seconds)
                space.wait_free("objects")
                back.append(space.run(revert(f"{name}-back", "objects", name)).seconds)
    bare = STAGES * 4 * floor.small_write * 2
    lab.add(
        Figure("50 x 4 ConfigMaps", "execute", "s", forward[1:], 4.0, bare),
        Figure("50 x 4 ConfigMaps", "revert", "s", back[1:], 4.0, bare),
    )


def _prepare_calls(space: Space, name: str, width: int) -> None:
    url = f"{space.lab.target.url}/{space.name}/$(params.s)"
    space.create(workflow(name, [http_action(f"a{n}", f"{url}/{n}") for n in range(width)], ["s"]))
    space.create(plan(name, [[use(name, s=f"s{n}")] for n in range(STAGES)]))


def _calls_figures(width: int, seconds: list[float], floor: Floor) -> list[Figure]:
    case, bare = f"50 x {width} HTTP actions", STAGES * width * floor.action
    limits = (2.5, 2.5) if width == 4 else (None, None)
    note = (
        f"floor: small write {floor.small_write * 1e3:.2f} ms, call {floor.call * 1e3:.2f} ms, "
        f"status of 200 actions {floor.status_write * 1e3:.0f} ms"
    )
    return [
        Figure(case, "execute", "s", seconds, limits[0], bare, note),
        Figure(case, "execute, to bare writes and calls", "x", [value / bare for value in seconds], limits[1]),
    ]


def _note_cost(space: Space, name: str) -> None:
    space.wait_free(name)
    with space.costing(f"{name.replace('-', ' ')} a stage", lambda: [f"{name}-cost"]):
        space.run(execution(f"{name}-cost", name))
        space.wait_free(name)
