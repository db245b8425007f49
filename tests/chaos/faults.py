"""Faults as data: what happens to one write of a run, or to two in a row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.proxy import Act, Answer, Forward, Rule, lose_answer, lose_request, refuse

Power = Callable[[], object]
"""What ends or stops the controller, and brings it back."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long what is slow takes, in seconds. `late` is longer than the client waits for an answer."""

    slow: float
    late: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to as many writes in a row as there are acts; `kills` and `stops` are of the controller."""

    name: str
    acts: Callable[[Power, Times], Sequence[Act]]
    kills: int = 0
    stops: bool = False

    @property
    def alone(self) -> bool:
        """Whether it meets every run of the controller, so that no other case may run beside it."""
        return bool(self.kills) or self.stops


def killed_before(kill: Power) -> Act:
    """Kill the controller; the write does not reach the API server."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await asyncio.to_thread(kill)
        return None

    return act


def killed_after(kill: Power) -> Act:
    """Kill the controller when the API server has done what was asked."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await forward()
        await asyncio.to_thread(kill)
        return None

    return act


def stopped_before(stop: Power) -> Act:
    """Stop the controller for longer than its lease; the write is sent on when it wakes."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await asyncio.to_thread(stop)
        return await forward()

    return act


def stopped_after(stop: Power) -> Act:
    """Stop the controller for longer than its lease when the write is done; it wakes up with the answer."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        answer = await forward()
        await asyncio.to_thread(stop)
        return answer

    return act


def delayed(seconds: float) -> Act:
    """Keep the write for a while, then send it on, whether anybody still waits for the answer or not."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await asyncio.sleep(seconds)
        return await forward()

    return act


def answered_after_all(status: int, reason: str) -> Act:
    """Have the API server do what was asked, and answer that it failed."""

    async def act(rule: Rule, forward: Forward) -> Answer | None:
        await forward()
        return _status(status, reason)

    return act


async def too_many(rule: Rule, forward: Forward) -> Answer | None:
    """Refuse with 429 and a time to wait."""
    return _status(429, "TooManyRequests", {"Retry-After": "1"})


def _status(status: int, reason: str, headers: dict[str, str] | None = None) -> Answer:
    body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": status, "reason": reason}
    text = json.dumps({**body, "message": "refused by the test"}).encode()
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, text)


FAULTS = (
    Fault("request lost", lambda _, t: [lose_request]),
    Fault("answer lost", lambda _, t: [lose_answer]),
    Fault("504 when done", lambda _, t: [answered_after_all(504, "Timeout")]),
    Fault("409", lambda _, t: [refuse(409, "Conflict")]),
    Fault("429", lambda _, t: [too_many]),
    Fault("500", lambda _, t: [refuse(500)]),
    Fault("slow", lambda _, t: [delayed(t.slow)]),
    Fault("applied late", lambda _, t: [delayed(t.late)]),
    Fault("500 then answer lost", lambda _, t: [refuse(500), lose_answer]),
    Fault("answer lost twice", lambda _, t: [lose_answer, lose_answer]),
    Fault("late then request lost", lambda _, t: [delayed(t.late), lose_request]),
    Fault("killed before", lambda kill, t: [killed_before(kill)], kills=1),
    Fault("killed after", lambda kill, t: [killed_after(kill)], kills=1),
    Fault("answer lost then killed", lambda kill, t: [lose_answer, killed_before(kill)], kills=1),
    Fault("killed twice", lambda kill, t: [killed_after(kill), killed_before(kill)], kills=2),
)
"""What a controller with a lease that lasts must withstand."""

STOPS = (
    Fault("stopped before", lambda stop, t: [stopped_before(stop)], stops=True),
    Fault("stopped after", lambda stop, t: [stopped_after(stop)], stops=True),
)
"""What needs a short lease: the controller stands still for longer, with a standby or without."""
