"""All metrics of drplan, in one registry.

One process is one registry, so there is no multiprocess mode. Labels are kinds, types, phases, reasons and ids of
rules; names of objects never are, because their number has no bound. Durations are seconds. Where the values of a
label are known, every combination exists from the start, so that `rate` and `increase` see the first event.

Which page shows what: metrics of the one process are left out of the other's page (`Component`), where they would
say zero for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from app.models.actions import ActionType
from app.models.phases import ENDS, Operation, Phase
from app.runtime.build import this_build

disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry(auto_describe=True)
"""The registry that `/metrics` shows."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class Component(StrEnum):
    """A process with a page of its own."""

    CONTROLLER = "controller"
    WEBHOOK = "webhook"

    @property
    def foreign(self) -> tuple[str, ...]:
        """Beginnings of the names that only the other process fills."""
        return _OF_WEBHOOK if self is Component.CONTROLLER else _OF_CONTROLLER


_OF_WEBHOOK = ("drplan_admission_", "drplan_certificate", "drplan_api_")
_OF_CONTROLLER = (
    "drplan_action_",
    "drplan_events_",
    "drplan_http_",
    "drplan_execution",
    "drplan_health_",
    "drplan_journal_",
    "drplan_last_",
    "drplan_leader",
    "drplan_oldest_",
    "drplan_queue_",
    "drplan_reconcile",
    "drplan_rollbacks",
    "drplan_run",
    "drplan_status_",
    "drplan_stored_",
    "drplan_trace_",
)

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RUN_BUCKETS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_ACTION_BUCKETS = (0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_OPERATIONS = tuple(Operation)
_TYPES = tuple(ActionType)
_CONTROLLERS = ("drplan", "drplanexecution", "drworkflow")
_KINDS = ("DRPlan", "DRPlanExecution", "DRWorkflow")
_ADMISSION_OPERATIONS = ("CREATE", "UPDATE", "DELETE")

ROLLBACK_REASONS = ("RollbackPartialFailed", "RollbackPreconditionFailed", "RollbackHealthCheckFailed")
"""Why a Revert failed (decision R9)."""

ROLLBACK_STRATEGIES = ("Undo",)
"""How a Revert goes about its work."""

OPEN: tuple[str, ...] = ()
"""Stands for the values of a label that are not all known beforehand."""

W = TypeVar("W", bound=MetricWrapperBase)


def _preset(metric: W, labels: dict[str, tuple[str, ...]]) -> W:
    """Make every combination of known label values appear, with the value 0."""
    if labels and all(labels.values()):
        for values in product(*labels.values()):
            metric.labels(*values)
    return metric


def _counter(name: str, text: str, **labels: tuple[str, ...]) -> Counter:
    return _preset(Counter(name, text, list(labels), registry=REGISTRY), labels)


def _gauge(name: str, text: str, **labels: tuple[str, ...]) -> Gauge:
    return _preset(Gauge(name, text, list(labels), registry=REGISTRY), labels)


def _histogram(name: str, text: str, buckets: Sequence[float], **labels: tuple[str, ...]) -> Histogram:
    return _preset(Histogram(name, text, list(labels), buckets=buckets, registry=REGISTRY), labels)


executions_total = _counter(
    "drplan_executions_total",
    "Executions that reached a terminal phase.",
    operation=_OPERATIONS,
    phase=ENDS,
)
execution_duration_seconds = _histogram(
    "drplan_execution_duration_seconds",
    "Time from the start of an execution to its terminal phase.",
    _RUN_BUCKETS,
    operation=_OPERATIONS,
)
rollbacks_total = _counter(
    "drplan_rollbacks_total",
    "Reverts that reached a terminal phase; reason is the phase again, or why it is Failed: "
    "RollbackPreconditionFailed (nothing was touched), RollbackPartialFailed, RollbackHealthCheckFailed.",
    strategy=ROLLBACK_STRATEGIES,
    result=OPEN,
    reason=OPEN,
)
for _result, _reasons in (("Succeeded", ("Succeeded",)), ("Cancelled", ("Cancelled",)), ("Failed", ROLLBACK_REASONS)):
    for _reason in _reasons:
        rollbacks_total.labels(*ROLLBACK_STRATEGIES, _result, _reason)
health_checks_total = _counter(
    "drplan_health_checks_total",
    "Attempts of health checks that ended, by what they found.",
    type=("HTTP", "Resources"),
    result=("healthy", "unhealthy"),
)

action_duration_seconds = _histogram(
    "drplan_action_duration_seconds",
    "Time from the first start of an action to its end, retries and their pauses included.",
    _ACTION_BUCKETS,
    type=_TYPES,
    phase=(Phase.SUCCEEDED, Phase.FAILED),
)
action_attempts_total = _counter(
    "drplan_action_attempts_total", "Attempts of actions and of their rollbacks that were begun.", type=_TYPES
)
action_retries_total = _counter("drplan_action_retries_total", "Attempts that repeat one that failed.", type=_TYPES)
action_failures_total = _counter("drplan_action_failures_total", "Actions that ended Failed.", type=_TYPES)
action_effects = _gauge(
    "drplan_action_effects",
    "Attempts of actions that are under way, and actions that are due and wait because too many are (--max-effects).",
    state=("running", "waiting"),
)

runs_in_flight = _gauge("drplan_runs_in_flight", "Executions that this process is running now.", operation=_OPERATIONS)
run_crashes_total = _counter(
    "drplan_run_crashes_total", "Runs that broke off by an unforeseen error and were taken up again."
)

status_differs_total = _counter(
    "drplan_status_differs_total", "Statuses found changed by somebody else than the controller."
)

reconcile_total = _counter(
    "drplan_reconcile_total",
    "Reconciliations by result.",
    controller=_CONTROLLERS,
    result=("success", "error", "crash", "requeue_after"),
)
reconcile_duration_seconds = _histogram(
    "drplan_reconcile_duration_seconds", "Time one reconciliation took.", _REQUEST_BUCKETS, controller=_CONTROLLERS
)
queue_depth = _gauge("drplan_queue_depth", "Keys waiting to be reconciled.", controller=_CONTROLLERS)
queue_keys = _gauge(
    "drplan_queue_keys",
    "Executions that wait to be looked at, and that are being looked at, by what is to be done: runs taken up or told "
    "something, starts, starts that failed before, the rest.",
    lane=("run", "start", "repeated-start", "rest"),
    state=("waiting", "working"),
)
journal_writes_total = _counter(
    "drplan_journal_writes_total",
    "Writes of journal segments by result; all but ok are tried again.",
    result=("ok", "conflict", "not_found", "refused", "unavailable"),
)
journal_bytes_total = _counter("drplan_journal_bytes_total", "Bytes written to journal segments.")
journal_write_seconds = _histogram("drplan_journal_write_seconds", "Time one journal write took.", _REQUEST_BUCKETS)
journal_segments = _gauge("drplan_journal_segments", "Journal segments that exist.")

status_writes_total = _counter(
    "drplan_status_writes_total",
    "Writes of the statuses of runs by result; all but ok are tried again.",
    result=("ok", "conflict", "refused", "unavailable"),
)
status_write_seconds = _histogram(
    "drplan_status_write_seconds", "Time one write of a run's status took.", _REQUEST_BUCKETS
)
status_bytes_total = _counter("drplan_status_bytes_total", "Bytes of the statuses of runs that were written.")

leader = _gauge("drplan_leader", "1 while this process holds the leader lease.")
kube_clock_ahead_seconds = _gauge(
    "drplan_kube_clock_ahead_seconds",
    "Seconds that the clock of the API server is ahead of this machine's; 0 while they agree within two.",
)
watch_age_seconds = _gauge(
    "drplan_watch_age_seconds",
    "Seconds since the last line of a watch; bookmarks keep it under about 75.",
    resource=OPEN,
)
loop_iterations_total = _counter(
    "drplan_loop_iterations_total", "Iterations of the named loops of this process.", loop=OPEN
)
event_loop_lag_seconds = _histogram(
    "drplan_event_loop_lag_seconds", "How late the event loop served a timer that is due twice a second.", _LAG_BUCKETS
)
worker_calls_total = _counter(
    "drplan_worker_calls_total",
    "Looks at large objects in a process of its own; result: success, overrun (it took too long and was ended), "
    "crashed (that process ended, or found what it could not do), busy (too many were waiting).",
    result=("success", "overrun", "crashed", "busy"),
)
worker_call_seconds = _histogram(
    "drplan_worker_call_seconds", "How long such a look took, waiting for a place included.", _REQUEST_BUCKETS
)
set_aside_total = _counter(
    "drplan_set_aside_total",
    "Objects that could not be judged or reconciled, and are left alone until they change.",
    kind=_KINDS,
)
events_dropped_total = _counter(
    "drplan_events_dropped_total",
    "Kubernetes Events that were not written, by reason; ordinary: beyond the first 50 of a run's actions.",
    reason=(
        "ordinary",
        "queue_full",
        "shutdown",
        "unavailable",
        "forbidden",
        "namespace_gone",
        "namespace_terminating",
        "rejected",
    ),
)

trace_spans_total = _counter(
    "drplan_trace_spans_total",
    "Spans by what became of them: taken by the collector, refused or not taken in time, dropped because too many "
    "waited or the process ended.",
    result=("exported", "failed", "dropped"),
)

admission_requests_total = _counter(
    "drplan_admission_requests_total",
    "Admission reviews answered; allowed is true, false, overloaded (429) or malformed (no review).",
    kind=OPEN,
    operation=OPEN,
    allowed=OPEN,
)
for _kind, _operation, _allowed in product(_KINDS, _ADMISSION_OPERATIONS, ("true", "false")):
    admission_requests_total.labels(_kind, _operation, _allowed)
for _kind, _allowed in product(_KINDS, ("overloaded", "malformed")):
    admission_requests_total.labels(_kind, "other", _allowed)
admission_denials_total = _counter(
    "drplan_admission_denials_total",
    "Refused reviews by each rule they broke; where no rule refused, by the reason of the answer (InternalError, "
    "ServiceUnavailable, Timeout and BadRequest are no fault of the rules).",
    kind=OPEN,
    rule=OPEN,
)
for _kind, _rule in product(_KINDS, ("BadRequest", "InternalError", "ServiceUnavailable", "Timeout")):
    admission_denials_total.labels(_kind, _rule)
admission_duration_seconds = _histogram(
    "drplan_admission_duration_seconds",
    "Time one admission review took.",
    _REQUEST_BUCKETS,
    kind=_KINDS,
    operation=_ADMISSION_OPERATIONS,
)
certificate_not_after_seconds = _gauge(
    "drplan_certificate_not_after_seconds",
    "Unix time at which the serving certificate, or the authority that signs (ca), ends.",
    certificate=OPEN,
)
certificate_reloads_total = _counter(
    "drplan_certificate_reloads_total",
    "Certificates taken into service, and looks at one that must not be served.",
    result=("loaded", "refused"),
)
certificate_rotations_total = _counter(
    "drplan_certificate_rotations_total",
    "Changes that this replica made in the Secret of self-managed certificates.",
    step=("created", "restored", "certificate", "ca_added", "ca_adopted", "ca_dropped"),
)
certificate_bundle_writes_total = _counter(
    "drplan_certificate_bundle_writes_total",
    "Writes of the caBundle of webhook configurations by this replica.",
    result=("ok", "conflict", "failed"),
)

api_requests_total = _counter(
    "drplan_api_requests_total",
    "Requests to the read-only HTTP API by route; code is the HTTP status.",
    route=OPEN,
    code=OPEN,
)
api_request_duration_seconds = _histogram(
    "drplan_api_request_duration_seconds",
    "Time one request to the read-only HTTP API took.",
    _REQUEST_BUCKETS,
    route=OPEN,
)

connections = _gauge(
    "drplan_connections", "Open connections by port, those in their TLS handshake included.", server=OPEN
)
connections_ended_total = _counter(
    "drplan_connections_ended_total",
    "Connections that the process ended by itself. Reasons: what took too long (handshake, head, body, answer, idle), "
    "too-large or malformed (a request), evicted or crowded (too many connections), certificate (a client certificate "
    "of a name that is not allowed), system (no connection to be had from the system).",
    server=OPEN,
    reason=OPEN,
)
kube_requests_total = _counter(
    "drplan_kube_requests_total",
    "Requests to the API server; code is the HTTP status, or `unavailable` when there was no answer.",
    verb=OPEN,
    resource=OPEN,
    code=OPEN,
)
kube_request_seconds = _histogram(
    "drplan_kube_request_seconds",
    "Time a request to the API server took (watches are not timed).",
    _REQUEST_BUCKETS,
    verb=OPEN,
)
name_lookups_total = _counter(
    "drplan_name_lookups_total",
    "Look-ups of host names by what came of them, of HTTP actions and for the API server; slow: given up.",
    purpose=("action", "apiserver"),
    result=("found", "failed", "slow"),
)
name_lookup_seconds = _histogram(
    "drplan_name_lookup_seconds",
    "Time one look-up of a host name took, those included that nobody waited for any longer.",
    _ACTION_BUCKETS,
    purpose=("action", "apiserver"),
)
name_lookups_running = _gauge(
    "drplan_name_lookups_running",
    "Look-ups of host names under way; from 128 on those of slow names wait.",
    purpose=("action", "apiserver"),
)
http_refused_total = _counter(
    "drplan_http_refused_total", "Calls of HTTP actions that the egress policy refused before anything was sent."
)
build_info = Info("drplan_build", "Version of drplan, the commit it was built from, and Python.", registry=REGISTRY)


def publish_build_info() -> None:
    """Show the versions of drplan and Python in `drplan_build_info`."""
    build_info.info(asdict(this_build()))


def action_type(name: str) -> str:
    """`name` as a label: what is no action type, which stored objects may have, becomes `other`."""
    return name if name in _TYPES else "other"


class Page:
    """What one process shows: the registry without the metrics of the other process."""

    def __init__(self, component: Component | None = None) -> None:
        self._hidden = component.foreign if component is not None else ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the page."""
        metrics: Iterable[Metric] = REGISTRY.collect()
        for metric in metrics:
            if not self._hidden or not metric.name.startswith(self._hidden):
                yield metric

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page and its content type, in the format that the header `Accept` asks for.

        That is the text format of Prometheus, or OpenMetrics, which has exemplars.
        """
        encode: Callable[[Page], bytes]
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type
