"""kill -9 at random moments of one long run: nothing that was finished is ever repeated."""

from __future__ import annotations

import random

from tests.crash.harness import Crashing, key_of
from tests.support.installation import actions_of, config_map_action, execution, plan, stage, workflow
from tests.support.proxy import Request, Rule, after, before, request_to

ACTIONS = 60
KILLS = 8
SEED = 20260


def test_eight_random_kills_in_sixty_actions(drplan: Crashing) -> None:
    rand = random.Random(SEED)
    half = ACTIONS // 2
    calls = [f"call{n:02d}" for n in range(half)]
    maps = [f"map{n:02d}" for n in range(half)]
    actions = [
        action
        for call, name in zip(calls, maps, strict=True)
        for action in (drplan.http(call), config_map_action(name, name, drplan.namespace))
    ]
    drplan.create(
        workflow("w1", actions[:20]),
        workflow("w2", actions[20:40]),
        workflow("w3", actions[40:]),
        plan("p", [stage("s1", "w1"), stage("both", "w2", "w3", parallel=True, dependsOn=["s1"])]),
    )

    def writes(request: Request) -> bool:
        return request.method != "GET" and "/leases/" not in request.path and "/events" not in request.path

    def arm() -> None:
        moment = rand.choice((before, after))
        rules.append(drplan.proxy.on(writes, moment(drplan.controller.kill9), nth=rand.randrange(3, 18)))

    rules: list[Rule] = []
    arm()
    drplan.create(execution("e", "p"))
    for _ in range(KILLS):
        drplan.crash(rules[-1])
        drplan.proxy.clear()
        if len(rules) < KILLS:
            arm()
        drplan.free_lease()
        drplan.controller.start()
    status = drplan.ended("e", timeout=90.0)
    assert len(actions_of(status)) == ACTIONS
    made = drplan.calls()
    assert set(made) == set(calls)
    assert sum(made.values()) <= half + 2 * KILLS  # two branches: at most two calls in flight at a kill
    for call in calls:
        assert len({key_of(item) for item in drplan.site.calls(drplan.path(call))}) == 1
    creates = drplan.proxy.accepted(request_to("POST", f"/{drplan.namespace}/configmaps"), since=drplan.since)
    assert sorted(request.json["metadata"]["name"] for request in creates) == maps
    assert {item["attempt"] for item in actions_of(status)} == {1}
    drplan.wait(lambda: len(drplan.segments()) <= 3, 20.0, "covered segments are left")
