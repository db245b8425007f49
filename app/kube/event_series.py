"""What an Event and its repeats look like to the API server, such that kubectl tells a story in order.

`kubectl describe` sorts by `lastTimestamp`, which events.k8s.io/v1 refuses to take, and `kubectl events` by
`series.lastObservedTime`, else `lastTimestamp`. So Events are written as core/v1 with all members that either API
knows, and whoever reads them as events.k8s.io/v1 finds what that API wants. The two sorts keep equal times in the order
of names where nothing is out of order; times of a second are equal, so names grow with time.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.kube.errors import cut_message
from app.kube.resources import EVENTS
from app.kube.times import micro_time
from app.models.base import rfc3339

NOTE_LIMIT = 1024
"""Bytes of a text; the API server takes no more."""
FIRST_PAUSE = 1.0
"""Seconds between the first two writes of an event that repeats itself; each further pause is twice as long."""
LONGEST_PAUSE = 10.0

_NAME_LIMIT = 253


class Stamps:
    """Times that grow with each one taken, so that what happened later has a later one."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def take(self) -> datetime:
        """Return the present time, or a microsecond more than the last one."""
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last


@dataclass(slots=True)
class Series:
    """One event and its repeats, as far as this process knows. Times in seconds are those of the event loop."""

    namespace: str
    body: dict[str, Any]
    last_at: float
    last_stamp: datetime
    count: int = 1
    written: bool = False
    queued: bool = False
    queued_at: float = 0.0
    next_write: float = 0.0
    pause: float = field(default=FIRST_PAUSE)

    def repeat(self, at: float, stamp: datetime, note: str) -> None:
        """Take in that it happened again, with these words."""
        self.count += 1
        self.last_at, self.last_stamp = at, stamp
        self.body["message"] = cut_message(note, NOTE_LIMIT)

    def wrote(self, at: float) -> None:
        """Take in that it was written, after which there is a pause."""
        self.written = True
        self.next_write, self.pause = at + self.pause, min(2 * self.pause, LONGEST_PAUSE)

    def new_name(self) -> None:
        """Give it another name, because the API server has forgotten it."""
        self.body["metadata"]["name"] = _name(self.body["involvedObject"]["name"], self.last_stamp)

    def update(self) -> dict[str, Any]:
        """Return the merge patch that brings the stored event up to date."""
        return {"message": self.body["message"], **self._progress()}

    def whole(self) -> dict[str, Any]:
        """Return the event as it is to be created."""
        return {**self.body, **self._progress()}

    def _progress(self) -> dict[str, Any]:
        seconds = self.last_stamp.replace(microsecond=0)
        progress: dict[str, Any] = {"count": self.count, "lastTimestamp": rfc3339(seconds)}
        if self.count > 1:
            progress["series"] = {"count": self.count, "lastObservedTime": micro_time(seconds)}
        return progress


def event_body(
    regarding: Mapping[str, Any],
    *,
    type_: str,
    reason: str,
    note: str,
    action: str,
    stamp: datetime,
    component: str,
    instance: str,
) -> dict[str, Any]:
    """Return an event about an object, without what changes when it repeats itself."""
    metadata = regarding["metadata"]
    about = {
        "apiVersion": regarding.get("apiVersion"),
        "kind": regarding.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
    }
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": _name(metadata["name"], stamp), "namespace": metadata.get("namespace") or "default"},
        "eventTime": micro_time(stamp),
        "firstTimestamp": rfc3339(stamp),
        "reportingComponent": component,
        "reportingInstance": instance,
        "source": {"component": component},
        "involvedObject": {name: value for name, value in about.items() if value},
        "type": type_,
        "reason": reason,
        "action": action,
        "message": cut_message(note, NOTE_LIMIT),
    }


def _name(about: str, stamp: datetime) -> str:
    """Return a name of its own that sorts by time among those about one object."""
    micros = (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    suffix = f"{micros:013x}{secrets.randbelow(0x1000):03x}"
    return f"{about[: _NAME_LIMIT - len(suffix) - 1].rstrip('.-')}.{suffix}"
