"""The bounds of what is done for an action, whatever it is called: own namespace, closed list, lease time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import pytest

from app.engine.bounds import FORBIDDEN
from app.kube.bounded import BoundedClient, WriteLease
from app.kube.client import KubeClient
from app.kube.errors import IllegalName, OutOfBounds
from app.kube.leased import NoLeaseTimeError
from app.kube.resources import CONFIG_MAPS, CRDS, EVENTS, EXECUTIONS, JOBS, LEASES, NAMESPACES, SECRETS, Resource
from app.kube.stream import WatchEvent

OWN = "drplan-system"
CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)


def obj(name: str = "a", namespace: str = "", **more: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"metadata": {"name": name, **place}, **more}


class Server:
    """Takes down what reaches it, and answers reads with what it was given."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.asked: list[str] = []
        self.items = list(items)

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def call(*_: Any, **more: Any) -> Any:
            self.asked.append(verb)
            self.timeout = more.get("timeout")
            return {"list": {"items": self.items}, "list_all": self.items, "apply": ({}, True)}.get(
                verb, self.items[0] if self.items and verb == "get" else {}
            )

        return call

    async def watch(self, *_: Any, **__: Any) -> AsyncGenerator[WatchEvent]:
        yield WatchEvent("BOOKMARK", {"metadata": {}})
        for item in self.items:
            yield WatchEvent("ADDED", item)


def client(server: Server, lease: WriteLease | None = None) -> BoundedClient:
    return BoundedClient(cast("KubeClient", server), OWN, lease)


async def every_verb(
    kube: BoundedClient, resource: Resource, namespace: str | None, name: str, body: dict[str, Any]
) -> list[Exception | None]:
    """What each verb says about an object."""

    async def watch() -> None:
        async for _ in kube.watch(resource, namespace=namespace, resource_version="1"):
            pass

    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: kube.get(resource, name, namespace=namespace),
        lambda: kube.create(resource, body, namespace=namespace),
        lambda: kube.change(resource, {"metadata": {"resourceVersion": "1"}}, body, name=name, namespace=namespace),
        lambda: kube.patch(resource, name, body, namespace=namespace),
        lambda: kube.apply(resource, body, name=name, namespace=namespace),
        lambda: kube.delete(resource, name, namespace=namespace),
    ]
    if not name:
        calls = [
            lambda: kube.list(resource, namespace=namespace),
            lambda: kube.list_all(resource, namespace=namespace),
            watch,
        ]
    return [await _raised(call) for call in calls]


async def _raised(call: Callable[[], Awaitable[Any]]) -> Exception | None:
    try:
        await call()
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(
    ("resource", "namespace", "name"),
    [
        (CONFIG_MAPS, OWN, "x"),
        (CONFIG_MAPS, OWN, ""),
        (SECRETS, OWN, "drplan-webhook-tls"),
        (JOBS, OWN, "x"),
        (NAMESPACES, None, OWN),
        (Resource("", "v1", "namespaces", "namespace", namespaced=False), None, OWN),
        (Resource("stable.example.com", "v1", "crontabs", "CronTab"), OWN, "x"),
        (EXECUTIONS, "default", "e"),
        (EXECUTIONS, None, ""),
        (Resource("dr.bkbcs.tencent.com", "v2", "drdrills", "DRDrill"), "default", "d"),
        (EVENTS, "default", "e"),
        (Resource("", "v1", "events", "Event"), "default", "e"),
        (LEASES, "kube-system", "kube-scheduler"),
        (Resource("coordination.k8s.io", "v1alpha2", "leasecandidates", "LeaseCandidate"), "default", "x"),
        (Resource("", "v1", "bindings", "Binding"), "default", "x"),
        (CRDS, None, "drplans.dr.bkbcs.tencent.com"),
        *[
            (Resource(each.group, "v1beta1", "whatever", "Whatever", namespaced=False), None, "x")
            for each in FORBIDDEN
            if not each.resources
        ],
    ],
)
async def test_nothing_out_of_bounds_is_asked_for(resource: Resource, namespace: str | None, name: str) -> None:
    server = Server()
    said = await every_verb(client(server), resource, namespace, name, obj(name))
    assert [type(error) for error in said] == [OutOfBounds] * len(said)
    told = str(said[0])
    assert "docs/security.md" in told or f"namespace {OWN} is the controller's own" in told
    assert not server.asked


