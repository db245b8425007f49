"""Whole runs in memory: from creation to the plan's history, by the real leader on a small API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.kube.resources import CONFIG_MAPS, EXECUTIONS, JOBS, PLANS, SECRETS, WORKFLOWS
from app.models.names import FINALIZER
from tests.support.installation import (
    actions_of,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.memory.controller import MemoryController, controller

SITE = "http://site.invalid"
NO_RETRY = {"limit": 0}


def call(name: str, **more: Any) -> dict[str, Any]:
    return http_action(name, f"{SITE}/{name}", **{"retryPolicy": NO_RETRY, **more})


def undone(name: str, **more: Any) -> dict[str, Any]:
    return call(name, rollback={"type": "HTTP", "http": {"url": f"{SITE}/un-{name}", "method": "POST"}}, **more)


async def planned(drplan: MemoryController, *actions: dict[str, Any], name: str = "p", **spec: Any) -> None:
    """Apply a plan of one workflow with these actions."""
    await drplan.apply(workflow(name, actions), plan(name, [stage("s", name)], **spec))


async def held(drplan: MemoryController, *actions: dict[str, Any]) -> asyncio.Event:
    """Have a run `e` of a plan `p` under way whose first call, to /a, waits for what is returned."""
    drplan.site.gates["/a"] = gate = asyncio.Event()
    await planned(drplan, *actions)
    await drplan.apply(execution("e", "p"))
    await drplan.until(lambda: drplan.site.calls)
    return gate


def history(drplan: MemoryController, name: str = "p") -> list[tuple[str, str]]:
    return [(each["name"], each["phase"]) for each in drplan.plan_status(name).get("executionHistory", [])]


async def test_a_run_and_its_way_back() -> None:
    async with controller() as drplan:
        await planned(drplan, undone("a"), undone("b", dependsOn=["a"]))
        status = await drplan.run("e", "p")
        assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded"}
        await drplan.take_back("back", "p", "e")
        assert drplan.site.calls == ["/a", "/b", "/un-b", "/un-a"]
        assert history(drplan) == [("back", "Succeeded"), ("e", "Succeeded")]
        assert [each.get("rolledBackBy") for each in actions_of(drplan.status("e"))] == ["back", "back"]
        assert drplan.execution("e")["metadata"]["finalizers"] == [FINALIZER]
        await drplan.until(lambda: "ExecutionSucceeded" in drplan.events("e"))
        assert drplan.events("e")[:4] == ["ExecutionStarted", "StageStarted", "WorkflowStarted", "ActionStarted"]


async def test_a_failure_keeps_the_rest_back_and_what_was_done_can_be_undone() -> None:
    async with controller() as drplan:
        drplan.site.answers["/b"] = 400
        await drplan.apply(
            workflow("w", [undone("a"), call("b")]),
            workflow("v", [call("c")]),
            plan("p", [stage("s", "w"), stage("t", "v")]),
        )
        status = await drplan.run("e", "p", "Failed")
        assert phases_of(status) == {"a": "Succeeded", "b": "Failed", "c": "Skipped"}
        await drplan.take_back("back", "p", "e")
        assert drplan.site.calls == ["/a", "/b", "/un-a"]


async def test_a_failed_attempt_is_repeated_by_the_retry_policy() -> None:
    async with controller() as drplan:
        drplan.site.answers["/a"] = 503
        await planned(drplan, call("a", retryPolicy={"limit": 2, "interval": "1ms"}))
        [action] = actions_of(await drplan.run("e", "p", "Failed"))
        assert (action["attempt"], drplan.site.calls) == (3, ["/a"] * 3)


async def test_cancel_stops_a_run_and_ends_what_waits() -> None:
    async with controller() as drplan:
        gate = await held(drplan, call("a"), call("b"))
        await drplan.annotate("e", cancel="true")
        await asyncio.sleep(0.05)
        gate.set()
        status = await drplan.ended("e", "Cancelled")
        assert phases_of(status)["b"] in ("Cancelled", "Skipped")
        assert drplan.site.calls == ["/a"]


async def test_one_run_of_a_plan_at_a_time() -> None:
    async with controller() as drplan:
        gate = await held(drplan, call("a"))
        status = await drplan.run("late", "p", "Failed")
        assert "already has a running execution: ns/e" in status["message"]
        gate.set()
        await drplan.ended("e")
        assert drplan.site.calls == ["/a"]


async def test_deleting_a_running_execution_cancels_it_and_keeps_its_history() -> None:
    async with controller() as drplan:
        gate = await held(drplan, call("a"), call("b"))
        await drplan.kube.delete(EXECUTIONS, "e", namespace="ns")
        gate.set()
        await drplan.until(lambda: drplan.api.find("drplanexecutions", "e") is None)
        assert history(drplan) == [("e", "Cancelled")]
        left = [each["metadata"]["name"] for each in drplan.api.objects("configmaps")]
        assert not [name for name in left if "snapshot" in name], left


async def test_an_execution_removed_by_force_frees_its_plan() -> None:
    async with controller() as drplan:
        gate = await held(drplan, call("a"))
        await drplan.kube.patch(EXECUTIONS, "e", {"metadata": {"finalizers": []}}, namespace="ns")
        await drplan.kube.delete(EXECUTIONS, "e", namespace="ns")
        gate.set()
        await drplan.until(lambda: "currentExecution" not in drplan.plan_status("p"))


async def test_what_cannot_start_says_why() -> None:
    async with controller() as drplan:
        lacking = await drplan.run("no-plan", "absent", "Failed")
        assert lacking["message"].startswith("plan not found")
        await drplan.apply(plan("p", [stage("s", "later")]))
        await drplan.until(lambda: drplan.plan_status("p").get("phase") == "Invalid")
        assert "not ready" in (await drplan.run("early", "p", "Failed"))["message"]
        await drplan.apply(workflow("later", [call("a")]))
        await drplan.until(lambda: drplan.plan_status("p").get("phase") == "Ready")
        await drplan.run("e", "p")
        refused = await drplan.take_back("back", "p", "absent", "Failed")
        assert "Failed to get target execution absent" in refused["message"]


def parameter(name: str, kind: str, of: str, path: str) -> dict[str, Any]:
    ref = {"apiVersion": "v1", "kind": kind, "namespace": "ns", "name": of, "jsonPath": path}
    return {"name": name, "valueFrom": {"manifestRef": ref}}


async def test_parameters_are_read_at_the_start_and_secrets_are_shown_nowhere() -> None:
    async with controller() as drplan:
        source = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"site": "b"}}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "data": {"k": "cGFzc3dvcmQ="}}
        await drplan.kube.create(CONFIG_MAPS, source, namespace="ns")
        await drplan.kube.create(SECRETS, secret, namespace="ns")
        refs = [
            {
                "name": name,
                "valueFrom": {
                    "manifestRef": {"apiVersion": "v1", "kind": kind, "namespace": "ns", "name": of, "jsonPath": path}
                },
            }
            for name, kind, of, path in (
                ("site", "ConfigMap", "settings", "{.data.site}"),
                ("key", "Secret", "key", "{.data.k}"),
            )
        ]
        await planned(drplan, http_action("a", f"{SITE}/$(params.site)/$(params.key)"), globalParams=refs)
        await drplan.run("e", "p")
        assert drplan.site.calls in (["/b/cGFzc3dvcmQ="], ["/b/password"])
        shown = str(drplan.execution("e")) + str(drplan.api.objects("configmaps")) + str(drplan.api.objects("events"))
        assert "password" not in shown
        assert "cGFzc3dvcmQ=" not in shown


async def test_a_missing_reference_ends_the_start_with_its_name() -> None:
    async with controller() as drplan:
        param = parameter("site", "ConfigMap", "absent", "{.data.site}")
        await planned(drplan, http_action("a", f"{SITE}/$(params.site)"), globalParams=[param])
        status = await drplan.run("e", "p", "Failed")
        assert 'resolving param "site"' in status["message"]


async def test_objects_are_made_and_taken_away_again() -> None:
    async with controller() as drplan:
        await planned(
            drplan,
            config_map_action("made", "made", "ns"),
            config_map_action("applied", "applied", "ns", "Apply"),
        )
        await drplan.run("e", "p")
        made = drplan.api.find("configmaps", "made")
        assert made is not None
        assert made["data"] == {"by": "made"}
        await drplan.take_back("back", "p", "e")
        assert drplan.api.find("configmaps", "made") is None
        assert drplan.api.find("configmaps", "applied") is None


async def test_an_object_that_is_deleted_or_patched_comes_to_pass() -> None:
    async with controller() as drplan:
        for name in ("old", "changed"):
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name},
                "data": {"by": "hand", "n": "1"},
            }
            await drplan.kube.create(CONFIG_MAPS, body, namespace="ns")
        await planned(
            drplan,
            config_map_action("gone", "old", "ns", "Delete"),
            config_map_action("patched", "changed", "ns", "Patch"),
        )
        await drplan.run("e", "p")
        assert drplan.api.find("configmaps", "old") is None
        changed = drplan.api.find("configmaps", "changed")
        assert changed is not None
        assert changed["data"] == {"by": "patched", "n": "1"}


def job(name: str, **more: Any) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.invalid/app"}]}
    return {"name": name, "type": "Job", "job": {"template": {"spec": {"template": {"spec": pod}}}}, **more}


@pytest.mark.parametrize(("condition", "phase"), [("Complete", "Succeeded"), ("Failed", "Failed")])
async def test_a_job_decides_how_its_action_ends(condition: str, phase: str) -> None:
    async with controller() as drplan:
        await planned(drplan, job("work", retryPolicy=NO_RETRY))
        await drplan.apply(execution("e", "p"))
        [made] = await drplan.until(lambda: drplan.api.objects("jobs"))
        ended = {"status": {"conditions": [{"type": condition, "status": "True", "message": "so it is"}]}}
        await drplan.kube.patch(
            JOBS, made["metadata"]["name"], ended, namespace=made["metadata"]["namespace"], subresource="status"
        )
        await drplan.ended("e", phase)
        await drplan.take_back("back", "p", "e")


async def test_clusternet_objects_are_made_changed_and_taken_away() -> None:
    feed = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "nginx"}
    override = {"name": "o", "type": "MergePatch", "value": "{}"}
    async with controller() as drplan:
        made = {
            "localization": {"name": "loc", "namespace": "ns", "feed": feed, "overrides": [override]},
            "globalization": {"name": "glob", "feed": feed, "overrides": [override]},
        }
        actions = [
            {
                "name": kind,
                "type": kind.capitalize(),
                kind: {
                    "operation": "Create",
                    "name": block["name"],
                    **({"namespace": "ns"} if kind == "localization" else {}),
                    "spec": {"feed": feed, "overrides": [override]},
                },
            }
            for kind, block in made.items()
        ]
        await planned(drplan, *actions)
        await drplan.run("e", "p")
        assert drplan.api.find("localizations", "loc") is not None
        assert drplan.api.find("globalizations", "glob", "") is not None
        await drplan.take_back("back", "p", "e")
        assert drplan.api.objects("localizations") == drplan.api.objects("globalizations") == []


async def test_another_leader_goes_on_where_the_first_ended() -> None:
    async with controller() as first:
        first.site.gates["/b"] = asyncio.Event()
        await planned(first, call("a"), call("b"), call("c"))
        await first.apply(execution("e", "p"))
        await first.until(lambda: "/b" in first.site.calls)
    first.site.gates.clear()
    async with controller(first.api, first.site) as second:
        status = await second.ended("e")
        assert phases_of(status) == {"a": "Succeeded", "b": "Succeeded", "c": "Succeeded"}
        assert second.site.calls == ["/a", "/b", "/b", "/c"]


async def test_executions_of_a_backup_wait_until_somebody_asks_for_them() -> None:
    async with controller() as drplan:
        await planned(drplan, call("a"))
        restored = execution("old", "p")
        restored["metadata"]["finalizers"] = [FINALIZER]
        await drplan.apply(restored)
        await drplan.until(lambda: "restored from a backup" in drplan.status("old").get("message", ""))
        await drplan.run("new", "p")
        await drplan.annotate("old", **{"start-restored": "true"})
        await drplan.ended("old")
        assert drplan.site.calls == ["/a", "/a"]


async def test_a_status_changed_by_hand_is_put_right() -> None:
    async with controller() as drplan:
        gate = await held(drplan, call("a"), call("b"))
        forged = {"status": {"phase": "Failed", "stageStatuses": None}}
        await drplan.kube.patch(EXECUTIONS, "e", forged, namespace="ns", subresource="status")
        await drplan.until(lambda: drplan.status("e").get("phase") == "Running")
        gate.set()
        assert phases_of(await drplan.ended("e")) == {"a": "Succeeded", "b": "Succeeded"}
        again = {"status": {"phase": "Failed", "message": "said by somebody"}}
        await drplan.kube.patch(EXECUTIONS, "e", again, namespace="ns", subresource="status")
        back = await drplan.take_back("back", "p", "e")
        assert back["phase"] == "Succeeded"


async def test_a_lock_taken_away_or_held_by_nobody_is_put_right() -> None:
    async with controller() as drplan:
        gate = await held(drplan, call("a"))
        unlocked = {"status": {"currentExecution": None}}
        await drplan.kube.patch(PLANS, "p", unlocked, namespace="ns", subresource="status")
        await drplan.until(lambda: (drplan.plan_status("p").get("currentExecution") or {}).get("name") == "e")
        gate.set()
        await drplan.ended("e")
        stale = {"status": {"currentExecution": {"name": "ghost", "namespace": "ns", "uid": "gone"}}}
        await drplan.kube.patch(PLANS, "p", stale, namespace="ns", subresource="status")
        await drplan.run("next", "p")


async def test_an_execution_that_does_not_decode_ends_and_can_be_deleted() -> None:
    async with controller() as drplan:
        await planned(drplan, call("a"))
        await drplan.run("e", "p")
        stored = drplan.api.find("drplanexecutions", "e")
        assert stored is not None
        await drplan.kube.patch(EXECUTIONS, "e", {"spec": {"operationType": "Dance"}}, namespace="ns")
        await drplan.kube.delete(EXECUTIONS, "e", namespace="ns")
        await drplan.until(lambda: drplan.api.find("drplanexecutions", "e") is None)
        await drplan.run("next", "p")


async def test_broken_watches_are_made_again() -> None:
    async with controller() as drplan:
        await planned(drplan, call("a"))
        drplan.api.break_watches()
        await drplan.run("e", "p")


async def test_invalid_workflows_and_plans_are_told_in_their_conditions() -> None:
    async with controller() as drplan:
        await drplan.apply(workflow("w", [call("a", dependsOn=["nobody"])]), plan("p", [stage("s", "w")]))
        await drplan.until(lambda: drplan.plan_status("p").get("phase") == "Invalid")
        found = drplan.api.find("drworkflows", "w")
        assert found is not None
        assert found["status"]["conditions"][0]["status"] == "False"
        fixed = {"spec": workflow("w", [call("a")])["spec"]}
        await drplan.kube.patch(WORKFLOWS, "w", fixed, namespace="ns")
        await drplan.until(lambda: drplan.plan_status("p").get("phase") == "Ready")


async def test_reverts_of_reverts_and_of_what_was_reverted_are_refused() -> None:
    async with controller() as drplan:
        await planned(drplan, undone("a"))
        await drplan.run("e", "p")
        await drplan.take_back("back", "p", "e")
        of_back = await drplan.take_back("of-back", "p", "back", "Failed")
        assert of_back["message"] == "Cannot revert non-Execute operation (target is Revert)"
        again = await drplan.take_back("again", "p", "e", "Failed")
        assert "back" in again["message"]
        await drplan.apply(revert("of-nobody", "p", ""))
        await drplan.ended("of-nobody", "Failed")
