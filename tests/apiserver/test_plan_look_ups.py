"""The look-ups of a plan's review against the real API server: few requests, fresh, and the same as one for each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.kube.access import Right
from app.kube.resources import WORKFLOWS
from app.runtime import metrics
from tests.integration.kube.support import connected
from tests.support.cluster import Cluster
from tests.unit.rules.builders import http, workflow_json
from webhook import stored_workflows
from webhook.lookups import KubeLookups
from webhook.review import UserInfo

Json = dict[str, Any]
NAMES = [f"w{number}" for number in range(6)]
SECONDS = 60.0
"""How long rights may take to be in force."""


def store(cluster: Cluster, namespace: str) -> list[tuple[str, str]]:
    """Store the workflows; returns their keys."""
    for name in NAMES:
        cluster.api.apply(stored(namespace, name))
    return [(namespace, name) for name in NAMES]


def stored(namespace: str, name: str, action: str = "a") -> Json:
    """A workflow as it is applied."""
    obj = workflow_json(http(action), name=name, namespace=namespace)
    return {**obj, "metadata": {"name": name, "namespace": namespace}}


def requests(verb: str) -> float:
    """Requests about workflows so far."""
    found = (
        sample.value
        for metric in metrics.kube_requests_total.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
        and (sample.labels["verb"], sample.labels["resource"]) == (verb, "drworkflows")
    )
    return sum(found)


async def test_a_list_gives_what_single_reads_give(cluster: Cluster, namespace: str) -> None:
    keys = store(cluster, namespace)
    before = requests("list"), requests("get")
    async with connected(cluster, "webhook") as kube:
        listed = await KubeLookups(kube).workflows([*keys, (namespace, "gone")])
        assert (requests("list"), requests("get")) == (before[0] + 1, before[1])
        single = {(namespace, name): await kube.get(WORKFLOWS, name, namespace=namespace) for name in NAMES}
    assert listed == {**single, (namespace, "gone"): None}


async def test_pages_of_a_list_give_the_same(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = store(cluster, namespace)
    before = requests("list"), requests("get")
    async with connected(cluster, "webhook") as kube:
        at_once = await KubeLookups(kube).workflows(keys)
        monkeypatch.setattr(stored_workflows, "MOST_IN_PAGE", 2)
        assert await KubeLookups(kube).workflows(keys) == at_once
    assert (requests("list"), requests("get")) == (before[0] + 1 + 3, before[1])


async def test_a_list_sees_a_change_made_just_before(cluster: Cluster, namespace: str) -> None:
    keys = store(cluster, namespace)
    async with connected(cluster, "webhook") as kube:
        reads = KubeLookups(kube)
        for number in range(10):
            cluster.api.apply(stored(namespace, "w3", f"a{number}"))
            found = (await reads.workflows(keys))[namespace, "w3"]
            assert found is not None
            assert found["spec"]["actions"][0]["name"] == f"a{number}"


async def test_a_right_to_some_names_is_no_right_to_the_others(cluster: Cluster, namespace: str) -> None:
    user = f"carol-{namespace}"
    some: Json = {"apiGroups": [WORKFLOWS.group], "resources": ["drworkflows"], "verbs": ["use"]}
    role: Json = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "some", "namespace": namespace},
        "rules": [{**some, "resourceNames": ["w0", "w2"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "some", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
        "subjects": [{"kind": "User", "name": user}],
    }
    cluster.apply([role, binding])
    rights = [Right("use", WORKFLOWS, namespace, name) for name in NAMES[:3]]

    async def allowed(expected: set[str]) -> None:
        """Wait until the roles are in force; the authorizer follows them by a watch."""
        found: set[str] = set()
        async with connected(cluster, "webhook") as kube, asyncio.timeout(SECONDS):
            while found != expected:
                answers = await KubeLookups(kube).may(UserInfo(username=user), rights)
                found = {right.name for right, access in answers.items() if access.allowed}
                assert found <= expected
                await asyncio.sleep(0.05)

    await allowed({"w0", "w2"})
    cluster.apply([{**role, "rules": [some]}])
    await allowed({"w0", "w1", "w2"})
