"""What is kept of a plan while all are looked through protects the same workflows as the plan."""

from __future__ import annotations

from typing import Any

import pytest

from app.rules.deletion import references_only, referencing_plans

USE: dict[str, Any] = {
    "workflowRef": {"name": "w", "namespace": "other"},
    "params": [{"name": "x", "value": "y" * 9999}],
}
PLANS: list[dict[str, Any]] = [
    {"metadata": {"name": "p", "namespace": "ns", "labels": {"a": "b"}}, "spec": {"stages": [{"workflows": [USE]}]}},
    {
        "metadata": {"name": "own", "namespace": "other"},
        "spec": {"stages": [{"workflows": [{"workflowRef": {"name": "w"}}]}]},
    },
    {"metadata": {"name": "none", "namespace": "ns"}, "spec": {"stages": []}},
    {"metadata": None, "spec": {"stages": [{"workflows": [USE]}]}},
    {
        "metadata": {"name": "odd", "namespace": "ns"},
        "spec": {"stages": [None, {"workflows": [1, {"workflowRef": "w"}, USE]}]},
    },
    {"metadata": {"name": "bare"}},
    {},
]


@pytest.mark.parametrize("key", [("other", "w"), ("ns", "w"), ("other", "v")])
def test_the_projection_protects_what_the_plan_does(key: tuple[str, str]) -> None:
    kept = [references_only(plan) for plan in PLANS]
    assert referencing_plans(*key, kept) == referencing_plans(*key, PLANS)
    assert len(str(kept)) < 2000
