"""What a Revert puts back: objects that Apply changed, custom rollbacks of any type (decisions A3, A4, R4, R8)."""

from __future__ import annotations

from tests.e2e.support import action_of, config_map, create, merge, run_with_a_held_rollback, stage_of
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Answer


def test_apply_on_an_existing_object_is_restored(drplan: Installation) -> None:
    ns = drplan.namespace
    before = {**config_map("old", {"by": "hand", "also": "this"}), "metadata": {"name": "old", "labels": {"mine": "1"}}}
    create(
        drplan,
        before,
        workflow(
            "w",
            [
                config_map_action("change", "old", ns, operation="Apply"),
                config_map_action("make", "new", ns, operation="Apply"),
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    changed = drplan.get("cm", "old")
    assert changed["data"] == {"by": "change", "also": "this"}
    status = drplan.take_back("r", "p", "e")
    assert action_of(status, "change")["message"] == f"Rolled back: restored resource ConfigMap {ns}/old"
    assert action_of(status, "make")["message"] == f"Rolled back: deleted resource ConfigMap {ns}/new"
    restored = drplan.get("cm", "old")
    assert restored["data"] == {"by": "hand", "also": "this"}
    assert restored["metadata"]["labels"] == {"mine": "1"}
    assert not restored["metadata"].get("annotations")
    assert restored["metadata"]["uid"] == changed["metadata"]["uid"]
    assert not drplan.exists("cm", "new")


def test_two_actions_on_one_object_are_undone_one_after_the_other(drplan: Installation) -> None:
    ns = drplan.namespace
    create(
        drplan,
        config_map("old", {"by": "hand"}),
        workflow(
            "w",
            [
                config_map_action("first", "old", ns, operation="Apply"),
                config_map_action("second", "old", ns, operation="Apply"),
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    assert drplan.get("cm", "old")["data"] == {"by": "second"}
    drplan.take_back("r", "p", "e")
    assert drplan.get("cm", "old")["data"] == {"by": "hand"}


def test_every_document_of_a_manifest_is_made_and_taken_back(drplan: Installation) -> None:
    ns = drplan.namespace
    documents = "\n---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {ns}}}" for name in ("one", "two")
    )
    action = {"name": "both", "type": "KubernetesResource", "resource": {"manifest": documents}}
    create(drplan, workflow("w", [action]), plan("p", [stage("s", "w")]), execution("e", "p"))
    status = drplan.wait_phase("e", "Succeeded")
    assert [ref["name"] for ref in action_of(status, "both")["outputs"]["resourceRefs"]] == ["one", "two"]
    drplan.take_back("r", "p", "e")
    assert not drplan.exists("cm", "one")
    assert not drplan.exists("cm", "two")


def test_custom_rollbacks_of_another_type(drplan: Installation) -> None:
    """An HTTP action is undone by an object, an object by a call; the type is given or follows from the block."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    mark = config_map_action("unused", "switched-back", ns)
    create(
        drplan,
        config_map("patched", {"by": "hand", "keep": "1"}),
        workflow(
            "w",
            [
                http_action(
                    "switch", f"{url}/on", rollback={"type": "KubernetesResource", "resource": mark["resource"]}
                ),
                config_map_action(
                    "patch",
                    "patched",
                    ns,
                    operation="Patch",
                    rollback={"http": {"url": f"{url}/patched-back/$(outputs.patch.name)", "method": "PUT"}},
                ),
                http_action("stop", f"{url}/stop", rollback={"http": {"url": f"{url}/start", "method": "DELETE"}}),
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    assert drplan.get("cm", "patched")["data"] == {"by": "patch", "keep": "1"}
    status = drplan.take_back("r", "p", "e")
    assert action_of(status, "switch")["message"] == "Rolled back: executed custom rollback action"
    for name in ("patch", "stop"):
        assert action_of(status, name)["message"] == "Rolled back: executed custom HTTP rollback action"
    assert [(call.method, call.path.removeprefix(f"/{ns}")) for call in drplan.site.calls(prefix=f"/{ns}/")] == [
        ("POST", "/on"),
        ("POST", "/stop"),
        ("DELETE", "/start"),
        ("PUT", "/patched-back/patched"),
    ]
    assert drplan.get("cm", "switched-back")["data"] == {"by": "unused"}
    check_summary(status)


def test_failing_custom_rollback_is_repeated_by_its_own_policy_and_then_told(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"/{ns}/off", Answer(status=503))
    undo = {"http": {"url": f"{url}/off"}, "retryPolicy": {"limit": 2, "interval": "10ms"}}
    create(
        drplan,
        workflow("w", [http_action("on", f"{url}/on", rollback=undo, retryPolicy={"limit": 0})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    status = drplan.take_back("r", "p", "e", "Failed")
    assert len(drplan.site.calls(f"/{ns}/off")) == 3
    action = action_of(status, "on")
    assert "Custom rollback failed: " in action["message"]
    assert "unexpected status code: 503" in action["message"]
    drplan.wait_unlocked("p")
    drplan.site.script(f"/{ns}/off", Answer())
    assert action_of(drplan.take_back("r2", "p", "e"), "on")["phase"] == "Succeeded"


def test_revert_uses_the_definitions_of_the_run_it_takes_back(drplan: Installation) -> None:
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"
    create(
        drplan,
        workflow("w", [http_action("on", f"{url}/on", rollback={"http": {"url": f"{url}/off-then"}})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    later = workflow("w", [http_action("other", f"{url}/x", rollback={"http": {"url": f"{url}/off-now"}})])
    merge(drplan, "DRWorkflow", "w", {"spec": later["spec"]})
    status = drplan.take_back("r", "p", "e")
    assert action_of(status, "on")["phase"] == "Succeeded"
    assert [call.path for call in drplan.site.calls(prefix=f"/{ns}/off")] == [f"/{ns}/off-then"]
    assert "left no snapshot" not in status["message"]


def test_deleting_the_target_in_mid_revert_harms_nothing(drplan: Installation) -> None:
    ns = drplan.namespace
    run_with_a_held_rollback(drplan)
    drplan.kubectl("create", "-f", "-", stdin=revert("r", "p", "e"))
    drplan.site.wait_for(f"/{ns}/off")
    drplan.kubectl("delete", "drpe", "e", "--wait=true")
    drplan.site.let_go(f"/{ns}/off")
    drplan.wait_phase("r", "Succeeded")
    assert not drplan.exists("cm", "made")


def test_graph_and_parallel_stage_are_taken_back_one_by_one_in_reverse(drplan: Installation) -> None:
    """Whatever ran at the same time before: the way back is one action after the other, the last one first."""
    ns, url = drplan.namespace, f"{drplan.site.url}/{drplan.namespace}"

    def act(name: str, **more: object) -> dict[str, object]:
        return http_action(name, f"{url}/{name}", rollback={"http": {"url": f"{url}/undo-{name}"}}, **more)

    graph = [act("root"), act("left", dependsOn=["root"]), act("right", dependsOn=["root"])]
    skipped = act("skipped", dependsOn=["root"], when="mode == upgrade")
    create(
        drplan,
        workflow("graph", [*graph, skipped]),
        workflow("a", [act("a")]),
        workflow("b", [act("b")]),
        plan("p", [stage("one", "graph"), stage("two", "a", "b", parallel=True)]),
        execution("e", "p", mode="Install"),
    )
    drplan.wait_phase("e", "Succeeded")
    drplan.site.hold(f"/{ns}/undo-b")
    create(drplan, revert("r", "p", "e"))
    drplan.site.wait_for(f"/{ns}/undo-b")
    drplan.wait(lambda: phases_of(drplan.status("r")).get("b") == "Running")
    during = phases_of(drplan.status("r"))
    assert {name: phase for name, phase in during.items() if phase != "Pending"} == {"b": "Running"}
    drplan.site.let_go(f"/{ns}/undo-b")
    status = drplan.wait_phase("r", "Succeeded")
    assert list(phases_of(status)) == ["b", "a", "skipped", "right", "left", "root"]
    assert action_of(status, "skipped")["message"] == "Original action phase was Skipped, skipped rollback"
    assert [call.path.rpartition("/")[2] for call in drplan.site.calls(prefix=f"/{ns}/undo-")] == [
        f"undo-{name}" for name in ("b", "a", "right", "left", "root")
    ]
    assert status["message"] == (
        "Plan reverted successfully: 2 stage(s) rolled back, 5 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    used = stage_of(status, "one")["workflowExecutions"][0]
    assert used["progress"] == "3/4 actions rolled back"
    assert stage_of(status, "two")["message"] == "Stage reverted successfully: 2 workflow(s) rolled back"
    check_summary(status)


def test_an_action_says_how_far_it_is_taken_back(drplan: Installation) -> None:
    """Changed, patched and deleted in one run: all of it goes back, but for what is to stay."""
    ns = drplan.namespace
    restore = {"rollbackPolicy": "Restore"}
    actions = [
        config_map_action("apply", "old", ns, operation="Apply", **restore),
        config_map_action("patch", "old", ns, operation="Patch", dependsOn=["apply"], **restore),
        config_map_action("delete", "old", ns, operation="Delete", dependsOn=["patch"], **restore),
        config_map_action("made", "stays", ns, rollbackPolicy="None"),
        config_map_action("over", "other", ns, operation="Apply", rollbackPolicy="Delete"),
    ]
    old, other = config_map("old", {"by": "hand", "also": "this"}), config_map("other", {"by": "hand"})
    create(drplan, old, other, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    assert not drplan.exists("cm", "old")
    status = drplan.take_back("r", "p", "e")
    told = {name: action_of(status, name)["message"] for name in ("delete", "patch", "apply")}
    assert set(told.values()) == {f"Rolled back: restored resource ConfigMap {ns}/old"}
    assert drplan.get("cm", "old")["data"] == {"by": "hand", "also": "this"}
    assert action_of(status, "made")["phase"] == "Skipped"
    assert action_of(status, "made")["message"] == "rollbackPolicy None: what this action did stays"
    assert drplan.get("cm", "stays")["data"] == {"by": "made"}
    assert action_of(status, "over")["phase"] == "Skipped"
    assert drplan.get("cm", "other")["data"] == {"by": "over"}
    check_summary(status)
