"""Races and lost answers in writing objects, which a real API server does not produce on demand."""

import copy
import functools
import operator
from collections.abc import Callable
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, ApiUnavailable, Conflict, KubeError, NotFound, ServerError
from app.kube.resources import CONFIG_MAPS, SUBSCRIPTIONS
from app.models.actions import ResourceOperation
from app.models.common import CoreReference
from app.models.names import IDENTITY_ANNOTATION
from controller.actions import objects
from controller.actions.base import ActionContext
from controller.actions.objects import Target
from controller.actions.ownership import created_by_target, is_own, marked, owner
from controller.actions.undo import take_back
from controller.actions.undone import CannotUndoError, Effect, Undone
from tests.unit.actions.support import MemoryPriors, context, reverting

A = Target(CONFIG_MAPS, "ns", "a")
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}, "data": {"x": "1"}}


class OneObject:
    """An API server with room for one object. `before` acts just before the next write, as somebody else would."""

    def __init__(self, obj: dict[str, Any] | None = None) -> None:
        self.obj = obj
        self.before: list[Callable[[], None]] = []
        self.lost: KubeError | None = None
        self.writes: list[str] = []
        self.asked: list[str] = []
        self._uids = 0

    def _somebody_else(self, write: str) -> None:
        self.writes.append(write)
        self.asked.append(write)
        if self.before:
            self.before.pop(0)()

    def put(self, body: dict[str, Any]) -> dict[str, Any]:
        self._uids += 1
        uid = body["metadata"].get("uid") or f"uid-{self._uids}"
        self.obj = {**body, "metadata": {**body["metadata"], "uid": uid}}
        return self.obj

    async def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked.append("get")
        if self.obj is None:
            raise NotFound(404, "NotFound", 'configmaps "a" not found')
        return self.obj

    async def create(self, _: Any, body: dict[str, Any], **__: Any) -> dict[str, Any]:
        self._somebody_else("create")
        if self.obj is not None:
            raise AlreadyExists(409, "AlreadyExists", 'configmaps "a" already exists')
        made = self.put(body)
        if self.lost:
            raise self.lost
        return made

    async def apply(self, _: Any, body: dict[str, Any], **__: Any) -> tuple[dict[str, Any], bool]:
        self._somebody_else("apply")
        uid = {} if self.obj is None else {"uid": self.obj["metadata"]["uid"]}
        created = self.obj is None
        return self.put({**body, "metadata": {**body["metadata"], **uid}}), created

    async def patch(self, _: Any, __: str, operations: Any, **___: Any) -> dict[str, Any]:
        self._somebody_else("patch")
        assert self.obj is not None
        body = copy.deepcopy(self.obj)
        for operation in operations:
            *above, last = operation["path"].split("/")[1:]
            holder = functools.reduce(operator.getitem, above, body)
            if operation["op"] == "remove":
                del holder[last]
            else:
                holder[last] = operation["value"]
        return self.put(body)

    async def delete(self, *_: Any, uid: str | None = None, **__: Any) -> dict[str, Any]:
        self._somebody_else("delete")
        if self.obj is None:
            raise NotFound(404, "NotFound", 'configmaps "a" not found')
        if uid is not None and self.obj["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "the UID does not match")
        self.obj = None
        return {}


def at(server: OneObject, **others: Any) -> ActionContext:
    return context(cast("KubeClient", server), **others)


def foreign(uid: str = "foreign") -> dict[str, Any]:
    return {**BODY, "metadata": {**BODY["metadata"], "uid": uid}, "data": {"x": "0"}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "lost", [ApiUnavailable("no answer", server="s", in_doubt=True), ServerError(504, "Timeout", "timed out")]
)
async def test_create_whose_answer_was_lost_finds_its_object(lost: KubeError) -> None:
    server = OneObject()
    server.lost = lost
    where = at(server)
    made = await objects.create(where, A, BODY)
    assert owner(made) == where.identity
    assert server.writes == ["create"]


async def test_what_is_being_deleted_is_nobodys_own() -> None:
    server = OneObject()
    where = at(server)
    made = await objects.create(where, A, BODY)
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_own(made, where)


async def test_apply_gives_up_its_marks_when_somebody_else_was_faster() -> None:
    server = OneObject()
    server.before = [lambda: server.__setattr__("obj", foreign())]
    made = await objects.apply(at(server), A, BODY)
    assert owner(made) == ""
    assert server.writes == ["apply", "apply"]


async def test_apply_marks_what_it_had_to_create_after_all() -> None:
    server = OneObject(foreign())
    server.before = [lambda: server.__setattr__("obj", None)]
    where = at(server)
    assert owner(await objects.apply(where, A, BODY)) == where.identity


async def test_remove_leaves_what_took_the_objects_place() -> None:
    server = OneObject(foreign("one"))
    server.before = [lambda: server.__setattr__("obj", foreign("two"))]
    assert await objects.remove(at(server), A) == objects.Removal("one")
    assert server.obj == foreign("two")


async def test_remove_in_doubt_deletes_no_second_object() -> None:
    """The first try deleted the object although nobody heard of it; its owner made another one since."""
    server, priors = OneObject(foreign("one")), MemoryPriors()
    server.before = [lambda: (_ for _ in ()).throw(ApiUnavailable("no answer", server="s", in_doubt=True))]
    with pytest.raises(ApiUnavailable):
        await objects.remove(at(server, priors=priors), A)
    server.obj = foreign("two")
    for doubt in ({"in_doubt": True}, {"attempt": 2}):
        assert await objects.remove(at(server, priors=priors, **doubt), A) == objects.Removal("one")
        assert server.obj == foreign("two")
    server.obj = foreign("one")
    assert await objects.remove(at(server, priors=priors, in_doubt=True), A) == objects.Removal("one")
    assert server.obj is None


async def test_remove_is_done_when_somebody_else_deletes_first() -> None:
    server = OneObject(foreign())
    server.before = [lambda: server.__setattr__("obj", None)]
    assert await objects.remove(at(server), A) == objects.Removal("foreign")


async def test_removing_what_never_was_takes_one_look() -> None:
    server = OneObject()
    assert await objects.remove(at(server), A) == objects.Removal("")
    assert server.asked == ["get"]


def reference(uid: str) -> CoreReference:
    return A.reference(uid)


async def test_restoring_reads_again_after_a_conflict() -> None:
    before = foreign()
    before["metadata"]["resourceVersion"] = "1"
    server = OneObject(before)
    where = at(server)
    applied = await objects.apply(where, A, BODY)

    def conflict() -> None:
        raise Conflict(409, "Conflict", "changed")

    server.before = [conflict, conflict]
    ref = reference(applied["metadata"]["uid"])
    assert await take_back(reverting(where), A, ref, ResourceOperation.APPLY) == Undone(Effect.RESTORED)
    assert server.obj is not None
    assert server.obj["data"] == {"x": "0"}


async def test_deletion_that_meets_another_object_is_done() -> None:
    server = OneObject()
    where = at(server)
    made = await objects.apply(where, A, BODY)
    server.before = [lambda: server.__setattr__("obj", foreign())]
    undone = await take_back(reverting(where), A, reference(made["metadata"]["uid"]), ResourceOperation.APPLY)
    assert undone == Undone(Effect.DELETED)
    assert server.obj == foreign()


async def test_created_object_is_deleted_in_one_request() -> None:
    server = OneObject()
    where = at(server)
    made = await objects.create(where, A, BODY)
    asked = list(server.asked)
    undone = await take_back(reverting(where), A, reference(made["metadata"]["uid"]), ResourceOperation.CREATE)
    assert undone == Undone(Effect.DELETED)
    assert server.asked[len(asked) :] == ["delete"]


async def test_created_object_that_was_made_anew_by_somebody_else_stays() -> None:
    server = OneObject(foreign())
    with pytest.raises(CannotUndoError, match="it was deleted and created again outside this plan"):
        await take_back(reverting(at(server)), A, reference("uid-1"), ResourceOperation.CREATE)
    assert server.obj == foreign()


async def test_missing_object_of_a_restore_is_not_explained_by_a_crash() -> None:
    server = OneObject(foreign())
    where = at(server)
    applied = await objects.apply(where, A, BODY)
    server.obj = None
    ref = reference(applied["metadata"]["uid"])
    with pytest.raises(CannotUndoError, match="Failed to restore ConfigMap ns/a: not found"):
        await take_back(reverting(where, in_doubt=True), A, ref, ResourceOperation.APPLY)


async def test_unseen_object_that_is_not_there_was_never_made() -> None:
    undone = await take_back(reverting(at(OneObject())), A, reference(""), ResourceOperation.CREATE)
    assert undone == Undone(Effect.KEPT, "ConfigMap ns/a is not there, and nothing tells that this run made it")


@pytest.mark.parametrize("operation", [ResourceOperation.CREATE, ResourceOperation.REPLACE])
@pytest.mark.parametrize("identity", ["", "run-1/first/0/other", "run-1/second/0/step", "run-2/first/0/step"])
async def test_an_object_without_recorded_uid_is_deleted_only_with_the_mark_of_that_action(
    operation: ResourceOperation, identity: str
) -> None:
    live = foreign()
    live["metadata"] = {**live["metadata"], "annotations": {IDENTITY_ANNOTATION: identity}}
    server = OneObject(live)
    with pytest.raises(CannotUndoError, match="ConfigMap ns/a was left alone: its uid was not recorded"):
        await take_back(reverting(at(server)), A, reference(""), operation)
    assert server.obj is live
    live["metadata"]["annotations"][IDENTITY_ANNOTATION] = "run-1/first/0/step"
    assert await take_back(reverting(at(server)), A, reference(""), operation) == Undone(Effect.DELETED)


async def test_record_of_absence_means_that_the_run_created_the_object() -> None:
    server = OneObject(foreign())
    priors = MemoryPriors()
    where = at(server, priors=priors)
    await priors.save(objects.prior_key(where, A), None)
    undone = await take_back(reverting(where), A, reference("foreign"), ResourceOperation.APPLY)
    assert undone == Undone(Effect.DELETED)


async def test_prior_state_is_kept_lean_and_found_by_a_revert() -> None:
    where = at(OneObject())
    full = {**foreign(), "status": {"phase": "x"}}
    full["metadata"] = {**full["metadata"], "managedFields": [{}], "labels": {"a": "b"}}
    await objects.remember(where, A, full)
    key = "first/0/step#v1/ConfigMap/ns/a"
    assert objects.prior_key(where, A) == objects.prior_key(reverting(where), A) == key
    (kept,) = cast("MemoryPriors", where.priors).records.values()
    assert kept is not None
    assert kept["metadata"]["labels"] == {"a": "b"}
    assert set(kept) == {"apiVersion", "kind", "metadata", "data"}
    assert "managedFields" not in kept["metadata"]


async def test_marks_tell_the_action_even_when_the_target_run_is_not_known() -> None:
    where = at(OneObject())
    made = marked(BODY, where)
    assert made["metadata"]["annotations"] == {IDENTITY_ANNOTATION: "run-1/first/0/step"}
    assert created_by_target(made, reverting(where))
    assert created_by_target(made, reverting(where, target_identity=""))
    assert not created_by_target(made, reverting(where, target_identity="run-2/first/0/step"))
    assert not created_by_target(BODY, reverting(where, target_identity=""))
    assert "annotations" not in cast("dict[str, Any]", BODY["metadata"])


def test_messages_print_objects_by_scope() -> None:
    assert Target(SUBSCRIPTIONS, "ns", "s").label == "Subscription ns/s"


async def test_a_child_without_uid_is_not_deleted_again_when_it_was_made_anew() -> None:
    """The Go operator recorded no UIDs: which object goes is known from the first try on, also after a crash."""
    server = OneObject(foreign("first"))
    priors = MemoryPriors()

    async def taken(**others: Any) -> Undone:
        where = reverting(at(server, priors=priors), **others)
        return await take_back(where, A, reference(""), ResourceOperation.CREATE, trusted=True)

    lost = ApiUnavailable("no answer", server="s", in_doubt=True)

    def refuse() -> None:
        raise lost

    server.before.append(refuse)
    with pytest.raises(ApiUnavailable):
        await taken()
    assert await taken(in_doubt=True) == Undone(Effect.DELETED)
    assert server.obj is None
    server.put(foreign("anew"))
    for others in ({"in_doubt": True}, {"attempt": 2}):
        assert await taken(**others) == Undone(Effect.DELETED)
    assert server.obj is not None, "the object that was made anew was deleted"
