"""What the parts of the controller share, made once in `controller.main` and handed down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.kube.bounded import BoundedClient
from app.kube.cache import Cache
from app.kube.client import KubeClient
from app.kube.events import EventRecorder
from app.models.actions import ActionType
from app.runtime.http_client import HttpSender
from app.runtime.last_work import LastWork
from app.runtime.settings import ControllerSettings
from app.runtime.tracing import Traces
from controller.actions.base import Executor
from controller.effect_slots import EffectSlots
from controller.journal import Journal
from controller.records import RecordStore
from controller.snapshots import SnapshotStore
from controller.status_pace import StatusPace
from controller.suspects import Suspects
from controller.validation import Validator


def utc_now() -> datetime:
    """Return the current time; the one wall clock of the controller."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """The controller's connections, caches and stores.

    `kube` is for the controller's own objects; what is done or read for an action, a parameter or a rollback goes by
    `bounded`. `lease_remaining` gives the seconds left of the leader's lease: effects begin only within it (design: the
    fence).
    """

    settings: ControllerSettings
    kube: KubeClient
    bounded: BoundedClient
    http: HttpSender
    workflows: Cache
    plans: Cache
    executions: Cache
    journal: Journal
    snapshots: SnapshotStore
    records: RecordStore
    recorder: EventRecorder
    executors: Mapping[ActionType, Executor]
    lease_remaining: Callable[[], float]
    status_pace: StatusPace
    validator: Validator
    now: Callable[[], datetime] = utc_now
    effect_slots: EffectSlots = field(default_factory=EffectSlots)
    traces: Traces = field(default_factory=Traces)
    last_work: LastWork = field(default_factory=LastWork)
    suspects: Suspects = field(default_factory=Suspects)
    when_back: list[Callable[[], None]] = field(default_factory=list)
    """Called when the lease was taken back after the API server had been away: nobody waits out a long delay then."""
