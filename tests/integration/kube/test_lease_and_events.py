"""Leader lease and events on the real API server."""

from __future__ import annotations

import asyncio

import pytest

import app.kube.lease
from app.kube.events import EventRecorder
from app.kube.lease import LeaderLease, LeaseLostError
from app.kube.resources import CONFIG_MAPS, EVENTS, LEASES
from app.runtime import metrics
from tests.integration.kube.support import config_map, connected, until
from tests.support.cluster import Cluster

FAST = {"duration": 3.0, "renew_deadline": 2.0, "retry": 0.3}


async def test_the_lease_goes_from_one_to_the_other_and_is_lost_to_a_usurper(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        turns: list[str] = []

        def claim(name: str) -> LeaderLease:
            return LeaderLease(kube, namespace=namespace, identity=name, **FAST)

        async def first() -> None:
            turns.append("first")
            await asyncio.sleep(4)
            lease = await kube.get(LEASES, "65498215.bkbcs.tencent.com", namespace=namespace)
            assert lease["spec"]["holderIdentity"] == "one"
            turns.append("first ends")

        async def second() -> None:
            turns.append("second")
            spec = {"spec": {"holderIdentity": "usurper"}}
            await kube.patch(LEASES, "65498215.bkbcs.tencent.com", spec, namespace=namespace)
            await asyncio.sleep(60)

        two = claim("two")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(claim("one").lead(first))
            await until(lambda: turns == ["first"])
            waiting = tasks.create_task(lost(two, second))
        assert turns == ["first", "first ends", "second"]
        assert "held by usurper" in waiting.result()
        assert two.transitions == 1


async def lost(lease: LeaderLease, work: object) -> str:
    """Lead until the lease is lost; returns what the error says."""
    assert callable(work)
    with pytest.raises(LeaseLostError) as caught:
        await lease.lead(work)
    return str(caught.value)


async def test_no_lease_that_the_api_server_takes_keeps_everybody_from_leading(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.kube.lease, "MOST_BELIEVED", 1.0)
    name, most = "65498215.bkbcs.tencent.com", 2**31 - 1
    ghost = {"holderIdentity": "ghost", "leaseDurationSeconds": 1, "leaseTransitions": 1}
    by_hand: list[dict[str, object]] = [
        {"spec": {**ghost, "leaseTransitions": most}},
        {"spec": {**ghost, "leaseDurationSeconds": most, "renewTime": "2999-01-01T00:00:00.000000Z"}},
        {"spec": {**ghost, "renewTime": "1970-01-01T00:00:00.000000Z", "acquireTime": None}},
        {"spec": {**ghost, "leaseDurationSeconds": None, "renewTime": None, "leaseTransitions": None}},
        {"spec": {**ghost, "strategy": "OldestEmulationVersion", "preferredHolder": "nobody"}},
        {"spec": None},
        {"spec": ghost, "metadata": {"finalizers": ["example.com/kept"], "labels": {"a": "b"}}},
    ]
    async with connected(cluster) as kube:
        led: list[str] = []

        async def work() -> None:
            stored = await kube.get(LEASES, name, namespace=namespace)
            led.append(stored["spec"]["holderIdentity"])

        for number, patch in enumerate([{}, *by_hand]):
            if patch:
                await kube.patch(LEASES, name, patch, namespace=namespace)
            async with asyncio.timeout(30):
                await LeaderLease(kube, namespace=namespace, identity=f"leader-{number}", **FAST).lead(work)
        await kube.delete(LEASES, name, namespace=namespace)  # it stays, because of the finalizer
        async with asyncio.timeout(30):
            await LeaderLease(kube, namespace=namespace, identity="last", **FAST).lead(work)
        await kube.patch(LEASES, name, {"metadata": {"finalizers": None}}, namespace=namespace)
    assert led == [*(f"leader-{number}" for number in range(len(by_hand) + 1)), "last"]


async def test_go_clients_can_read_the_record(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube:
        lease = LeaderLease(kube, namespace=namespace, identity="me", **FAST)
        shown: list[str] = []

        async def work() -> None:
            fields = "{.spec.holderIdentity} {.spec.leaseDurationSeconds} {.spec.renewTime}"
            path = f"jsonpath={{range .items[*]}}{fields}{{end}}"
            answer = await asyncio.to_thread(cluster.kubectl, "get", "lease", "-o", path, namespace=namespace)
            shown.append(answer.stdout)

        await lease.lead(work)
    holder, duration, renewed = shown[0].split()
    assert (holder, duration) == ("me", "3")
    assert renewed.endswith("Z")


async def test_events_are_shown_by_kubectl_and_repeats_are_one_series(cluster: Cluster, namespace: str) -> None:
    async with connected(cluster) as kube, connected(cluster, "controller") as product:
        about = await kube.create(CONFIG_MAPS, config_map("run", namespace))
        recorder = EventRecorder(product)
        task = asyncio.create_task(recorder.run())
        recorder.emit(about, "Normal", "StageStarted", "Started executing stage web (mode=parallel)")
        assert await recorder.drain(10)
        for _ in range(4):
            recorder.emit(about, "Normal", "StageStarted", "Started executing stage web (mode=parallel)")
        recorder.emit(about, "Warning", "StageFailed", "x" * 5000)
        assert await recorder.drain(10)
        task.cancel()
        await asyncio.wait({task})
        events = {event["reason"]: event for event in await kube.list_all(EVENTS, namespace=namespace)}
    assert events["StageStarted"]["series"]["count"] == 5
    assert len(events["StageFailed"]["message"]) == 1024
    described = cluster.kubectl("describe", "configmap", "run", namespace=namespace).stdout
    assert "Started executing stage web (mode=parallel)" in described
    assert "x5" in described


async def test_in_a_terminating_namespace_the_refusal_is_final(cluster: Cluster, namespace: str) -> None:
    labels = {"reason": "namespace_terminating"}
    before = metrics.REGISTRY.get_sample_value("drplan_events_dropped_total", labels) or 0.0
    async with connected(cluster) as kube:
        about = await kube.create(CONFIG_MAPS, config_map("run", namespace))
        await asyncio.to_thread(cluster.kubectl, "delete", "namespace", namespace, "--wait=false")
        recorder = EventRecorder(kube)
        task = asyncio.create_task(recorder.run())
        recorder.emit(about, "Normal", "ExecutionStarted", "too late")
        assert await recorder.drain(10)
        task.cancel()
        await asyncio.wait({task})
    assert metrics.REGISTRY.get_sample_value("drplan_events_dropped_total", labels) == before + 1
