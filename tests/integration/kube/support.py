"""Connections to the real control plane and small waiting helpers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.config import load_connection
from tests.support.cluster import Cluster


@asynccontextmanager
async def connected(cluster: Cluster, identity: str = "admin") -> AsyncIterator[KubeClient]:
    """A client that logs in as one of the control plane's identities."""
    async with KubeClient(load_connection(str(cluster.kubeconfig_of(identity)))) as kube:
        yield kube


@asynccontextmanager
async def caching(kube: KubeClient, *args: Any, **kwargs: Any) -> AsyncIterator[Cache]:
    """A cache that runs and has its first list."""
    cache = Cache(kube, *args, **kwargs)
    task = asyncio.create_task(cache.run())
    try:
        await cache.wait_synced(30)
        yield cache
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    """A ConfigMap to create."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }
