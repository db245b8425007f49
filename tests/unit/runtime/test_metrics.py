"""The metrics that dashboards and the documentation name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.runtime import metrics
from tests.support.cluster import REPOSITORY


def collectors() -> dict[str, tuple[str, ...]]:
    found = {}
    for value in vars(metrics).values():
        name = getattr(value, "_name", None)
        if isinstance(name, str) and name.startswith("drplan_"):
            found[name] = tuple(value._labelnames)
    return found


def test_counters_end_in_total_on_the_page() -> None:
    metrics.executions_total.labels("Execute", "Succeeded").inc(0)
    text = metrics.Page().render()[0].decode()
    assert 'drplan_executions_total{operation="Execute",phase="Succeeded"}' in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize("label", ["name", "namespace", "execution", "plan", "workflow"])
def test_names_of_objects_are_no_labels(label: str) -> None:
    assert all(label not in labels for labels in collectors().values())


def test_the_page_of_the_documentation_is_up_to_date() -> None:
    """In a process of its own, because tests before this one make label values appear."""
    command = [sys.executable, "-m", "generate.metrics", "--check", str(REPOSITORY / "docs" / "metrics.md")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
