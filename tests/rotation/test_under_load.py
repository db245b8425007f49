"""Reviews through the real API server while certificates rotate, the authority too, and a replica restarts."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import pytest

from devcluster import ControlPlane
from devcluster.services import WebhookProcess
from tests.rotation import support
from tests.rotation.balancer import Balancer
from tests.support.cluster import CRDS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

LOAD_SECONDS = float(os.environ.get("DRPLAN_ROTATION_SECONDS", "60"))
"""How long reviews are sent, at least; they go on until both rotations and the restart are over."""
CLIENTS = 6
PATIENCE = 120.0
WORKFLOWS = "/apis/dr.bkbcs.tencent.com/v1alpha1/namespaces/default/drworkflows"


@dataclass
class Load:
    """Clients that create and update workflows by server-side dry run until told to stop."""

    plane: ControlPlane
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stop: bool = False

    async def client(self, number: int) -> None:
        context = ssl.create_default_context(cadata=self.plane.authority.pem.decode())
        headers = {"Authorization": f"Bearer {self.plane.identity('admin').token}"}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(
            self.plane.server, headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)
        ) as session:
            for turn in count():
                if self.stop:
                    return
                if turn % 2:
                    await self.ask(session, "PATCH", f"{WORKFLOWS}/load", 200, workflow("load", turn))
                else:
                    await self.ask(session, "POST", WORKFLOWS, 201, workflow(f"load-{number}-{turn}", turn))

    async def ask(
        self, session: aiohttp.ClientSession, method: str, path: str, expected: int, body: dict[str, Any]
    ) -> None:
        content = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        query = {"dryRun": "All"}
        try:
            async with session.request(method, path, params=query, json=body, headers=content) as response:
                text = await response.text()
                outcome = str(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome = text = f"{type(error).__name__}: {error}"
        self.answers[f"{method} {outcome}"] += 1
        if outcome != str(expected):
            self.failures.append(f"{method} {outcome}: {text[:300]}")


def workflow(name: str, turn: int) -> dict[str, Any]:
    action = {"name": "call", "type": "HTTP", "http": {"url": f"http://127.0.0.1/{turn}"}}
    return {
        "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
        "kind": "DRWorkflow",
        "metadata": {"name": name},
        "spec": {"actions": [action]},
    }


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(done):
            await asyncio.sleep(0.1)


async def rotate(plane: ControlPlane) -> None:
    """A new authority, up to the moment when the pair is signed by it."""
    before = support.kept(plane).issuer
    await asyncio.to_thread(support.ask_for_rotation, plane)
    await until(lambda: support.kept(plane).issuer != before)


async def restart(process: WebhookProcess) -> None:
    """Stop it as a rolling update does, and start it again."""
    assert await asyncio.to_thread(process.stop) == 0
    process.start()
    await until(process.ready)


async def story(plane: ControlPlane, replicas: list[WebhookProcess], load: Load) -> None:
    """Two changes of authority, with a restart begun during the second, within the time of the load."""
    end = asyncio.get_running_loop().time() + LOAD_SECONDS
    await rotate(plane)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(restart(replicas[0]))
        tasks.create_task(rotate(plane))
    await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))
    load.stop = True


async def run(plane: ControlPlane, replicas: list[WebhookProcess]) -> Load:
    load = Load(plane)
    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(load.client(number))
        tasks.create_task(story(plane, replicas, load))
    return load


def reloads(process: WebhookProcess) -> float:
    """How many certificates a replica has taken into service since it started."""
    line = next(
        line
        for line in process.metrics().splitlines()
        if line.startswith('drplan_certificate_reloads_total{result="loaded"}')
    )
    return float(line.split()[-1])


async def test_no_request_fails_while_certificates_rotate_and_a_replica_restarts() -> None:
    async with ControlPlane("minimal") as plane:
        await asyncio.to_thread(plane.api.install_crds, CRDS)
        lifetimes = ("--cert-lifetime=30", "--ca-lifetime=3600")
        replicas = [support.replica(plane, f"replica-{number}", lifetimes) for number in range(2)]
        with Balancer(plane.port(), replicas).serving() as balancer:
            plane.api.request("POST", WORKFLOWS, workflow("load", 0))
            support.empty_secrets(plane)
            support.register(plane, balancer.port)
            for process in replicas:
                process.start()
            for process in replicas:
                await asyncio.to_thread(process.wait_ready)
            first = support.kept(plane).issuer
            await until(lambda: plane.api.raw("POST", f"{WORKFLOWS}?dryRun=All", workflow("probe", 1))[0] == 201)
            load = await run(plane, replicas)
            taken = reloads(replicas[1])
            assert support.kept(plane).issuer != first
        print(f"\nreviews during {LOAD_SECONDS:g} s: {dict(load.answers)}; pairs taken by the other replica: {taken:g}")
        assert load.failures == []
        assert sum(load.answers.values()) > CLIENTS
        assert taken >= 3
