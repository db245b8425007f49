"""AC8 and E3: fifty stages with two hundred actions, executed and reverted, on record in full."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.stories import (
    CLUSTERNET,
    check_tracked,
    controller_of,
    localization_action,
    outline,
    undone_by_http,
    wait_valid,
)
from tests.support.cluster import Cluster
from tests.support.installation import (
    Installation,
    actions_of,
    check_summary,
    config_map_action,
    plan,
    stage,
    workflow,
)
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("big-plan")

STAGES = 50
ACTIONS = 4 * STAGES
LIMIT = 1024 * 1024
MEMORY = 512 * 1024 * 1024
"""Bytes that the Go operator's chart gives its container."""


@dataclass(frozen=True)
class Big:
    """The plan's run and its Revert as stored, and what the controller was before and after."""

    drplan: Installation
    executed: dict[str, Any]
    reverted: dict[str, Any]
    in_between: int
    pids: tuple[int | None, int | None]


@pytest.fixture(scope="module")
def big(installed: Cluster, site: Site) -> Big:
    """Each stage runs one workflow of four actions with its own parameter, after the stage before."""
    drplan = Installation(installed, site, installed.namespace("big"))
    ns, url = drplan.namespace, f"{site.url}/{drplan.namespace}"
    drplan.apply(
        workflow(
            "four",
            [
                config_map_action("first", "first-$(params.part)", ns),
                undone_by_http("switch", f"{url}/$(params.part)"),
                localization_action("localize", "loc-$(params.part)", ns),
                config_map_action("last", "last-$(params.part)", ns),
            ],
            parameters=[{"name": "part", "required": True}],
        ),
        plan("p", [_stage(number) for number in range(STAGES)]),
    )
    wait_valid(drplan, "p")
    before = controller_of(drplan).pid
    drplan.run("run", "p", timeout=120)
    drplan.wait_unlocked("p")
    in_between = _count(drplan)
    drplan.take_back("undo", "p", "run", timeout=120)
    drplan.wait_unlocked("p")
    pids = (before, controller_of(drplan).pid)
    return Big(drplan, drplan.get("drpe", "run"), drplan.get("drpe", "undo"), in_between, pids)


def _stage(number: int) -> dict[str, Any]:
    use = {"workflowRef": {"name": "four"}, "params": [{"name": "part", "value": f"p{number:02}"}]}
    return stage(f"s{number:02}", use, **({"dependsOn": [f"s{number - 1:02}"]} if number else {}))


def _count(drplan: Installation) -> int:
    """How many of the objects that the run makes exist."""
    ns, api = drplan.namespace, drplan.cluster.api
    made = api.get(f"/api/v1/namespaces/{ns}/configmaps?labelSelector=dr.bkbcs.tencent.com%2Fexecution")["items"]
    return len(made) + len(api.get(f"{CLUSTERNET}/namespaces/{ns}/localizations")["items"])


def test_e3_fifty_stages_are_executed_and_reverted(big: Big) -> None:
    names = [f"s{number:02}" for number in range(STAGES)]
    forward = ["first", "switch", "localize", "last"]
    assert outline(big.executed["status"]) == [(name, [("four", forward)]) for name in names]
    assert outline(big.reverted["status"]) == [(name, [("four", forward[::-1])]) for name in reversed(names)]
    assert big.reverted["status"]["message"] == (
        f"Plan reverted successfully: {STAGES} stage(s) rolled back, {ACTIONS} action(s) rolled back, "
        "0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    assert big.in_between == 3 * STAGES
    assert _count(big.drplan) == 0
    ns = big.drplan.namespace
    calls = [(call.method, call.path) for call in big.drplan.site.calls(prefix=f"/{ns}/")]
    assert calls == [
        *(("POST", f"/{ns}/p{number:02}") for number in range(STAGES)),
        *(("DELETE", f"/{ns}/p{number:02}/undo") for number in reversed(range(STAGES))),
    ]
    assert big.drplan.plan_status("p")["phase"] == "Ready"


def test_ac8_two_hundred_actions_are_recorded_in_full_under_one_mebibyte(big: Big) -> None:
    for stored in (big.executed, big.reverted):
        status = stored["status"]
        check_tracked(status)
        check_summary(status)
        assert status["summary"]["succeededActions"] == ACTIONS
        assert status["progress"] == f"{ACTIONS}/{ACTIONS}"
        assert len(actions_of(status)) == ACTIONS
        assert len(json.dumps(stored)) < LIMIT


def test_ac8_no_memory_trouble(big: Big) -> None:
    assert big.pids[0] == big.pids[1]
    metrics = controller_of(big.drplan).metrics()
    used = next(line for line in metrics.splitlines() if line.startswith("process_resident_memory_bytes "))
    assert float(used.split()[1]) < MEMORY
