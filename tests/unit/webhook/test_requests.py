"""How many requests the look-ups of a review take, and that they are as fresh as one request for each object."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest

from app.kube.access import Right
from app.kube.client import KubeClient
from app.kube.config import ConnectionConfig
from app.kube.errors import Forbidden, NotFound
from app.kube.resources import WORKFLOWS, Resource
from app.models.plan import DRPlan
from app.rules.plan import workflow_keys
from tests.unit.rules.builders import plan_json, stage, workflow_json
from webhook import stored_workflows
from webhook.failures import LookupFailedError
from webhook.handlers import Context, review_plan
from webhook.lookups import KubeLookups
from webhook.review import Request, UserInfo

Json = dict[str, Any]
Key = tuple[str, str]


class Kube:
    """An API server that counts what it is asked."""

    def __init__(self, *keys: Key, may: set[Key] | None = None) -> None:
        self.stored = {key: workflow_json(namespace=key[0], name=key[1]) for key in keys}
        self.may = may
        self.asked: Counter[str] = Counter()
        self.limits: list[int] = []
        self.refuses_lists = False

    async def get(self, resource: Resource, name: str, *, namespace: str, timeout: float) -> Json:
        self.asked[f"get {resource.plural}"] += 1
        if (namespace, name) not in self.stored:
            raise NotFound(404, "NotFound", f"{name} not found")
        return self.stored[namespace, name]

    async def list(
        self, resource: Resource, *, namespace: str, limit: int, continue_token: str, timeout: float
    ) -> Json:
        self.asked[f"list {resource.plural}"] += 1
        self.limits.append(limit)
        if self.refuses_lists:
            raise Forbidden(403, "Forbidden", "refused by the test")
        at = int(continue_token or 0)
        items = [self.stored[key] for key in sorted(self.stored) if key[0] == namespace][at:]
        more = {"continue": f"{at + limit}", "remainingItemCount": len(items) - limit} if len(items) > limit else {}
        return {"metadata": more, "items": items[:limit]}

    async def create(self, resource: Resource, body: Json, *, timeout: float) -> Json:
        self.asked["access"] += 1
        asked = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": self.may is None or (asked["namespace"], asked["name"]) in self.may}}


def lookups(kube: Kube) -> KubeLookups:
    return KubeLookups(cast(KubeClient, kube))


def keys(count: int, namespace: str = "default") -> list[Key]:
    return [(namespace, f"w{number:03}") for number in range(count)]


def review(plan: Json) -> Request:
    return Request(uid="u", name="p", namespace="default", operation="CREATE", object=plan)


def refers(key: Key) -> Json:
    return {"workflowRef": {"namespace": key[0], "name": key[1]}}


def stages(*used: Key) -> Json:
    """A plan of stages with three workflows each."""
    return plan_json(*[stage(f"s{at}", *map(refers, used[at : at + 3])) for at in range(0, len(used), 3)])


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (keys(1), {"get drworkflows": 1}),
        (keys(3), {"get drworkflows": 3}),
        (keys(4), {"list drworkflows": 1}),
        (keys(36), {"list drworkflows": 1}),
        (keys(3) * 12, {"get drworkflows": 3}),
        (keys(36, "other"), {"list drworkflows": 1, "access": 1}),
        (keys(18) + keys(18, "other"), {"list drworkflows": 2, "access": 1}),
        (keys(18) + keys(1, "other"), {"list drworkflows": 1, "get drworkflows": 1, "access": 1}),
    ],
    ids=["one", "few", "several", "12 stages", "shared", "elsewhere", "two namespaces", "one elsewhere"],
)
async def test_requests_of_a_plans_review(used: list[Key], expected: dict[str, int]) -> None:
    kube = Kube(*used, *keys(3))
    verdict = await review_plan(review(stages(*used)), Context(lookups(kube), "drplan-system"))
    assert (verdict.allowed, verdict.message) == (True, "")
    assert kube.asked == expected


HOSTILE = ("..", "a/b", "a%2fb", "x\u200b", "drplan-system/../x", "\x00", "a" * 254, "")


async def test_what_nothing_can_be_called_is_missing_and_is_not_asked_for() -> None:
    """The client would refuse it, which is no failure of the service (decision W6)."""
    kube = Kube(*keys(4))
    asked = [*keys(4), *(("default", name) for name in HOSTILE), *((name, "w") for name in HOSTILE * 4)]
    found = await lookups(kube).workflows(asked)
    assert {key for key, workflow in found.items() if workflow is not None} == set(keys(4))
    assert found.keys() == set(asked)
    assert kube.asked == {"list drworkflows": 1}


@pytest.mark.parametrize("api_version", ["../v1", "/v1", "v1?x", "V1", "a/b/c", "", "v1\n"])
async def test_a_kind_that_nothing_can_be_called_is_told_and_is_no_failure(api_version: str) -> None:
    client = KubeClient(ConnectionConfig(server="http://127.0.0.1:9", namespace="default"))
    found = await KubeLookups(client).resources([(api_version, "ConfigMap"), ("v1", "configmaps/x")])
    assert "apiVersion must be" in str(found[api_version, "ConfigMap"])
    assert "kind must be" in str(found["v1", "configmaps/x"])


async def test_missing_workflows_are_missing_in_a_list_too() -> None:
    kube = Kube(*keys(5))
    found = await lookups(kube).workflows([*keys(4), ("default", "gone")])
    assert found == {**{key: kube.stored[key] for key in keys(4)}, ("default", "gone"): None}
    assert list(found) == [*keys(4), ("default", "gone")]
    assert kube.asked == {"list drworkflows": 1}


async def test_every_read_sees_what_is_stored_at_that_moment() -> None:
    kube = Kube(*keys(4))
    reads = lookups(kube)
    await reads.workflows(keys(4))
    kube.stored["default", "w001"] = changed = workflow_json(name="w001", failurePolicy="Continue")
    del kube.stored["default", "w002"]
    found = await reads.workflows(keys(4))
    assert (found["default", "w001"], found["default", "w002"]) == (changed, None)


async def test_a_crowded_namespace_is_read_one_by_one_and_not_listed_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kube = Kube(*keys(100))
    reads = lookups(kube)
    wanted = [("default", "w001"), *keys(100)[-4:], ("default", "gone")]
    for _ in range(2):
        found = await reads.workflows(wanted)
        assert found == {key: kube.stored.get(key) for key in wanted}
    assert kube.limits == [24]
    assert kube.asked == {"list drworkflows": 1, "get drworkflows": 5 + 6}
    monkeypatch.setattr(stored_workflows, "CROWDED_SECONDS", -1.0)
    reads = lookups(kube)
    for _ in range(2):
        await reads.workflows(wanted)
    assert kube.limits == [24, 24, 24]


async def test_a_namespace_too_crowded_for_a_small_page_is_listed_for_more_workflows() -> None:
    kube = Kube(*keys(60))
    reads = lookups(kube)
    await reads.workflows(keys(4))
    await reads.workflows(keys(20))
    assert kube.limits == [16, 80]


async def test_many_workflows_are_read_by_pages_that_are_never_longer_than_the_limit() -> None:
    kube = Kube(*keys(900))
    wanted = [*keys(900)[::2], ("default", "gone")]
    found = await lookups(kube).workflows(wanted)
    assert found == {key: kube.stored.get(key) for key in wanted}
    assert kube.limits == [100] * 9
    assert kube.asked == {"list drworkflows": 9}


async def test_pages_end_where_the_rest_is_cheaper_one_by_one() -> None:
    kube = Kube(*keys(500))
    wanted = [*keys(200), *keys(500)[-4:]]
    found = await lookups(kube).workflows(wanted)
    assert found == {key: kube.stored.get(key) for key in wanted}
    assert kube.asked == {"list drworkflows": 2, "get drworkflows": 4}


async def test_pages_end_with_the_last_that_is_wanted() -> None:
    kube = Kube(*keys(150))
    for _ in range(2):
        await lookups(kube).workflows(keys(40))
    assert kube.asked == {"list drworkflows": 2}


async def test_a_stored_plan_with_too_many_workflows_is_changed_without_a_look_up() -> None:
    kube = Kube()
    large, larger = (plan_json(stage("s", *map(refers, keys(count)))) for count in (1_400, 1_500))
    changed = {**large, "spec": {**large["spec"], "failurePolicy": "Continue"}}
    kept = Request(uid="u", name="p", namespace="default", operation="UPDATE", object=changed, old_object=large)
    verdict = await review_plan(kept, Context(lookups(kube), "drplan-system"))
    assert verdict.allowed
    assert "split the plan into several" in verdict.warnings[0]
    grown = Request(uid="u", name="p", namespace="default", operation="UPDATE", object=larger, old_object=large)
    assert "split the plan into several" in (await review_plan(grown, Context(lookups(kube), "drplan-system"))).message
    assert kube.asked == {}


async def test_crowded_namespaces_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_workflows, "MOST_CROWDED", 3)
    crowds = [keys(50, f"n{number}") for number in range(5)]
    kube = Kube(*(key for crowd in crowds for key in crowd))
    reads = stored_workflows.StoredWorkflows(cast(KubeClient, kube))
    for crowd in crowds:
        await reads.read(crowd[:4])
    assert len(reads._crowded) <= 3


async def test_a_list_that_fails_keeps_its_code() -> None:
    kube = Kube(*keys(4))
    kube.refuses_lists = True
    with pytest.raises(LookupFailedError) as caught:
        await lookups(kube).workflows(keys(4))
    assert (caught.value.code, caught.value.reason) == (403, "Forbidden")
    assert str(caught.value) == "failed to list DRWorkflows of namespace default: refused by the test"


async def test_who_may_not_read_a_whole_namespace_is_asked_about_each() -> None:
    far = keys(3, "other")
    kube = Kube(*far, may={far[0], far[2]})
    rights = [Right("use", WORKFLOWS, *key) for key in far]
    answers = await lookups(kube).may(UserInfo(username="jane"), rights)
    assert [answers[right].allowed for right in rights] == [True, False, True]
    assert kube.asked == {"access": 4}


def test_the_plan_of_twelve_stages_refers_to_36_workflows() -> None:
    assert len(workflow_keys(DRPlan.from_wire(stages(*keys(36))))) == 36
