"""What an object was like before: also of one that is larger than a ConfigMap's room for it."""

from __future__ import annotations

import base64
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.kube.errors import NotFound
from app.kube.kept import Owner
from app.kube.resources import CONFIG_MAPS
from controller.snapshots import PriorDamagedError, SnapshotStore
from tests.support.cluster import Cluster


@pytest_asyncio.fixture
async def kube(cluster: Cluster) -> AsyncIterator[KubeClient]:
    """A client that may write ConfigMaps in every namespace; the controller may in its own only."""
    async with KubeClient(load_connection(str(cluster.kubeconfig_of("admin")))) as client:
        yield client


KEY = "s/0/a#v1/ConfigMap/ns/large"


def large(seed: int, size: int = 900_000) -> dict[str, Any]:
    """An object that no compression makes small; etcd takes at most 1.5 MiB of one."""
    noise = base64.b64encode(random.Random(seed).randbytes(size)).decode()
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"noise": noise}}


def owner_of(namespace: str) -> Owner:
    return Owner(f"uid-of-{namespace}", namespace, "e")


async def names(kube: KubeClient, namespace: str) -> list[str]:
    found = await kube.list_all(CONFIG_MAPS, namespace=namespace)
    return sorted(name for item in found if (name := item["metadata"]["name"]).startswith("drplan-prior-"))


async def test_a_large_prior_state_is_split_and_the_first_record_stays(kube: KubeClient, namespace: str) -> None:
    store, owner = SnapshotStore(kube, namespace), owner_of(namespace)
    await store.save_prior(owner, KEY, large(1))
    assert len(await names(kube, namespace)) == 2
    await store.save_prior(owner, KEY, large(2))
    assert await store.load_prior(owner, KEY) == (True, large(1))
    await store.save_prior(owner, "small", {"kind": "X"})
    await store.save_prior(owner, "absent", None)
    assert await store.load_prior(owner, "small") == (True, {"kind": "X"})
    assert await store.load_prior(owner, "absent") == (True, None)
    assert await store.load_prior(owner, "never") == (False, None)
    await store.delete(owner.uid, keep_priors=True)
    assert len(await names(kube, namespace)) == 4
    await store.delete(owner.uid)
    assert await names(kube, namespace) == []


async def test_parts_of_a_crash_are_replaced(kube: KubeClient, namespace: str) -> None:
    """A process that died between the parts and the index has recorded nothing; the next attempt records afresh."""
    store, owner = SnapshotStore(kube, namespace), owner_of(namespace)
    await store.save_prior(owner, KEY, large(1))
    index, _ = await names(kube, namespace)
    await kube.delete(CONFIG_MAPS, index, namespace=namespace)
    assert await store.load_prior(owner, KEY) == (False, None)
    await store.save_prior(owner, KEY, large(2))
    assert await store.load_prior(owner, KEY) == (True, large(2))


async def test_a_record_that_has_lost_a_part_is_named(kube: KubeClient, namespace: str) -> None:
    store, owner = SnapshotStore(kube, namespace), owner_of(namespace)
    await store.save_prior(owner, KEY, large(1))
    index, part = await names(kube, namespace)
    await kube.delete(CONFIG_MAPS, part, namespace=namespace)
    with pytest.raises(PriorDamagedError, match=f"ConfigMap {namespace}/{index}, cannot be used.*has lost a part"):
        await store.load_prior(owner, KEY)
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, part, namespace=namespace)


async def test_a_record_of_an_earlier_release_is_read(kube: KubeClient, namespace: str) -> None:
    """Before, a prior state was one ConfigMap without a word about parts."""
    store, owner = SnapshotStore(kube, namespace), owner_of(namespace)
    await store.save_prior(owner, KEY, {"kind": "X"})
    [name] = await names(kube, namespace)
    stored = await kube.get(CONFIG_MAPS, name, namespace=namespace)
    await kube.delete(CONFIG_MAPS, name, namespace=namespace)
    metadata = {key: stored["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    await kube.create(CONFIG_MAPS, {**stored, "metadata": metadata, "data": {}})
    assert await store.load_prior(owner, KEY) == (True, {"kind": "X"})


async def test_a_record_can_be_replaced_whatever_its_size(kube: KubeClient, namespace: str) -> None:
    """What a run changed of an object may grow, with further attempts, beyond one ConfigMap, and shrink again."""
    store, owner = SnapshotStore(kube, namespace), owner_of(namespace)
    assert await store.save_prior(owner, KEY, {"small": True})
    assert not await store.save_prior(owner, KEY, {"other": True})
    for record in (large(1), large(2), large(2), {"small": True}, large(3, size=1_400_000)):
        await store.replace_prior(owner, KEY, record)
        assert await store.load_prior(owner, KEY) == (True, record)
    assert not await store.save_prior(owner, KEY, large(4))
    assert await store.load_prior(owner, KEY) == (True, large(3, size=1_400_000))
    await store.delete(owner.uid)
    assert await names(kube, namespace) == []
