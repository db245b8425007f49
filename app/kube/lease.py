r"""The leader lease: one process works, the others stand by.

The rules are client-go's. Nobody believes the other's clock: a lease counts as expired when this process has not
seen the record change for the record's own duration, on this process's own clock. The leader's deadline runs from
the START of its last successful renewal, so that it stops to begin anything before anybody else may take over.

    standby --taken--> leading --deadline--> adrift --record still ours, confirmed--> leading
                          \---------------------+-- somebody else's --> deposed: work is cancelled, LeaseLostError

Adrift is who could not renew: the API server is away, or the process was stopped. Work goes on, but `remaining` is 0,
so that nothing is begun and nothing is written; what was begun within the lease may end. If nobody has taken the lease
meanwhile, which the record's own version proves, it is taken back; else the work is cancelled. Stricter than
client-go: a record that bears this process's identity but that this process has not written is somebody else's.

A lease is no fence. A process that is stopped and wakes up finds out at its next step; so whoever starts a side
effect asks `remaining` first (`app.kube.leased`), and whoever writes uses preconditions.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.kube.resources import LEASES
from app.kube.times import micro_time
from app.models.stored import members
from app.runtime import metrics
from app.runtime.groups import TaskGroup, first_error
from app.runtime.logging import get_logger

log = get_logger(__name__)

STANDBY_SECONDS = 1.0
"""A standby looks at the lease at least this often, and when it expires: that is how long a hand-over takes."""

STANDBY_JITTER = 0.2
"""Looks are `1 + random * STANDBY_JITTER` times that apart, so that standbys spread."""

_INT32 = 2**31
"""What the API server keeps the transitions in: whoever sets them to the most must not keep everybody from leading."""

CLOCK_SLACK = 0.01
"""Seconds before the deadline from which it counts as reached: timers may fire a little early."""

MOST_BELIEVED = 600.0
"""Seconds, or the own duration if that is longer, after which a record counts as expired that nobody renews, whatever
duration it says: somebody may have written it by hand."""

RELEASE_SECONDS = 0.8
"""How long giving the lease back may take."""


class LeaseLostError(KubeError):
    """The lease was held and is somebody else's now; the work has been stopped. The process should end."""


async def nothing_to_confirm() -> None:
    """Take a lease back without asking anybody."""


