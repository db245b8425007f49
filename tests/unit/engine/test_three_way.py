"""Taking a run's changes out of an object that others changed too: pure decisions."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.field_changes import (
    Change,
    changes_between,
    changes_of_run,
    changes_owned,
    decode_changes,
    encode_changes,
    hiding,
)
from app.engine.field_paths import ABSENT, Absent, Element, Keyed, Order, decode_path, path_text, value_at
from app.engine.field_shapes import owners_of
from app.engine.json_patch import MOST_OPERATIONS, json_patch
from app.engine.three_way import taken_out
from app.models.revert_options import ConflictPolicy

FAIL, FORCE, KEEP = ConflictPolicy.FAIL, ConflictPolicy.FORCE, ConflictPolicy.KEEP
KEYED = {
    "f:metadata": {"f:finalizers": {".": {}, 'v:"example.com/a"': {}}},
    "f:spec": {
        "f:selector": {},
        "f:containers": {
            'k:{"name":"app"}': {
                ".": {},
                "f:image": {},
                "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
            }
        },
    },
}


def obj(spec: Any = None, *, fields: Any = None, manager: str = "kubectl", **metadata: Any) -> dict[str, Any]:
    entry = {"manager": manager, "operation": "Update", "fieldsV1": KEYED if fields is None else fields}
    return {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "a", "resourceVersion": "1", "managedFields": [entry], **metadata},
        "spec": spec or {},
    }


def undo(before: Any, after: Any, live: Any, policy: ConflictPolicy = FAIL) -> Any:
    return taken_out(live, before, changes_between(before, after), policy)


def app(**members: Any) -> dict[str, Any]:
    return {"name": "app", "image": "one", **members}


SIDE = {"name": "side", "image": "s"}
PORT = {"containerPort": 80, "protocol": "TCP"}

CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "a member": ({"image": "1"}, {"image": "2"}, {"image": "2", "replicas": 7}, {"image": "1", "replicas": 7}),
    "what was the same in the manifest": (
        {"image": "1", "replicas": 2},
        {"image": "2", "replicas": 2},
        {"image": "2", "replicas": 7},
        {"image": "1", "replicas": 7},
    ),
    "an item taken out of a list that was turned round": (
        {"containers": [app(), SIDE, {"name": "x"}]},
        {"containers": [SIDE, app()]},
        {"containers": [SIDE, app()]},
        {"containers": [app(), SIDE, {"name": "x"}]},
    ),
    "an added member": ({}, {"x": 1}, {"x": 1, "y": 2}, {"y": 2}),
    "a removed member": ({"x": 1}, {}, {"y": 2}, {"x": 1, "y": 2}),
    "an added object with a member of others": ({}, {"m": {"x": 1}}, {"m": {"x": 1, "y": 2}}, {"m": {"y": 2}}),
    "an added object": ({}, {"m": {"n": {"x": 1}}}, {"m": {"n": {"x": 1}}}, {}),
    "an object that was empty": ({"m": {}}, {"m": {"x": 1}}, {"m": {"x": 1}}, {"m": {}}),
    "an emptied object": ({"m": {"x": 1}}, {"m": {}}, {"m": {}}, {"m": {"x": 1}}),
    "a removed object": ({"m": {"x": 1, "y": 1}}, {}, {"m": {"z": 1}}, {"m": {"x": 1, "y": 1, "z": 1}}),
    "null is a value": ({"x": None}, {"x": 1}, {"x": 1}, {"x": None}),
    "true is not one": ({"x": 1}, {"x": True}, {"x": True}, {"x": 1}),
    "what others put back already": ({"x": 1}, {"x": 2}, {"x": 1}, {"x": 1}),
    "an item by its key": (
        {"containers": [app()]},
        {"containers": [app(image="two")]},
        {"containers": [SIDE, app(image="two", cpu=3)]},
        {"containers": [SIDE, app(cpu=3)]},
    ),
    "a list in an item": (
        {"containers": [app()]},
        {"containers": [app(ports=[PORT])]},
        {"containers": [app(ports=[{**PORT, "protocol": "UDP"}, PORT])]},
        {"containers": [app(ports=[{**PORT, "protocol": "UDP"}])]},
    ),
    "an added item": (
        {"containers": [app()]},
        {"containers": [app(), SIDE]},
        {"containers": [app(image="three"), SIDE]},
        {"containers": [app(image="three")]},
    ),
    "a removed item comes back to its place": (
        {"containers": [app(), SIDE, {"name": "last"}]},
        {"containers": [app(), {"name": "last"}]},
        {"containers": [{"name": "new"}, app(), {"name": "last"}]},
        {"containers": [{"name": "new"}, app(), SIDE, {"name": "last"}]},
    ),
    "a list of the run": ({}, {"containers": [app()]}, {"containers": [app(), SIDE]}, {"containers": [SIDE]}),
    "a whole list of the run": ({}, {"containers": [app()]}, {"containers": [app()]}, {}),
    "the order of items": (
        {"containers": [app(), SIDE]},
        {"containers": [SIDE, app()]},
        {"containers": [SIDE, {"name": "new"}, app()]},
        {"containers": [app(), {"name": "new"}, SIDE]},
    ),
    "a list that is one value": ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"], "x": 1}, {"args": ["a"], "x": 1}),
    "an item that others removed, a field of which the run removed": (
        {"containers": [app(x=1)]},
        {"containers": [app()]},
        {"containers": [SIDE]},
        {"containers": [SIDE]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_run_changed_goes_back_and_nothing_else(case: str) -> None:
    was, wrote, now, then = CASES[case]
    before, after, live = obj(was), obj(wrote), obj(now)
    live["status"] = {"replicas": 7}
    found = undo(before, after, live)
    assert not found.collisions
    assert found.obj == {**live, "spec": then}
    assert taken_out(found.obj, before, changes_between(before, after), FAIL).obj == found.obj


COLLISIONS: dict[str, tuple[Any, Any, Any, str, Any, Any]] = {
    "a member": ({"x": 1}, {"x": 2}, {"x": 3}, "spec.x", 3, {"x": 1}),
    "one that others removed": ({"x": 1}, {"x": 2}, {}, "spec.x", ABSENT, {"x": 1}),
    "one that the run added": ({}, {"x": 2}, {"x": 3}, "spec.x", 3, {}),
    "one that the run removed": ({"x": 1}, {}, {"x": 3}, "spec.x", 3, {"x": 1}),
    "another type": ({"m": {"x": 1}}, {"m": {"x": 2}}, {"m": 5}, "spec.m.x", ABSENT, {"m": {"x": 1}}),
    "a list that is one value": ({"t": [1]}, {"t": [2]}, {"t": [2, 3]}, "spec.t", [2, 3], {"t": [1]}),
    "an object that is one value": (
        {"selector": {"a": "1", "b": "1"}},
        {"selector": {"a": "2", "b": "1"}},
        {"selector": {"a": "2", "b": "3"}},
        "spec.selector",
        {"a": "2", "b": "3"},
        {"selector": {"a": "1", "b": "1"}},
    ),
    "an item of the run": (
        {"containers": [app()]},
        {"containers": [app(), SIDE]},
        {"containers": [app(), {**SIDE, "cpu": 1}]},
        "spec.containers[name=side]",
        {**SIDE, "cpu": 1},
        {"containers": [app()]},
    ),
    "an item that others removed": (
        {"containers": [app(), SIDE]},
        {"containers": [app(image="two"), SIDE]},
        {"containers": [SIDE]},
        "spec.containers[name=app].image",
        ABSENT,
        {"containers": [app(), SIDE]},
    ),
    "an order that others changed": (
        {"containers": [app(), SIDE, {"name": "x"}]},
        {"containers": [SIDE, app(), {"name": "x"}]},
        {"containers": [{"name": "x"}, SIDE, app()]},
        "spec.containers (order of the items)",
        [{"k": {"name": "x"}}, {"k": {"name": "side"}}, {"k": {"name": "app"}}],
        {"containers": [app(), SIDE, {"name": "x"}]},
    ),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_collisions_are_told_and_decided_by_the_policy(case: str) -> None:
    was, wrote, now, path, value, forced = COLLISIONS[case]
    before, after, live = obj({**was, "mine": 1}), obj({**wrote, "mine": 2}), obj({**now, "mine": 2, "theirs": 9})
    failed = undo(before, after, live)
    assert [(c.change.text, c.now) for c in failed.collisions] == [(path, value)]
    assert failed.obj == live
    kept = undo(before, after, live, KEEP)
    assert kept.obj["spec"] == {**now, "mine": 1, "theirs": 9}
    assert kept.collisions == failed.collisions
    assert undo(before, after, live, FORCE).obj["spec"] == {**forced, "mine": 1, "theirs": 9}


@pytest.mark.parametrize("holder", [[], [1], "text", 0, {"other": 1}])
@pytest.mark.parametrize("wrote", [{"a": 2, "b": 1}, {"b": 1}], ids=["changed", "removed"])
def test_what_somebody_has_put_in_the_place_of_a_holder_is_a_collision(wrote: Any, holder: Any) -> None:
    """A list or a text where there was an object: nothing can be put into it, and it is not overwritten unasked."""
    was = {"a": 1, "b": 1}
    before, after, live = obj({"m": {"h": was}}), obj({"m": {"h": wrote}}), obj({"m": {"h": holder}})
    is_object = isinstance(holder, dict)
    failed = undo(before, after, live, FAIL)
    assert bool(failed.collisions) is (not is_object or "a" in wrote)
    if failed.collisions:
        assert failed.obj == live
        assert undo(before, after, live, KEEP).obj == live
    forced = undo(before, after, live, FORCE).obj
    assert forced["spec"]["m"]["h"] == ({**holder, "a": 1} if is_object else was)


def test_metadata_that_a_run_can_change() -> None:
    before = obj(labels={"a": "1"}, finalizers=["example.com/a"])
    after = obj(labels={"a": "2", "b": "1"}, finalizers=["example.com/a", "example.com/run"], generation=2)
    live = obj(
        labels={"a": "2", "b": "1", "c": "theirs"},
        annotations={"deployment.kubernetes.io/revision": "5"},
        finalizers=["example.com/run", "example.com/a", "example.com/theirs"],
        generation=7,
    )
    found = undo(before, after, live).obj["metadata"]
    assert found["labels"] == {"a": "1", "c": "theirs"}
    assert found["annotations"] == {"deployment.kubernetes.io/revision": "5"}
    assert found["finalizers"] == ["example.com/a", "example.com/theirs"]
    assert found["generation"] == 7


def test_without_managed_fields_lists_are_one_value() -> None:
    before, after = obj({"l": [{"name": "a", "x": 1}]}, fields={}), obj({"l": [{"name": "a", "x": 2}]}, fields={})
    assert changes_between(before, after) == [
        Change(("spec", "l"), [{"name": "a", "x": 1}], [{"name": "a", "x": 2}]),
    ]


def test_items_with_one_key_twice_are_one_value() -> None:
    before, after = obj({"containers": [app(), app()]}), obj({"containers": [app(image="two"), app()]})
    assert [change.text for change in changes_between(before, after)] == ["spec.containers"]


def test_what_others_wrote_between_two_attempts_is_not_the_runs() -> None:
    """Nobody saw the answer to the first attempt, and somebody scaled before the second."""
    owned: dict[str, Any] = {"f:spec": {"f:image": {}}}
    prior = obj({"image": "1", "replicas": 2, "old": 1})
    existing = obj({"image": "2", "replicas": 7, "old": 1}, fields=owned, manager="ours")
    after = obj({"image": "2", "replicas": 7, "late": 1}, fields=owned, manager="ours")
    changes = changes_of_run(prior, existing, after, "ours", ())
    assert sorted(change.text for change in changes) == ["spec.image", "spec.late", "spec.old"]
    known = [Change(("spec", "replicas"), 2, 5)]
    assert "spec.replicas" in {change.text for change in changes_of_run(prior, existing, after, "ours", known)}
    assert [change.text for change in changes_owned(prior, after, ("old", "ours")) or ()] == ["spec.image"]
    assert changes_owned(prior, after, ("others",)) is None


def test_owners_by_path() -> None:
    found = obj({})
    assert owners_of(found, ("spec", "containers", Keyed.of({"name": "app"}), "image")) == ("kubectl",)
    assert owners_of(found, ("metadata", "finalizers", Element("example.com/a"))) == ("kubectl",)
    assert owners_of(found, ("spec", "selector")) == ("kubectl",)
    assert owners_of(found, ("spec", "selector", "a")) == ()
    assert owners_of(found, ("spec", "containers", Keyed.of({"name": "side"}))) == ()
    assert owners_of(found, ("spec", "replicas")) == ()


def test_paths_are_readable() -> None:
    port = Keyed.of({"protocol": "TCP", "containerPort": 80})
    path = ("spec", "containers", Keyed.of({"name": "app"}), "ports", port)
    assert path_text(path) == "spec.containers[name=app].ports[containerPort=80,protocol=TCP]"
    assert path_text(("metadata", "annotations", "a.b/c")) == 'metadata.annotations["a.b/c"]'
    assert path_text(("metadata", "finalizers", Element("x/y"))) == 'metadata.finalizers["x/y"]'


def test_records_are_read_as_written() -> None:
    changes = [
        Change(("spec", Keyed.of({"name": "a", "n": 1}), "x"), ABSENT, None),
        Change(("metadata", "finalizers", Element("e")), "e", ABSENT, hidden=True),
        Change(("spec", "l", Order()), [{"k": {"name": "a"}}], [{"v": 1}]),
    ]
    assert decode_changes(json.loads(json.dumps(encode_changes(changes)))) == changes
    broken: list[dict[str, Any]] = [{}, {"changes": [{}]}, {"changes": [{"path": [{"x": 1}]}]}, {"changes": 5}]
    for damaged in broken:
        with pytest.raises((KeyError, TypeError, ValueError)):
            decode_changes(damaged)
    assert decode_path(["a"]) == ("a",)


def test_changes_with_secret_values_are_marked() -> None:
    changes = [Change(("a",), ABSENT, {"k": ["x Hunter_2 y"]}), Change(("b",), 1, 2)]
    assert [change.hidden for change in hiding(changes, frozenset({"Hunter_2"}))] == [True, False]
    assert hiding(changes, frozenset()) == changes


def patched(doc: Any, operations: list[dict[str, Any]]) -> Any:
    doc = copy.deepcopy(doc)
    for operation in operations:
        *above, last = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]]
        holder = doc
        for step in above:
            holder = holder[step]
        if operation["op"] == "remove":
            del holder[last]
        else:
            assert (last in holder) is (operation["op"] == "replace")
            holder[last] = operation["value"]
    return doc


def test_a_patch_of_very_many_members_replaces_them_together() -> None:
    many = {f"k{number}": "1" for number in range(MOST_OPERATIONS + 1)}
    before, after = {"data": {}, "metadata": {"labels": {"a": "1"}}}, {"data": many, "metadata": {"labels": {"a": "2"}}}
    operations = json_patch(before, after)
    assert len(operations) == 2
    assert patched(before, operations) == after


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b/c", "~"])
NAMES = st.sampled_from(["a", "b", "c", "d/~e"])
VALUES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=3), max_leaves=6
)
ITEMS = st.dictionaries(
    st.sampled_from(["app", "side", "x"]), st.dictionaries(NAMES, VALUES, max_size=2), max_size=3
).map(lambda found: [{"name": name, **members} for name, members in found.items()])
SPECS = st.fixed_dictionaries({}, optional={"a": VALUES, "m": st.dictionaries(NAMES, VALUES), "containers": ITEMS})


@given(before=VALUES.filter(lambda v: isinstance(v, dict)), after=VALUES.filter(lambda v: isinstance(v, dict)))
def test_a_patch_makes_the_one_of_the_other(before: Any, after: Any) -> None:
    assert patched(before, json_patch(before, after)) == after


@given(was=SPECS, wrote=SPECS)
def test_an_object_that_nobody_else_changed_is_as_before(was: Any, wrote: Any) -> None:
    before, after = obj(was), obj(wrote)
    changes = changes_between(before, after)
    found = taken_out(after, before, changes, FAIL)
    assert not found.collisions
    assert found.obj == before
    assert taken_out(found.obj, before, changes, FAIL).obj == before


@given(was=SPECS, wrote=SPECS, theirs=SPECS, policy=st.sampled_from([FAIL, FORCE, KEEP]))
def test_what_the_run_did_not_change_is_never_touched(
    was: Any, wrote: Any, theirs: Any, policy: ConflictPolicy
) -> None:
    before, after, live = obj(was), obj(wrote), obj(theirs)
    changes = changes_between(before, after)
    found = taken_out(live, before, changes, policy)
    untouched = copy.deepcopy(live)
    assert live == untouched
    collided = {collision.change.path for collision in found.collisions}
    if policy is FAIL and collided:
        assert found.obj == live
    paths = {change.path for change in changes if not isinstance(change.path[-1], Order)}
    for change in changes_between(live, found.obj):
        if isinstance(change.path[-1], Order):
            continue
        related = [
            path for path in paths if path[: len(change.path)] == change.path or change.path[: len(path)] == path
        ]
        assert related, change
    if policy is FORCE:
        for change in changes:
            if not isinstance(change.path[-1], Order) and change.wrote is not ABSENT:
                now = value_at(found.obj, change.path)
                assert now == change.was or isinstance(change.was, Absent), change
    again = taken_out(found.obj, before, changes, policy)
    if policy is not KEEP:
        assert again.obj == found.obj
