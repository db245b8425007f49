"""Watch and cache on the real API server: live changes, own writes, an API server that goes away."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from app.kube.client import KubeClient
from app.kube.errors import ApiUnavailable, Gone, KubeError
from app.kube.resources import CONFIG_MAPS, PLANS
from app.runtime import metrics
from devcluster import ControlPlane
from tests.integration.kube.support import caching, config_map, connected, until
from tests.support.cluster import Cluster

pytestmark = pytest.mark.cluster


async def test_changes_arrive_and_own_writes_are_seen_at_once(cluster: Cluster, namespace: str) -> None:
    told: list[tuple[str, str]] = []
    async with (
        connected(cluster) as kube,
        caching(kube, CONFIG_MAPS, namespace=namespace, label_selector="watched=yes") as cache,
    ):
        cache.subscribe(lambda type_, old, new: told.append((type_, (new or old or {})["metadata"]["name"])))
        body = config_map("a", namespace, x="1")
        body["metadata"]["labels"] = {"watched": "yes"}
        created = await kube.create(CONFIG_MAPS, body)
        cache.remember(created)
        seen = cache.get(namespace, "a")
        assert seen is not None
        assert "managedFields" not in seen["metadata"]
        cluster.kubectl("create", "configmap", "unwatched", namespace=namespace)
        cluster.kubectl("patch", "configmap", "a", "-p", '{"data":{"x":"2"}}', namespace=namespace)
        await until(lambda: (cache.get(namespace, "a") or {}).get("data") == {"x": "2"})
        cluster.kubectl("label", "configmap", "a", "watched-", namespace=namespace)
        await until(lambda: cache.get(namespace, "a") is None)
        cache.remember(created)
        assert cache.items() == []
    assert told == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_collection_of_many_pages(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        many = [config_map(f"c-{number}", namespace) for number in range(450)]
        await asyncio.gather(*(kube.create(CONFIG_MAPS, body, timeout=60) for body in many))
        async with caching(kube, CONFIG_MAPS, namespace=namespace) as cache:
            assert len(cache) == 450


async def test_all_namespaces_and_custom_resources(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube, caching(kube, PLANS) as cache:
        plan = {
            "apiVersion": PLANS.api_version,
            "kind": "DRPlan",
            "metadata": {"name": "p", "namespace": namespace},
            "spec": {"stages": [{"name": "s", "workflows": [{"workflowRef": {"name": "w", "namespace": namespace}}]}]},
        }
        cluster.apply(plan)
        await until(lambda: cache.get(namespace, "p") is not None)
        assert cache.seconds_since_last_line < 60
        age = metrics.REGISTRY.get_sample_value("drplan_watch_age_seconds", {"resource": "drplans"})
        assert age is not None
        assert 0 <= age < 60


async def test_the_server_ends_a_watch_in_time(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        version = (await kube.list(CONFIG_MAPS, namespace=namespace))["metadata"]["resourceVersion"]
        watch = kube.watch(CONFIG_MAPS, namespace=namespace, resource_version=version, timeout_seconds=1)
        async with aclosing(watch) as events:
            assert [event.type async for event in events if event.type != "BOOKMARK"] == []


async def test_an_api_server_that_dies_hangs_and_comes_back() -> None:
    with ControlPlane("minimal") as plane:
        cluster = Cluster(plane)
        namespace = cluster.namespace()
        server = plane.components["kube-apiserver"]
        async with connected(cluster) as kube, caching(kube, CONFIG_MAPS, namespace=namespace) as cache:
            server.pause()
            with pytest.raises(ApiUnavailable, match=r"within 0\.5 s") as hung:
                await kube.create(CONFIG_MAPS, config_map("doubtful", namespace), timeout=0.5)
            assert hung.value.in_doubt
            server.resume()
            await kube.create(CONFIG_MAPS, config_map("before", namespace), timeout=30)
            await until(lambda: cache.get(namespace, "before") is not None)

            server.kill9()
            await asyncio.sleep(0.1)
            with pytest.raises(ApiUnavailable, match="check that it runs") as away:
                await kube.create(CONFIG_MAPS, config_map("never", namespace))
            assert not away.value.in_doubt
            server.start()
            await until_created(kube, namespace)
            await until(lambda: cache.get(namespace, "after") is not None, 90)
            assert cache.get(namespace, "before") is not None
            assert cache.get(namespace, "never") is None

            # a freshly started server knows no history: what is from before its start is too old for it
            old = kube.watch(CONFIG_MAPS, namespace=namespace, resource_version="1")
            async with aclosing(old) as events:
                with pytest.raises(Gone):
                    await anext(events)


async def until_created(kube: KubeClient, namespace: str) -> None:
    """Create `after` as soon as the API server takes it."""
    async with asyncio.timeout(60):
        while True:
            try:
                await kube.create(CONFIG_MAPS, config_map("after", namespace))
                return
            except KubeError:
                await asyncio.sleep(0.2)
