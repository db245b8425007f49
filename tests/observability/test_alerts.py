"""The alert rules: promtool takes them, each fires when it should and stays quiet when it should, and has a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.names import unknown
from tests.observability.promtool import promtool
from tests.support.cluster import REPOSITORY

pytestmark = pytest.mark.xdist_group("promtool")

RULES = REPOSITORY / "charts" / "drplan" / "files" / "alerts.yaml"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
CASES: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "alert_cases.yaml").read_text())


def judge(folder: Path, alert: str, series: dict[str, str], expected: list[dict[str, Any]]) -> str:
    """Run one unit test of promtool; return what it complains about, empty when the alerts are as expected."""
    only = {"groups": [{"name": "drplan", "rules": [ALERTS[alert]]}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(only))
    at = CASES[alert]["at"]
    firing = f'sum without (alertstate) (ALERTS{{alertname="{alert}",alertstate="firing"}})'
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [{"expr": firing, "eval_time": at, "exp_samples": expected}],
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    answer = promtool("test", "rules", str(folder / "test.yaml"))
    return answer.stdout + answer.stderr if answer.returncode else ""


def test_promtool_takes_the_rules() -> None:
    answer = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_alert_has_cases() -> None:
    assert list(CASES) == list(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_it_fires(tmp_path: Path, alert: str) -> None:
    labels = {"alertname": alert, **CASES[alert]["labels"]}
    sample = {"labels": "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}", "value": 1}
    assert judge(tmp_path, alert, CASES[alert]["fires"], [sample]) == ""


@pytest.mark.parametrize("alert", ALERTS)
def test_it_stays_quiet(tmp_path: Path, alert: str) -> None:
    assert judge(tmp_path, alert, CASES[alert]["quiet"], []) == ""


@pytest.mark.parametrize("alert", ALERTS)
def test_it_names_metrics_and_labels_that_exist(alert: str) -> None:
    assert unknown(ALERTS[alert]["expr"]) == []


def test_the_page_has_a_section_for_each_alert() -> None:
    text = (REPOSITORY / "docs" / "alerts.md").read_text()
    assert re.findall(r"^## (Drplan\w+)$", text, re.MULTILINE) == list(ALERTS)
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        assert all(f"**{part}.**" in section for part in ("Meaning", "Impact", "What to do")), section.split()[0]


@pytest.mark.parametrize("alert", ALERTS)
def test_its_runbook_is_its_section(alert: str) -> None:
    assert ALERTS[alert]["annotations"]["runbook_url"] == f"docs/alerts.md#{alert.lower()}"
