"""The metrics that dashboards and the documentation name."""

from __future__ import annotations

import pytest

from app.runtime import metrics

NAMED = {
    "drplan_executions": ("operation", "phase"),
    "drplan_execution_duration_seconds": ("operation",),
    "drplan_action_failures": ("type",),
    "drplan_reconcile": ("controller", "result"),
    "drplan_reconcile_duration_seconds": ("controller",),
    "drplan_queue_depth": ("controller",),
    "drplan_journal_writes": ("result",),
    "drplan_journal_bytes": (),
    "drplan_journal_write_seconds": (),
    "drplan_journal_segments": (),
    "drplan_status_writes": ("result",),
    "drplan_status_write_seconds": (),
    "drplan_runs_in_flight": ("operation",),
    "drplan_run_crashes": (),
    "drplan_rollbacks": ("result", "reason"),
    "drplan_action_duration_seconds": ("type", "phase"),
    "drplan_action_attempts": ("type",),
    "drplan_action_retries": ("type",),
    "drplan_leader": (),
    "drplan_watch_age_seconds": ("resource",),
    "drplan_loop_iterations": ("loop",),
    "drplan_event_loop_lag_seconds": (),
    "drplan_events_dropped": ("reason",),
    "drplan_admission_requests": ("kind", "operation", "allowed"),
    "drplan_admission_duration_seconds": ("kind", "operation"),
    "drplan_kube_requests": ("verb", "resource", "code"),
    "drplan_kube_request_seconds": ("verb",),
    "drplan_build": (),
}


def collectors() -> dict[str, tuple[str, ...]]:
    found = {}
    for value in vars(metrics).values():
        name = getattr(value, "_name", None)
        if isinstance(name, str) and name.startswith("drplan_"):
            found[name] = tuple(value._labelnames)
    return found


def test_names_and_labels() -> None:
    assert collectors() == NAMED


def test_counters_end_in_total_on_the_page() -> None:
    metrics.executions_total.labels("Execute", "Succeeded").inc(0)
    text = metrics.Page().render()[0].decode()
    assert 'drplan_executions_total{operation="Execute",phase="Succeeded"}' in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize("label", ["name", "namespace", "execution", "plan", "workflow"])
def test_names_of_objects_are_no_labels(label: str) -> None:
    assert all(label not in labels for labels in collectors().values())