@pytest.mark.parametrize(
    ("resource", "namespace", "name"),
    [
        (CONFIG_MAPS, "default", "x"),
        (CONFIG_MAPS, "drplan-system-2", "x"),
        (NAMESPACES, None, "shop"),
        (CLASSES, None, OWN),
        (CLASSES, None, "system:node"),
        (CRDS, None, "crontabs.stable.example.com"),
        (Resource("stable.example.com", "v1", "events", "Event"), "default", "x"),
    ],
)
async def test_everything_else_is(resource: Resource, namespace: str | None, name: str) -> None:
    server = Server()
    assert await every_verb(client(server), resource, namespace, name, obj(name)) == [None] * 6
    assert server.asked == ["get", "create", "patch", "patch", "apply", "delete"]


async def test_the_body_cannot_say_another_place_than_the_request() -> None:
    server = Server()
    kube = client(server)
    for body in (obj("x", OWN), obj("x")):
        with pytest.raises(OutOfBounds):
            await kube.create(CONFIG_MAPS, body, namespace="default" if body["metadata"].get("namespace") else OWN)
    with pytest.raises(OutOfBounds):
        await kube.patch(NAMESPACES, "shop", obj(OWN))
    with pytest.raises(IllegalName):
        await kube.create(CONFIG_MAPS, {"metadata": {"generateName": "x-"}}, namespace="default")
    with pytest.raises(IllegalName):
        await kube.delete(CONFIG_MAPS, "", namespace="default")
    for type_ in ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"):
        with pytest.raises(OutOfBounds, match="login of the cluster"):
            await kube.apply(SECRETS, obj("x", "default", type=type_), name="x")
    assert not server.asked


@pytest.mark.parametrize("type_", ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"])
async def test_a_login_of_the_cluster_is_not_changed_by_a_body_that_does_not_say_its_type(type_: str) -> None:
    server = Server(obj("bootstrap-token-abcdef", "kube-system", type=type_))
    kube, change = client(server), obj("bootstrap-token-abcdef", stringData={"token-secret": "0123456789abcdef"})
    for call in (
        lambda: kube.patch(SECRETS, "bootstrap-token-abcdef", change, namespace="kube-system"),
        lambda: kube.apply(SECRETS, change, name="bootstrap-token-abcdef", namespace="kube-system"),
    ):
        with pytest.raises(OutOfBounds, match="login of the cluster"):
            await call()
    assert server.asked == ["get", "get"]
    opaque = Server(obj("x", "shop", type="Opaque"))
    await client(opaque).patch(SECRETS, "x", obj("x"), namespace="shop")
    await client(opaque).patch(CONFIG_MAPS, "x", obj("x"), namespace="shop")
    assert opaque.asked == ["get", "patch", "patch"]


async def test_lists_and_watches_of_all_namespaces_leave_the_own_one_out() -> None:
    mine, other = obj("a", OWN), obj("b", "shop")
    kube = client(Server(mine, other))
    assert (await kube.list(CONFIG_MAPS))["items"] == [other]
    assert await kube.list_all(CONFIG_MAPS, label_selector="x") == [other]
    seen = [event.object async for event in kube.watch(CONFIG_MAPS, resource_version="1")]
    assert seen == [{"metadata": {}}, other]
    assert await client(Server(obj(OWN), obj("shop"))).list_all(NAMESPACES) == [obj("shop")]
    with pytest.raises(OutOfBounds):  # an aggregated API that answers with something else than was asked for
        await client(Server(mine)).get(CONFIG_MAPS, "b", namespace="shop")


async def test_a_write_waits_for_lease_time_and_a_read_does_not() -> None:
    left = 0.0
    server = Server()
    kube = client(server, WriteLease(lambda: left, write_timeout=5.0))
    await kube.get(CONFIG_MAPS, "a", namespace="shop")
    writing = asyncio.create_task(kube.delete(CONFIG_MAPS, "a", namespace="shop"))
    await asyncio.sleep(0.2)
    assert server.asked == ["get"]
    left = 5.0
    await asyncio.wait_for(writing, 2.0)
    assert server.asked == ["get", "delete"]
    assert server.timeout == 5.0


async def test_a_write_without_lease_time_is_not_sent_and_says_so() -> None:
    server = Server()
    kube = client(server, WriteLease(lambda: 0.1, write_timeout=0.2))
    said = await every_verb(kube, CONFIG_MAPS, "shop", "a", obj())
    assert said[0] is None
    assert [type(error) for error in said[1:]] == [NoLeaseTimeError] * 5
    assert [cast("NoLeaseTimeError", error).in_doubt for error in said[1:]] == [False] * 5
    assert "a write needs 0.2 s" in str(said[1])
    assert server.asked == ["get"]
