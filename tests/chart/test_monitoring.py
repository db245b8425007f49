"""What the chart makes for Prometheus and Grafana: the files as they are, with links that lead somewhere."""

from __future__ import annotations

import json

import yaml

from tests.chart.support import CHART, one, render

FILES = CHART / "files"


def test_the_rules_are_those_of_the_file() -> None:
    rule = one(render("metrics.prometheusRule.enabled=true"), "PrometheusRule", "drplan")
    assert rule["spec"] == yaml.safe_load((FILES / "alerts.yaml").read_text())


def test_runbook_links_begin_with_the_base() -> None:
    base = "metrics.prometheusRule.runbookBase=https://docs.example.com/drplan/"
    rule = one(render("metrics.prometheusRule.enabled=true", base), "PrometheusRule", "drplan")
    links = [item["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for item in group["rules"]]
    assert links
    assert all(link.startswith("https://docs.example.com/drplan/docs/alerts.md#drplan") for link in links)


def test_the_dashboard_is_that_of_the_file() -> None:
    config_map = one(render("metrics.dashboard.enabled=true"), "ConfigMap", "drplan-dashboard")
    assert json.loads(config_map["data"]["drplan.json"]) == json.loads((FILES / "dashboard.json").read_text())
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
