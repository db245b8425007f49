"""The leader lease: one process works, the others stand by.

The rules are client-go's. Nobody believes the other's clock: a lease counts as expired when this process has not
seen the record change for the record's own duration, on this process's monotonic clock. The leader's own deadline
runs from the START of its last successful renewal, so that it gives up before anybody else may take over. Two
things are stricter than in client-go: the leader's work is cancelled when the lease is lost, and a record that
bears this process's identity but that this process has not written is treated as somebody else's.

A lease is no fence. A process that is stopped and wakes up finds out at its next step; so whoever starts a side
effect asks `remaining` first, and whoever writes uses preconditions.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.kube.resources import LEASES
from app.kube.times import micro_time
from app.runtime import metrics
from app.runtime.groups import TaskGroup
from app.runtime.logging import get_logger

log = get_logger(__name__)

RETRY_JITTER = 1.2
"""Attempts to acquire are `retry * (1 + random * RETRY_JITTER)` seconds apart, as in client-go."""

CLOCK_SLACK = 0.01
"""Seconds before the deadline from which it counts as reached: timers may fire a little early."""

RELEASE_SECONDS = 2.0
"""How long giving the lease back may take."""


class LeaseLost(KubeError):  # noqa: N818  (an outcome more than an error)
    """The lease was held and is lost; the work has been stopped. The process should end."""


class LeaderLease:
    """One Lease object and this process's claim to it. Times are seconds; `identity` is unique among processes."""

    def __init__(
        self,
        kube: KubeClient,
        *,
        namespace: str,
        name: str = "65498215.bkbcs.tencent.com",
        identity: str,
        duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry: float = 2.0,
    ) -> None:
        self.identity = identity
        self.transitions = 0
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._duration = duration
        self._renew_deadline = renew_deadline
        self._retry = retry
        self._record: dict[str, Any] | None = None
        self._record_changed_at = 0.0
        self._written_stamps: list[str] = []
        self._renewed_at: float | None = None
        self._previous_until = 0.0

    @property
    def is_leader(self) -> bool:
        """Whether the lease is held and has not run out."""
        return self.remaining() > 0

    @property
    def holder(self) -> str:
        """The holder as last seen; empty when nobody is."""
        return str(_spec(self._record).get("holderIdentity") or "")

    def remaining(self) -> float:
        """Seconds until others may take over, on the loop clock; 0 when not the leader."""
        if self._renewed_at is None:
            return 0.0
        return max(0.0, self._renewed_at + self._duration - asyncio.get_running_loop().time())

    def previous_remaining(self) -> float:
        """Seconds for which an earlier leader may still believe in its lease; 0 when it cannot.

        Taking over an expired or released lease leaves nothing. Only when the Lease object did not exist (a first
        start, or it was deleted by hand) a holder may live on unseen for one lease duration.
        """
        return max(0.0, self._previous_until - asyncio.get_running_loop().time())

    def previous_expired(self) -> bool:
        """Whether no earlier leader can still believe in its lease."""
        return self.previous_remaining() == 0.0

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, run `work` while it holds, give it back.

        Returns when `work` does, and raises what `work` raises. When the lease is lost, `work` is cancelled and
        LeaseLost is raised once it has ended.
        """
        lost = False
        try:
            await self._acquire()
            await self._work_while_renewing(work)
        except LeaseLost:
            lost = True
            raise
        finally:
            if not lost:
                await self._release()
            self._renewed_at = None
            metrics.leader.set(0)

    async def _work_while_renewing(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew(), name="lease/renew")
                await work()
                renewing.cancel()
        except BaseExceptionGroup as group:
            lost = group.subgroup(LeaseLost)
            if lost is not None:
                raise _first(lost) from group
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from group.exceptions[0].__cause__
            raise

    async def _acquire(self) -> None:
        """Try until the lease is ours; failures are logged when they change."""
        iterations = metrics.loop_iterations_total.labels("lease")
        said = ""
        while True:
            iterations.inc()
            try:
                async with asyncio.timeout(self._renew_deadline):
                    if await self._try(leading=False):
                        break
                now_say = f"held by {self.holder}"
            except (KubeError, TimeoutError) as e:
                now_say = f"{type(e).__name__}: {e}"
            if now_say != said:
                log.info("waiting for the leader lease", lease=self._name, namespace=self._namespace, because=now_say)
                said = now_say
            await asyncio.sleep(self._retry * (1.0 + random.random() * RETRY_JITTER))  # noqa: S311  (no secret)
        metrics.leader.set(1)
        log.info("leading", lease=self._name, identity=self.identity, transitions=self.transitions)

    async def _renew(self) -> None:
        """Renew until cancelled; LeaseLost at the deadline, or as soon as somebody else holds the lease."""
        loop = asyncio.get_running_loop()
        iterations = metrics.loop_iterations_total.labels("lease")
        problem = ""
        while True:
            assert self._renewed_at is not None
            deadline = self._renewed_at + self._renew_deadline
            await asyncio.sleep(max(0.0, min(self._retry, deadline - loop.time())))
            iterations.inc()
            # a process that was stopped wakes up here, and must not send anything before it has looked at the clock
            if loop.time() >= deadline - CLOCK_SLACK:
                raise self._lost(problem or "this process was stopped, or its event loop blocked")
            try:
                async with asyncio.timeout_at(deadline):
                    ours = await self._try(leading=True)
                problem = ""
            except (KubeError, TimeoutError) as e:
                problem = f"{type(e).__name__}: {e}"
                log.warning("lease not renewed", lease=self._name, error=problem, remaining=round(self.remaining(), 1))
                continue
            if not ours:
                raise self._lost(f"it is held by {self.holder or 'nobody'}")

    def _lost(self, why: str) -> LeaseLost:
        self._renewed_at = None
        metrics.leader.set(0)
        return LeaseLost(f"leader lease {self._namespace}/{self._name} lost: {why}")

    async def _try(self, *, leading: bool) -> bool:
        """One attempt to take or renew the lease; false when somebody else has it.

        The leader writes over the record it wrote last without reading it first; when that meets a change (an
        annotation, an own write whose answer was lost) it reads and, if the record is still its own, writes again.
        """
        started = asyncio.get_running_loop().time()
        if leading and self._record is not None:
            with contextlib.suppress(Conflict, NotFound):
                await self._write(started, self._record, renewal=True)
                return True
        try:
            found = await self._kube.get(LEASES, self._name, namespace=self._namespace, timeout=self._request_timeout)
        except NotFound:
            return await self._create(started)
        self._observe(found)
        ours = self._is_ours(found)
        if not ours and (leading or self._seconds_until_expiry() > 0):
            return False
        await self._write(started, found, renewal=ours)
        return True

    async def _create(self, started: float) -> bool:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._claim({}, transitions=self.transitions, acquired=None),
        }
        if self._renewed_at is None:
            self._previous_until = started + self._duration
        try:
            created = await self._kube.create(LEASES, body, timeout=self._request_timeout)
        except AlreadyExists:
            return False
        self._won(created, started)
        return True

    async def _write(self, started: float, lease: dict[str, Any], *, renewal: bool) -> None:
        """PUT our claim over the record that was read; its resourceVersion is the precondition."""
        spec = _spec(lease)
        transitions = int(spec.get("leaseTransitions") or 0)
        claim = self._claim(
            spec,
            transitions=transitions if renewal else transitions + 1,
            acquired=spec.get("acquireTime") if renewal else None,
        )
        body = {**lease, "spec": claim}
        self._won(await self._kube.replace(LEASES, body, timeout=self._request_timeout), started)

    def _claim(self, spec: dict[str, Any], *, transitions: int, acquired: str | None) -> dict[str, Any]:
        stamp = micro_time()
        # an answer that never came may belong to a write that happened: it is recognised by its stamp
        self._written_stamps = [*self._written_stamps[-7:], stamp]
        return {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "acquireTime": acquired or stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions,
        }

    def _won(self, lease: dict[str, Any], started: float) -> None:
        self._observe(lease)
        self._renewed_at = started
        self.transitions = int(_spec(lease).get("leaseTransitions") or 0)

    def _observe(self, lease: dict[str, Any]) -> None:
        """Note the record, and when it last changed on our clock."""
        if self._record is None or _spec(self._record) != _spec(lease):
            self._record_changed_at = asyncio.get_running_loop().time()
        self._record = lease

    def _is_ours(self, lease: dict[str, Any]) -> bool:
        spec = _spec(lease)
        return spec.get("holderIdentity") == self.identity and spec.get("renewTime") in self._written_stamps

    def _seconds_until_expiry(self) -> float:
        """Seconds until the record last seen counts as expired; 0 when it is free."""
        spec = _spec(self._record)
        if not spec.get("holderIdentity"):
            return 0.0
        duration = float(spec.get("leaseDurationSeconds") or self._duration)
        return max(0.0, self._record_changed_at + duration - asyncio.get_running_loop().time())

    async def _release(self) -> None:
        """Give the lease back, so that the next leader need not wait; failing to is only logged."""
        if self._record is None or not self.is_leader:
            return
        stamp = micro_time()
        spec = {
            **_spec(self._record),
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "renewTime": stamp,
            "acquireTime": stamp,
        }
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._kube.replace(LEASES, {**self._record, "spec": spec}, timeout=RELEASE_SECONDS)
            log.info("lease released", lease=self._name)
        except (KubeError, TimeoutError) as e:
            log.warning("lease not released; it expires by itself", lease=self._name, error=str(e))

    @property
    def _request_timeout(self) -> float:
        return min(5.0, self._renew_deadline / 2)


def _spec(lease: dict[str, Any] | None) -> dict[str, Any]:
    spec = (lease or {}).get("spec")
    return spec if isinstance(spec, dict) else {}


def _first(group: BaseExceptionGroup[LeaseLost]) -> LeaseLost:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, LeaseLost)
    return found
