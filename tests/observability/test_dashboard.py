"""The Grafana dashboard: its queries are PromQL, name what exists, and leave no metric of ours out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from generate.metrics import entries
from tests.observability.names import unknown
from tests.observability.promtool import promtool
from tests.support.cluster import REPOSITORY

DASHBOARD: dict[str, Any] = json.loads((REPOSITORY / "charts" / "drplan" / "files" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
NOT_DRAWN = {"drplan_loop_iterations_total", "drplan_last_success_timestamp_seconds"}
"""Metrics that are for questions asked by hand."""


@pytest.mark.parametrize("query", QUERIES)
def test_it_names_metrics_and_labels_that_exist(query: str) -> None:
    assert unknown(query) == []


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            kept = re.search(r"\bby \(([^)]*)\)", target["expr"])
            labels = set(re.split(r",\s*", kept[1])) if kept else {"pod"}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels, panel["title"]


@pytest.mark.xdist_group("promtool")
def test_promtool_takes_the_queries(tmp_path: Path) -> None:
    """As recording rules, with Grafana's variables filled in."""
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$__interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    answer = promtool("check", "rules", str(file))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_it_draws_every_metric_of_runs_and_admission() -> None:
    drawn = " ".join(QUERIES)
    names = {entry.name for entry in entries() if not entry.name.startswith(("drplan_api_", "drplan_certificate_"))}
    assert {name for name in names - NOT_DRAWN if name not in drawn} == set()


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_names_that_do_not_exist_are_found() -> None:
    assert unknown('rate(drplan_leader_total[5m]) + drplan_leader{phase="x", pod="a"}') == [
        "drplan_leader_total",
        "drplan_leader: phase",
    ]
