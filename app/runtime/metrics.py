"""All metrics of drplan, in one registry.

One process is one registry, so there is no multiprocess mode. Labels are kinds, types, phases and reasons;
names of objects never are, because their number has no bound. All durations are seconds.
"""

from __future__ import annotations

from importlib.metadata import version
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

REGISTRY = CollectorRegistry(auto_describe=True)
"""The registry that `/metrics` shows."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Content type of what `render` returns."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RUN_BUCKETS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

executions_total = Counter(
    "drplan_executions_total",
    "Executions that reached a terminal phase.",
    ["operation", "phase"],
    registry=REGISTRY,
)
execution_duration_seconds = Histogram(
    "drplan_execution_duration_seconds",
    "Time from the start of an execution to its terminal phase.",
    ["operation"],
    buckets=_RUN_BUCKETS,
    registry=REGISTRY,
)
action_failures_total = Counter(
    "drplan_action_failures_total", "Actions that ended Failed.", ["type"], registry=REGISTRY
)
runs_in_flight = Gauge("drplan_runs_in_flight", "Executions that are running now.", registry=REGISTRY)

reconcile_total = Counter(
    "drplan_reconcile_total",
    "Reconciliations by result (success, error, crash, requeue_after).",
    ["controller", "result"],
    registry=REGISTRY,
)
reconcile_duration_seconds = Histogram(
    "drplan_reconcile_duration_seconds",
    "Time one reconciliation took.",
    ["controller"],
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
queue_depth = Gauge("drplan_queue_depth", "Keys waiting to be reconciled.", ["controller"], registry=REGISTRY)

journal_writes_total = Counter(
    "drplan_journal_writes_total", "Writes of journal segments by result.", ["result"], registry=REGISTRY
)
journal_bytes_total = Counter("drplan_journal_bytes_total", "Bytes written to journal segments.", registry=REGISTRY)
journal_write_seconds = Histogram(
    "drplan_journal_write_seconds",
    "Time one journal write took.",
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)
journal_segments = Gauge("drplan_journal_segments", "Journal segments that exist.", registry=REGISTRY)

status_writes_total = Counter(
    "drplan_status_writes_total", "Writes of execution statuses by result.", ["result"], registry=REGISTRY
)
status_write_seconds = Histogram(
    "drplan_status_write_seconds",
    "Time one status write took.",
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)

leader = Gauge("drplan_leader", "1 while this process holds the leader lease.", registry=REGISTRY)
watch_age_seconds = Gauge(
    "drplan_watch_age_seconds",
    "Seconds since the last line of a watch; bookmarks keep it under about 75.",
    ["resource"],
    registry=REGISTRY,
)
loop_iterations_total = Counter(
    "drplan_loop_iterations_total", "Iterations of the named loops of this process.", ["loop"], registry=REGISTRY
)
event_loop_lag_seconds = Histogram(
    "drplan_event_loop_lag_seconds",
    "How late the event loop served a timer.",
    buckets=_LAG_BUCKETS,
    registry=REGISTRY,
)
events_dropped_total = Counter(
    "drplan_events_dropped_total",
    "Kubernetes Events that were not written, by reason.",
    ["reason"],
    registry=REGISTRY,
)

admission_requests_total = Counter(
    "drplan_admission_requests_total",
    "Admission reviews answered.",
    ["kind", "operation", "allowed"],
    registry=REGISTRY,
)
admission_duration_seconds = Histogram(
    "drplan_admission_duration_seconds",
    "Time one admission review took.",
    ["kind", "operation"],
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)

kube_requests_total = Counter(
    "drplan_kube_requests_total",
    "Requests to the API server; code is the HTTP status, or `unavailable` when there was no answer.",
    ["verb", "resource", "code"],
    registry=REGISTRY,
)
kube_request_seconds = Histogram(
    "drplan_kube_request_seconds",
    "Time a request to the API server took (watches are not timed).",
    ["verb"],
    buckets=_REQUEST_BUCKETS,
    registry=REGISTRY,
)

build_info = Info("drplan_build", "Version of drplan and of Python.", registry=REGISTRY)


def publish_build_info() -> None:
    """Show the versions of drplan and Python in `drplan_build_info`."""
    build_info.info({"version": version("drplan"), "python": python_version()})


def render() -> bytes:
    """All metrics in the text format of Prometheus."""
    return generate_latest(REGISTRY)
