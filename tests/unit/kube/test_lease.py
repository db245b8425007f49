"""The leader lease: who leads, what ends with it, and whose clock counts."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from app.kube.client import KubeClient
from app.kube.errors import AlreadyExists, ApiUnavailable, Conflict, NotFound
from app.kube.lease import LeaderLease, LeaseLostError
from app.runtime import metrics

pytestmark = pytest.mark.looptime

AWAY = ApiUnavailable("away", server="http://a", in_doubt=True)


class Leases:
    """One Lease object behind the three calls that the code under test makes, with faults to order."""

    def __init__(self) -> None:
        self.object: dict[str, Any] | None = None
        self.version = 0
        self.writes: list[float] = []
        self.fault: Callable[[str], Awaitable[None]] | None = None
        self.lose_answers = False

    async def get(self, _resource: object, _name: str, **_: object) -> dict[str, Any]:
        await self._fail("get")
        if self.object is None:
            raise NotFound(404, "NotFound", "no lease")
        return copy.deepcopy(self.object)

    async def create(self, _resource: object, body: dict[str, Any], **_: object) -> dict[str, Any]:
        await self._fail("create")
        if self.object is not None:
            raise AlreadyExists(409, "AlreadyExists", "exists")
        return await self._store(body)

    async def replace(self, _resource: object, body: dict[str, Any], **_: object) -> dict[str, Any]:
        await self._fail("replace")
        if self.object is None:
            raise NotFound(404, "NotFound", "no lease")
        if body["metadata"]["resourceVersion"] != self.object["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "changed")
        return await self._store(body)

    def by_hand(self, **spec: Any) -> None:
        """Somebody else writes."""
        old = self.object or {"metadata": {"name": "x"}, "spec": {}}
        self._keep({**old, "spec": {**old["spec"], **spec}})

    async def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.writes.append(asyncio.get_running_loop().time())
        self._keep(body)
        if self.lose_answers:
            raise AWAY
        return copy.deepcopy(cast("dict[str, Any]", self.object))

    def _keep(self, body: dict[str, Any]) -> None:
        self.version += 1
        self.object = copy.deepcopy(body)
        self.object["metadata"]["resourceVersion"] = str(self.version)

    async def _fail(self, verb: str) -> None:
        if self.fault is not None:
            await self.fault(verb)

    @property
    def spec(self) -> dict[str, Any]:
        assert self.object is not None
        return cast("dict[str, Any]", self.object["spec"])


def claim(leases: Leases, identity: str = "me", **more: Any) -> LeaderLease:
    return LeaderLease(cast("KubeClient", leases), namespace="ns", name="lease", identity=identity, **more)


def now() -> float:
    return asyncio.get_running_loop().time()


async def refused(_verb: str) -> None:
    raise AWAY


async def hangs(_verb: str) -> None:
    await asyncio.sleep(1000)


async def forever() -> None:
    await asyncio.sleep(10_000)


async def nothing() -> None:
    pass


async def test_a_missing_lease_is_created_and_given_back() -> None:
    leases = Leases()
    lease = claim(leases)
    seen: dict[str, Any] = {}

    async def work() -> None:
        seen.update(leases.spec, leader=lease.is_leader, remaining=lease.remaining())

    await lease.lead(work)
    assert seen["holderIdentity"] == "me"
    assert (seen["leaseDurationSeconds"], seen["leaseTransitions"]) == (15, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", seen["renewTime"])
    assert seen["leader"]
    assert 14 < seen["remaining"] <= 15
    assert leases.spec["holderIdentity"] == ""
    assert not lease.is_leader
    assert lease.remaining() == 0


async def test_renewals_keep_the_other_away() -> None:
    leases = Leases()
    second = claim(leases, "second")
    order: list[str] = []

    async def first_work() -> None:
        await asyncio.sleep(60)
        order.append(f"first done, held by {leases.spec['holderIdentity']}")

    async def second_work() -> None:
        order.append("second")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(claim(leases, "first").lead(first_work))
        await asyncio.sleep(0.1)
        tasks.create_task(second.lead(second_work))
    assert order == ["first done, held by first", "second"]
    assert second.transitions == 1
    assert len(leases.writes) > 25


async def test_the_other_s_clock_is_not_believed() -> None:
    """A holder whose stamps are years ahead or behind is still given its whole duration, seen from here."""
    for stamp in ("2099-01-01T00:00:00.000000Z", "1999-01-01T00:00:00.000000Z"):
        leases = Leases()
        leases.by_hand(holderIdentity="other", leaseDurationSeconds=20, renewTime=stamp, leaseTransitions=4)
        lease = claim(leases)
        started = now()
        await lease.lead(nothing)
        assert 20 <= now() - started <= 20 + 0.2
        assert lease.transitions == 5


async def test_a_released_lease_is_taken_at_once() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="", leaseDurationSeconds=1, leaseTransitions=7)
    lease = claim(leases)
    started = now()
    await lease.lead(nothing)
    assert now() - started < 0.1
    assert lease.transitions == 8
    assert lease.previous_expired()


async def test_when_the_lease_object_was_missing_an_unseen_holder_gets_its_time() -> None:
    lease = claim(Leases())

    async def work() -> None:
        assert not lease.previous_expired()
        assert 14 < lease.previous_remaining() <= 15
        await asyncio.sleep(15)
        assert lease.previous_expired()

    await lease.lead(work)


@pytest.mark.parametrize("fault", [refused, hangs], ids=["refused", "hangs"])
@pytest.mark.parametrize("confirmed_late", [False, True])
async def test_an_absent_server_ends_the_lease_time_and_not_the_work(
    fault: Callable[[str], Awaitable[None]], confirmed_late: bool
) -> None:
    """Nothing is begun until the lease has been taken back and whoever knows has confirmed it."""
    leases = Leases()
    lease = claim(leases)
    confirmations: list[float] = []

    async def confirm() -> None:
        confirmations.append(now())
        assert lease.remaining() == 0
        if confirmed_late and len(confirmations) == 1:
            raise AWAY

    async def work() -> None:
        await asyncio.sleep(7)
        leases.fault = fault
        before = leases.writes[-1]
        await asyncio.sleep(before + 9.9 - now())
        assert 5 < lease.remaining() <= 5.2
        assert lease.adrift_seconds() == 0
        await asyncio.sleep(0.2)
        assert lease.remaining() == 0
        await asyncio.sleep(100)
        assert lease.remaining() == 0
        assert 99 < lease.adrift_seconds() < 101
        assert metrics.REGISTRY.get_sample_value("drplan_leader") == 0
        assert confirmations == []
        leases.fault = None
        await asyncio.sleep(16)
        assert len(confirmations) == 1 + confirmed_late
        assert lease.remaining() > 12
        assert lease.adrift_seconds() == 0
        assert metrics.REGISTRY.get_sample_value("drplan_leader") == 1
        await asyncio.sleep(60)
        assert len(confirmations) == 1 + confirmed_late

    await lease.lead(work, confirm)
    assert (leases.spec["holderIdentity"], leases.spec["leaseTransitions"]) == ("", 0)


async def test_who_comes_back_to_somebody_else_s_lease_ends() -> None:
    leases = Leases()
    lease = claim(leases)
    ended: list[float] = []

    async def work() -> None:
        leases.fault = hangs
        await asyncio.sleep(30)
        leases.by_hand(holderIdentity="other", leaseTransitions=1)
        await asyncio.sleep(30)
        leases.fault = None
        started = now()
        assert not lease.deposed
        try:
            await forever()
        finally:
            ended.append(now() - started)
            assert "held by other" in lease.deposed

    with pytest.raises(LeaseLostError, match="held by other"):
        await lease.lead(work)
    assert ended[0] <= 7
    assert lease.remaining() == lease.adrift_seconds() == 0
    assert leases.spec["holderIdentity"] == "other"


async def test_a_refused_confirmation_ends_the_work() -> None:
    leases = Leases()

    async def confirm() -> None:
        raise ValueError("somebody else has the journal")

    async def work() -> None:
        leases.fault = refused
        await asyncio.sleep(20)
        leases.fault = None
        await forever()

    with pytest.raises(ValueError, match="journal"):
        await claim(leases).lead(work, confirm)


async def test_a_short_absence_is_survived() -> None:
    leases = Leases()

    async def work() -> None:
        leases.fault = refused
        await asyncio.sleep(8)
        leases.fault = None
        await asyncio.sleep(60)

    await claim(leases).lead(work)
    assert leases.spec["holderIdentity"] == ""


async def test_a_usurped_lease_is_lost_at_the_next_renewal() -> None:
    leases = Leases()
    cancelled: list[float] = []

    async def work() -> None:
        leases.by_hand(holderIdentity="usurper", leaseTransitions=9)
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled.append(now())
            raise

    started = now()
    with pytest.raises(LeaseLostError, match="held by usurper"):
        await claim(leases).lead(work)
    assert cancelled[0] - started < 2.5
    assert leases.spec["holderIdentity"] == "usurper"


async def test_a_lease_cleared_by_hand_is_lost_too() -> None:
    leases = Leases()

    async def work() -> None:
        leases.by_hand(holderIdentity="")
        await forever()

    with pytest.raises(LeaseLostError, match="held by nobody"):
        await claim(leases).lead(work)


async def test_an_annotation_on_the_lease_is_kept_and_harmless() -> None:
    leases = Leases()

    async def work() -> None:
        assert leases.object is not None
        leases.object["metadata"]["annotations"] = {"team": "db"}
        leases.by_hand()
        await asyncio.sleep(30)

    await claim(leases).lead(work)
    assert leases.object is not None
    assert leases.object["metadata"]["annotations"] == {"team": "db"}


async def test_renewals_whose_answers_are_lost_are_recognised_as_own() -> None:
    leases = Leases()

    async def work() -> None:
        leases.lose_answers = True
        await asyncio.sleep(5)
        leases.lose_answers = False
        await asyncio.sleep(30)

    await claim(leases).lead(work)
    assert leases.spec["leaseTransitions"] == 0


async def test_an_acquisition_whose_answer_is_lost_is_recognised_as_own() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="", leaseTransitions=3)
    leases.lose_answers = True
    lease = claim(leases)
    asyncio.get_running_loop().call_later(1, lambda: setattr(leases, "lose_answers", False))
    started = now()
    await lease.lead(nothing)
    assert now() - started < 6
    assert lease.transitions == 4


async def test_a_record_of_the_same_identity_that_was_not_written_here_is_somebody_else_s() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="me", leaseDurationSeconds=15, renewTime="x", leaseTransitions=2)
    lease = claim(leases)
    started = now()
    await lease.lead(nothing)
    assert now() - started >= 15
    assert lease.transitions == 3


async def test_a_lease_deleted_while_leading_is_made_again() -> None:
    leases = Leases()

    async def work() -> None:
        leases.object = None
        await asyncio.sleep(5)
        assert leases.spec["holderIdentity"] == "me"

    await claim(leases).lead(work)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_process_that_was_stopped_begins_nothing_before_it_has_looked(
    monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """As after SIGSTOP, or while the machine slept: the clock has jumped when the next timer is served."""
    leases = Leases()
    jump = 0.0
    left: list[float] = []
    lease = claim(leases, clock=lambda: now() + jump)

    async def work() -> None:
        nonlocal jump
        await asyncio.sleep(1)
        jump = 60.0
        if taken:
            leases.by_hand(holderIdentity="other", leaseTransitions=1)
        left.append(lease.remaining())
        await asyncio.sleep(5)
        left.append(lease.remaining())

    if taken:
        with pytest.raises(LeaseLostError, match="held by other"):
            await lease.lead(work)
        assert (left, len(leases.writes)) == ([0.0], 1)
    else:
        await lease.lead(work)
        assert left[0] == 0
        assert left[1] > 12


@pytest.mark.parametrize(("duration", "stored"), [(15.0, 15), (15.4, 16), (1.2, 2), (0.4, 1), (2.5, 3), (3.0, 3)])
async def test_the_record_never_says_less_than_the_holder_believes(duration: float, stored: int) -> None:
    leases = Leases()
    lease = claim(leases, duration=duration, renew_deadline=duration * 0.8, retry=duration * 0.2)

    async def work() -> None:
        assert leases.spec["leaseDurationSeconds"] == stored

    await lease.lead(work)


async def test_the_lease_of_a_dead_process_of_the_same_pod_is_taken_at_once() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="host_uid-1_abc", leaseDurationSeconds=15, renewTime="x", leaseTransitions=2)
    lease = claim(leases, "host_uid-1_def", kin="host_uid-1_")
    started = now()
    await lease.lead(nothing)
    assert now() - started < 0.1
    assert lease.transitions == 3
    assert lease.previous_expired()


@pytest.mark.parametrize("holder", ["host_uid-2_abc", "host_uid-1", "other"])
async def test_another_pod_s_lease_expires_first(holder: str) -> None:
    leases = Leases()
    leases.by_hand(holderIdentity=holder, leaseDurationSeconds=15, renewTime="x", leaseTransitions=2)
    started = now()
    await claim(leases, "host_uid-1_def", kin="host_uid-1_").lead(nothing)
    assert 15 <= now() - started < 15.2


async def test_kin_does_not_take_from_who_is_seen_to_have_it() -> None:
    """Kinship counts when taking the lease only: a leader that lost it does not take it back from its kin."""
    leases = Leases()

    async def work() -> None:
        leases.by_hand(holderIdentity="host_uid-1_other", leaseTransitions=9)
        await forever()

    with pytest.raises(LeaseLostError, match="held by host_uid-1_other"):
        await claim(leases, "host_uid-1_def", kin="host_uid-1_").lead(work)


async def test_standbys_notice_a_release_within_a_second_and_an_expiry_at_once() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="other", leaseDurationSeconds=15, renewTime="x", leaseTransitions=2)
    released: list[float] = []

    def release() -> None:
        leases.by_hand(holderIdentity="")
        released.append(now())

    asyncio.get_running_loop().call_later(5.5, release)
    await claim(leases).lead(nothing)
    assert now() - released[0] <= 1.3


async def test_a_failure_of_the_work_is_raised_as_it_is_and_the_lease_given_back() -> None:
    leases = Leases()

    async def work() -> None:
        raise ValueError("broken") from KeyError("cause")

    with pytest.raises(ValueError, match="broken") as caught:
        await claim(leases).lead(work)
    assert isinstance(caught.value.__cause__, KeyError)
    assert leases.spec["holderIdentity"] == ""


async def test_cancelling_waits_for_the_work_s_grace_renewing_meanwhile_then_releases() -> None:
    leases = Leases()
    lease = claim(leases)
    remaining: list[float] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(25)
            remaining.append(lease.remaining())

    task = asyncio.create_task(lease.lead(work))
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert remaining[0] > 10
    assert leases.spec["holderIdentity"] == ""


async def test_giving_back_has_a_time_limit() -> None:
    leases = Leases()

    async def work() -> None:
        leases.fault = hangs

    started = now()
    await claim(leases).lead(work)
    assert now() - started <= 0.9


async def test_cancelling_while_waiting_leaves_the_other_s_lease_alone() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="other", leaseDurationSeconds=15, renewTime="x")
    task = asyncio.create_task(claim(leases).lead(nothing))
    await asyncio.sleep(3)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert leases.spec["holderIdentity"] == "other"
    assert leases.writes == []


async def test_never_two_at_once_whatever_the_faults() -> None:
    """Three candidates, a server that comes and goes: at no time may two of them begin anything."""
    leases = Leases()
    candidates = [claim(leases, name) for name in ("a", "b", "c")]
    turns: list[str] = []

    async def candidate(lease: LeaderLease) -> None:
        async def work() -> None:
            turns.append(lease.identity)
            await asyncio.sleep(45)

        while True:
            with contextlib.suppress(LeaseLostError):
                await lease.lead(work)
                await asyncio.sleep(20)  # or chance may give it to the same one each time

    async def check() -> None:
        while True:
            leading = [lease.identity for lease in candidates if lease.is_leader]
            assert len(leading) <= 1, leading
            await asyncio.sleep(0.05)

    async def weather() -> None:
        for number in range(60):
            leases.fault = (None, refused, None, hangs)[number % 4]
            leases.lose_answers = number % 3 == 0
            await asyncio.sleep(5 + (number * 7) % 11)

    tasks = [asyncio.create_task(candidate(lease)) for lease in candidates]
    tasks.append(asyncio.create_task(check()))
    await weather()
    crashed = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert crashed == []
    assert len(set(turns)) > 1


@pytest.mark.parametrize(
    ("by_hand", "seconds"),
    [
        ({"leaseDurationSeconds": 2**31 - 1}, 600),
        ({"leaseDurationSeconds": 3600, "renewTime": "2999-01-01T00:00:00.000000Z"}, 600),
        ({"leaseDurationSeconds": 120, "renewTime": "1970-01-01T00:00:00.000000Z"}, 120),
        ({"leaseDurationSeconds": None}, 15),
        ({"leaseDurationSeconds": 0}, 15),
        ({"renewTime": None, "acquireTime": None}, 15),
        ({"leaseTransitions": 2**31 - 1}, 15),
        ({"leaseTransitions": None}, 15),
        ({"holderIdentity": None}, 0),
        ({"holderIdentity": "", "leaseDurationSeconds": 2**31 - 1}, 0),
    ],
    ids=str,
)
async def test_whatever_a_lease_says_that_nobody_renews_somebody_leads_in_the_end(
    by_hand: dict[str, Any], seconds: float
) -> None:
    leases = Leases()
    leases.by_hand(
        **{"holderIdentity": "ghost", "leaseDurationSeconds": 15, "leaseTransitions": 4, "renewTime": "x", **by_hand}
    )
    started = now()
    await claim(leases).lead(nothing)
    assert seconds <= now() - started < seconds + 2
    assert 0 <= leases.spec["leaseTransitions"] < 2**31


async def test_a_longer_lease_of_its_own_kind_is_believed() -> None:
    leases = Leases()
    leases.by_hand(holderIdentity="other", leaseDurationSeconds=900)
    started = now()
    await claim(leases, duration=1000, renew_deadline=900).lead(nothing)
    assert now() - started >= 900
