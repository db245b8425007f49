"""Which absences the record of a run explains: of one object, from one point of the run on (decision R5)."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.build import execute_definition
from app.engine.definition import RollBack
from app.engine.outcome import Failed, Succeeded
from app.engine.revert import revert_definition
from app.models.actions import Action
from app.models.common import CoreReference
from app.models.execution import ActionOutputs
from tests.unit.engine.runs import Player, S, find, flow, revert_of, snapshot_of, stage

CM = ("v1", "ConfigMap", "ns", "x")
SPACE = ("v1", "Namespace", "", "ns")


def does(name: str, operation: str, **more: Any) -> Action:
    block = {"operation": operation, "manifest": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"}
    return Action.from_wire({"name": name, "type": "KubernetesResource", "resource": block, **more})


def made(*refs: tuple[tuple[str, str, str, str], str], expiring: tuple[str, ...] = ()) -> ActionOutputs:
    each = tuple(
        CoreReference(api_version=version, kind=kind, namespace=namespace, name=name, uid=uid)
        for (version, kind, namespace, name), uid in refs
    )
    return ActionOutputs(resource_ref=each[0], resource_refs=each if len(each) > 1 else (), expiring=expiring)


def explained(stages: list[S], outputs: dict[str, ActionOutputs], of: str, *, failing: str = "") -> set[str]:
    """Run it within one second, and return the kinds of the objects of action `of` whose absence is explained."""
    snapshot = snapshot_of(*stages)
    player = Player(execute_definition(snapshot))
    while player.running:
        name = player.running[0]
        outcome = Failed("broke", outputs.get(name)) if name == failing else Succeeded("done", outputs.get(name))
        player.end(name, outcome, seconds=0)
    revert = Player(revert_definition(revert_of(snapshot, player.status)))
    step = revert.definition.action(find(revert.status, of)[0]).step
    assert isinstance(step, RollBack)
    assert all(group in ("", "batch", "example.com") for group, *_ in step.explained)
    return {f"{kind}/{name}" for _, kind, _, name in step.explained}


@pytest.mark.parametrize(
    ("order", "uids", "kinds"),
    [
        ("create delete", ("1", "1"), {"ConfigMap/x"}),
        ("create delete", ("1", ""), {"ConfigMap/x"}),
        ("create delete", ("1", "2"), set()),
        ("delete create", ("1", "0"), set()),
        ("delete create", ("1", ""), set()),
        ("delete create", ("", ""), set()),
        ("delete create again", ("1", "0"), set()),
    ],
)
def test_a_deletion_explains_the_object_it_removed(order: str, uids: tuple[str, str], kinds: set[str]) -> None:
    actions = [does(name, "Delete" if name == "delete" else "Create") for name in order.split()]
    outputs = {"create": made((CM, uids[0])), "delete": made((CM, uids[1])), "again": made((CM, "9"))}
    assert explained([stage("one", flow(*actions))], outputs, "create") == kinds
    apart = [stage(f"s{number}", flow(action)) for number, action in enumerate(actions)]
    assert explained(apart, outputs, "create") == kinds


def test_each_object_of_an_action_has_its_own_explanation() -> None:
    others = [
        ("v1", "Secret", "ns", "x"),
        ("v1", "ConfigMap", "other", "x"),
        ("example.com/v1", "ConfigMap", "ns", "x"),
    ]
    outputs = {
        "create": made((CM, "1"), (("v1", "ConfigMap", "ns", "y"), "2"), *((other, "") for other in others)),
        "delete": made((CM, "1")),
    }
    stages = [stage("one", flow(does("create", "Create"), does("delete", "Delete")))]
    assert explained(stages, outputs, "create") == {"ConfigMap/x"}


@pytest.mark.parametrize(("order", "kinds"), [("create delete", {"ConfigMap/x"}), ("delete create", set())])
def test_a_namespace_takes_with_it_what_was_in_it_by_then(order: str, kinds: set[str]) -> None:
    actions = [does(name, "Delete" if name == "delete" else "Create") for name in order.split()]
    cluster_wide = (("rbac.authorization.k8s.io/v1", "ClusterRole", "", "r"), "2")
    outputs = {"create": made((CM, "1"), cluster_wide), "delete": made((SPACE, "7"))}
    assert explained([stage("one", flow(*actions))], outputs, "create") == kinds
    foreign = {**outputs, "delete": made((("example.com/v1", "Namespace", "", "ns"), "7"))}
    assert explained([stage("one", flow(*actions))], foreign, "create") == set()


def test_the_order_is_that_of_the_work_and_not_that_of_the_list() -> None:
    """`delete` is listed first and waits for `create`."""
    actions = [does("delete", "Delete", dependsOn=["create"]), does("create", "Create")]
    outputs = {"create": made((CM, "1")), "delete": made((SPACE, "7"))}
    assert explained([stage("one", flow(*actions))], outputs, "create") == {"ConfigMap/x"}


@pytest.mark.parametrize(
    ("definition", "kinds"),
    [
        ("databases.example.com", {"Database/x"}),
        ("policies.example.com", {"Policy/x"}),
        ("indexes.example.com", {"Index/x"}),
        ("fish.example.com", {"Fish/x"}),
        ("databaseusers.example.com", set()),
        ("databases.other.example.com", set()),
        ("databases", set()),
    ],
)
def test_a_definition_takes_every_object_of_its_kind_with_it(definition: str, kinds: set[str]) -> None:
    kind = next(iter(kinds), "Database/x").partition("/")[0]
    thing, crd = ("example.com/v1", kind, "ns", "x"), "CustomResourceDefinition"
    for api_version, found in (("apiextensions.k8s.io/v1", kinds), ("example.com/v1", set())):
        outputs = {"create": made((thing, "1")), "delete": made(((api_version, crd, "", definition), "7"))}
        for order, explained_then in (("create delete", found), ("delete create", set())):
            actions = [does(name, "Delete" if name == "delete" else "Create") for name in order.split()]
            assert explained([stage("one", flow(*actions))], outputs, "create") == explained_then


@pytest.mark.parametrize(("uid", "kinds"), [("1", {"ConfigMap/x"}), ("", set()), ("2", set())])
def test_a_deletion_that_failed_explains_what_it_surely_removed(uid: str, kinds: set[str]) -> None:
    actions = [does("create", "Create"), does("delete", "Delete", retryPolicy={"limit": 0})]
    outputs = {"create": made((CM, "1")), "delete": made((CM, uid))}
    assert explained([stage("one", flow(*actions))], outputs, "create", failing="delete") == kinds


def test_jobs_of_a_manifest_that_expire_are_explained_and_others_are_not() -> None:
    job, other = ("batch/v1", "Job", "ns", "j"), ("batch/v1", "Job", "ns", "k")
    outputs = {"create": made((job, "1"), (other, "2"), expiring=("1",))}
    assert explained([stage("one", flow(does("create", "Apply")))], outputs, "create") == {"Job/j"}
