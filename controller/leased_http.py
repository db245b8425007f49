"""HTTP requests of actions only within the leader's lease, as writes to the API server are (`app.kube.bounded`)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from app.engine.egress import Egress
from app.kube.leased import LeaseTime
from app.runtime.http_client import HttpCall, HttpReply, HttpSender
from app.runtime.http_errors import HttpSendError

LEASE_POLL = 0.1
"""Seconds between two looks at the lease while a request is held back."""


class LeasedHttpSender(HttpSender):
    """Sends a call only while there is lease time; until then it waits, within the call's own time.

    A process that was stopped between the commit of an intent and its request wakes up here: another one may lead.
    """

    def __init__(self, remaining: LeaseTime, egress: Egress | None = None) -> None:
        super().__init__(egress)
        self._remaining = remaining

    def may_send(self) -> bool:
        """Whether there still is lease time, once the connection stands: looking up and dialling may take long."""
        return self._remaining() > 0

    async def send(self, call: HttpCall) -> HttpReply:
        """Send one call and read the answer; raises HttpSendError when there is none, or no lease time, in time."""
        clock = asyncio.get_running_loop().time
        until = clock() + call.timeout
        while self._remaining() <= 0:
            if clock() >= until:
                text = f"{call.method} was not sent: the leader lease could not be renewed in time"
                raise HttpSendError(text, retryable=True, timed_out=True)
            await asyncio.sleep(LEASE_POLL)
        return await super().send(replace(call, timeout=max(LEASE_POLL, until - clock())))