class LeaderLease:
    """One Lease object and this process's claim to it. Times are seconds; `identity` is unique among processes.

    `kin` is what identities of earlier processes begin with that are certainly dead: their lease is taken at once.
    `clock` gives seconds and should count those in which the machine sleeps; by default it is the event loop's.
    """

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
        kin: str = "",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.identity = identity
        self.transitions = 0
        self.deposed = ""
        """Why this process no longer leads, once somebody else has taken the lease from it; else empty."""
        self._kin = kin
        self._clock = clock or _loop_time
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
        self._told_adrift = False

    @property
    def is_leader(self) -> bool:
        """Whether the lease is held and has not run out."""
        return self.remaining() > 0

    @property
    def holder(self) -> str:
        """The holder as last seen; empty when nobody is."""
        return str(_spec(self._record).get("holderIdentity") or "")

    def remaining(self) -> float:
        """Seconds until others may take over; 0 when not the leader, or not renewed in time. Callable in any thread."""
        renewed_at = self._renewed_at
        if renewed_at is None:
            return 0.0
        age = self._clock() - renewed_at
        return max(0.0, self._duration - age) if age < self._renew_deadline - CLOCK_SLACK else 0.0

    def adrift_seconds(self) -> float:
        """Seconds since the lease should have been renewed; 0 when it was, and when this process never led."""
        renewed_at = self._renewed_at
        return 0.0 if renewed_at is None else max(0.0, self._clock() - renewed_at - self._renew_deadline)

    def previous_remaining(self) -> float:
        """Seconds for which an earlier leader may still believe in its lease; 0 when it cannot.

        Taking over an expired or released lease leaves nothing. Only when the Lease object did not exist (a first
        start, or it was deleted by hand) a holder may live on unseen for one lease duration.
        """
        return max(0.0, self._previous_until - self._clock())

    def previous_expired(self) -> bool:
        """Whether no earlier leader can still believe in its lease."""
        return self.previous_remaining() == 0.0

    async def lead(
        self,
        work: Callable[[], Awaitable[None]],
        confirm: Callable[[], Awaitable[None]] = nothing_to_confirm,
    ) -> None:
        """Wait for the lease, run `work` while nobody else holds it, give it back.

        Returns when `work` does, and raises what `work` raises. When somebody else has the lease, `work` is cancelled
        and LeaseLostError is raised once it has ended. `confirm` is asked before a lease that was not renewed in time
        counts as held again; a KubeError of it is tried again, what else it raises ends the work.
        """
        lost = False
        try:
            await self._acquire()
            await self._work_while_renewing(work, confirm)
        except LeaseLostError:
            lost = True
            raise
        finally:
            if not lost:
                await self._release()
            self._renewed_at = None
            metrics.leader.set(0)

    async def _work_while_renewing(
        self, work: Callable[[], Awaitable[None]], confirm: Callable[[], Awaitable[None]]
    ) -> None:
        try:
            async with TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew(confirm), name="lease/renew")
                await work()
                renewing.cancel()
        except BaseExceptionGroup as group:
            lost = group.subgroup(LeaseLostError)
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
            started = self._clock()
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
            await asyncio.sleep(self._until_next_look())
        self._renewed_at = started
        metrics.leader.set(1)
        log.info("leading", lease=self._name, identity=self.identity, transitions=self.transitions)

    def _until_next_look(self) -> float:
        spread = 1.0 + random.random() * STANDBY_JITTER  # noqa: S311  (no secret)
        usual = min(self._retry, STANDBY_SECONDS) * spread
        expiry = self._seconds_until_expiry()
        return min(usual, expiry + 0.1 * spread) if expiry > 0 else usual

    async def _renew(self, confirm: Callable[[], Awaitable[None]]) -> None:
        """Renew until cancelled; LeaseLostError as soon as somebody else is seen to hold the lease."""
        iterations = metrics.loop_iterations_total.labels("lease")
        problem = ""
        while True:
            assert self._renewed_at is not None
            left = self._renewed_at + self._renew_deadline - self._clock()
            await asyncio.sleep(min(self._retry, left) if left > 0 else self._retry)
            iterations.inc()
            try:
                await self._renew_once(confirm)
                problem = ""
            except LeaseLostError:
                raise
            except (KubeError, TimeoutError) as e:
                told, problem = problem, f"{type(e).__name__}: {e}"
                if problem != told:
                    left = round(self.remaining(), 1)
                    log.warning("lease not renewed", lease=self._name, error=problem, remaining=left)

    async def _renew_once(self, confirm: Callable[[], Awaitable[None]]) -> None:
        """Renew, or take back what was not renewed in time; raises LeaseLostError, KubeError, TimeoutError."""
        started = self._clock()
        assert self._renewed_at is not None
        left = self._renewed_at + self._renew_deadline - started
        # a process that was stopped, or whose event loop was blocked, wakes up here
        adrift = left <= CLOCK_SLACK
        if adrift and not self._told_adrift:
            self._told_adrift = True
            metrics.leader.set(0)
            log.warning("lease not renewed in time; nothing is begun until it is", lease=self._name)
        async with asyncio.timeout(self._renew_deadline if adrift else left):
            if not await self._try(leading=True):
                raise self._lost(f"it is held by {self.holder or 'nobody'}")
            if adrift:
                await confirm()
        self._renewed_at = started
        if adrift:
            self._told_adrift = False
            metrics.leader.set(1)
            log.info("lease taken back; nobody else had it", lease=self._name, seconds=round(-left, 1))

    def _lost(self, why: str) -> LeaseLostError:
        self._renewed_at = None
        metrics.leader.set(0)
        self.deposed = f"leader lease {self._namespace}/{self._name} lost: {why}"
        return LeaseLostError(self.deposed)

    async def _try(self, *, leading: bool) -> bool:
        """One attempt to take or renew the lease; false when somebody else has it.

        The leader writes over the record it wrote last without reading it first; when that meets a change (an
        annotation, an own write whose answer was lost) it reads and, if the record is still its own, writes again.
        """
        if leading and self._record is not None:
            with contextlib.suppress(Conflict, NotFound):
                await self._write(self._record, renewal=True)
                return True
        try:
            found = await self._kube.get(LEASES, self._name, namespace=self._namespace, timeout=self._request_timeout)
        except NotFound:
            return await self._create()
        self._observe(found)
        ours = self._is_ours(found)
        if not ours and (leading or (self._seconds_until_expiry() > 0 and not self._is_of_the_dead(found))):
            return False
        await self._write(found, renewal=ours)
        return True

    async def _create(self) -> bool:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._claim({}, transitions=self.transitions, acquired=None),
        }
        if self._renewed_at is None:
            self._previous_until = self._clock() + self._duration
        try:
            created = await self._kube.create(LEASES, body, timeout=self._request_timeout)
        except AlreadyExists:
            return False
        self._won(created)
        return True

    async def _write(self, lease: dict[str, Any], *, renewal: bool) -> None:
        """PUT our claim over the record that was read; its resourceVersion is the precondition."""
        spec = _spec(lease)
        transitions = _transitions(spec)
        claim = self._claim(
            spec,
            transitions=transitions if renewal else (transitions + 1) % _INT32,
            acquired=spec.get("acquireTime") if renewal else None,
        )
        body = {**lease, "spec": claim}
        self._won(await self._kube.replace(LEASES, body, timeout=self._request_timeout))

    def _claim(self, spec: dict[str, Any], *, transitions: int, acquired: str | None) -> dict[str, Any]:
        stamp = micro_time()
        # an answer that never came may belong to a write that happened: it is recognised by its stamp
        self._written_stamps = [*self._written_stamps[-7:], stamp]
        return {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, math.ceil(self._duration)),
            "acquireTime": acquired or stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions,
        }

    def _won(self, lease: dict[str, Any]) -> None:
        self._observe(lease)
        self.transitions = _transitions(_spec(lease))

    def _observe(self, lease: dict[str, Any]) -> None:
        """Note the record, and when it last changed on our clock."""
        if self._record is None or _spec(self._record) != _spec(lease):
            self._record_changed_at = self._clock()
        self._record = lease

    def _is_ours(self, lease: dict[str, Any]) -> bool:
        spec = _spec(lease)
        return spec.get("holderIdentity") == self.identity and spec.get("renewTime") in self._written_stamps

    def _is_of_the_dead(self, lease: dict[str, Any]) -> bool:
        return bool(self._kin) and str(_spec(lease).get("holderIdentity") or "").startswith(self._kin)

    def _seconds_until_expiry(self) -> float:
        """Seconds until the record last seen counts as expired; 0 when it is free."""
        spec = _spec(self._record)
        if not spec.get("holderIdentity"):
            return 0.0
        said = float(spec.get("leaseDurationSeconds") or self._duration)
        duration = min(said, max(self._duration, MOST_BELIEVED))
        return max(0.0, self._record_changed_at + duration - self._clock())

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
    return members((lease or {}).get("spec"))


def _transitions(spec: dict[str, Any]) -> int:
    return int(spec.get("leaseTransitions") or 0)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _first(group: BaseExceptionGroup[LeaseLostError]) -> LeaseLostError:
    found = first_error(group)
    assert isinstance(found, LeaseLostError)
    return found
