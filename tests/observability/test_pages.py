"""The metrics pages of both processes after runs of every kind: the official parsers take them, and they moved."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from devcluster.services import ServiceProcess
from tests.e2e.support import cancel, create
from tests.support.cluster import REPOSITORY, Cluster
from tests.support.installation import (
    Installation,
    config_map_action,
    execution,
    http_action,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("observability")

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
CONTROLLER = (
    'executions_total{operation="Execute",phase="Succeeded"}',
    'executions_total{operation="Execute",phase="Failed"}',
    'executions_total{operation="Execute",phase="Cancelled"}',
    'executions_total{operation="Revert",phase="Succeeded"}',
    'execution_duration_seconds_count{operation="Execute"}',
    'execution_duration_seconds_count{operation="Revert"}',
    'rollbacks_total{reason="Succeeded",result="Succeeded",strategy="Undo"}',
    'action_attempts_total{type="HTTP"}',
    'action_attempts_total{type="KubernetesResource"}',
    'action_retries_total{type="HTTP"}',
    'action_failures_total{type="HTTP"}',
    'action_duration_seconds_count{phase="Failed",type="HTTP"}',
    'action_duration_seconds_count{phase="Succeeded",type="HTTP"}',
    'action_duration_seconds_count{phase="Succeeded",type="KubernetesResource"}',
    'stored_executions{operation="Execute",phase="Succeeded"}',
    'stored_executions{operation="Execute",phase="Failed"}',
    'last_success_timestamp_seconds{operation="Execute"}',
    'last_success_timestamp_seconds{operation="Revert"}',
    'reconcile_total{controller="drplan",result="requeue_after"}',
    'reconcile_total{controller="drplanexecution",result="success"}',
    'reconcile_total{controller="drworkflow",result="success"}',
    'reconcile_duration_seconds_count{controller="drplanexecution"}',
    'journal_writes_total{result="ok"}',
    "journal_bytes_total",
    "journal_write_seconds_count",
    "journal_segments",
    'status_writes_total{result="ok"}',
    "status_write_seconds_count",
    "status_bytes_total",
    "leader",
    'watch_age_seconds{resource="drplanexecutions"}',
    "event_loop_lag_seconds_count",
    'loop_iterations_total{loop="run"}',
    'loop_iterations_total{loop="heartbeat"}',
    'kube_requests_total{code="201",resource="configmaps",verb="create"}',
    'kube_request_seconds_count{verb="create"}',
)
WEBHOOK = (
    'admission_requests_total{allowed="true",kind="DRWorkflow",operation="CREATE"}',
    'admission_requests_total{allowed="true",kind="DRPlanExecution",operation="CREATE"}',
    'admission_requests_total{allowed="false",kind="DRPlan",operation="CREATE"}',
    'admission_duration_seconds_count{kind="DRPlan",operation="CREATE"}',
    'admission_denials_total{kind="DRPlan",rule="P7"}',
    'certificate_not_after_seconds{certificate="serving"}',
    "event_loop_lag_seconds_count",
    'loop_iterations_total{loop="heartbeat"}',
    'kube_request_seconds_count{verb="get"}',
)


@pytest.fixture(scope="module")
def busy(installed: Cluster, site: Site) -> Installation:
    """An installation that has run an Execute, its Revert, a cancelled and a failing run, and has refused a plan."""
    drplan = Installation(installed, site, installed.namespace("pages"))
    ns, url = drplan.namespace, f"{site.url}/{installed.namespace('site')}"
    drplan.site.hold(held := url.removeprefix(site.url) + "/held")
    retries = {"limit": 1, "interval": "10ms"}
    create(
        drplan,
        workflow("good", [http_action("call", f"{url}/call"), config_map_action("make", "made", ns)]),
        workflow("bad", [http_action("fail", f"{site.url}/status/503", retryPolicy=retries)]),
        workflow("slow", [http_action("wait", f"{site.url}{held}"), http_action("then", f"{url}/then")]),
        *(plan(name, [stage("one", name)]) for name in ("good", "bad", "slow")),
        *(execution(name, name) for name in ("good", "bad", "slow")),
    )
    drplan.wait_phase("good", "Succeeded")
    drplan.wait_phase("bad", "Failed")
    site.wait_for(held)
    cancel(drplan, "slow")
    site.let_go(held)
    drplan.wait_phase("slow", "Cancelled")
    drplan.wait_unlocked("good")
    create(drplan, revert("back", "good", "good"))
    drplan.wait_phase("back", "Succeeded")
    assert (
        drplan.kubectl(
            "apply", "-f", "-", stdin=plan("none", [stage("one", "good", dependsOn=["absent"])]), check=False
        ).rc
        == 1
    )
    return drplan


def process(drplan: Installation, name: str) -> ServiceProcess:
    [found] = [item for item in drplan.cluster.plane.services if item.name == name]
    assert isinstance(found, ServiceProcess)
    return found


def page(drplan: Installation, name: str, accept: str = "text/plain") -> tuple[str, str]:
    """Content type and text of a process's page."""
    url = f"http://127.0.0.1:{process(drplan, name).metrics_port}/metrics"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def values(families: Iterable[Metric]) -> dict[str, float]:
    """Every sample by its name and labels, written without the beginning `drplan_`."""
    found = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[sample.name.removeprefix("drplan_") + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


@pytest.mark.parametrize("name", ["controller", "webhook"])
def test_text_and_openmetrics_parse_and_name_the_same(busy: Installation, name: str) -> None:
    kind, text = page(busy, name)
    assert kind.startswith("text/plain")
    modern_kind, modern = page(busy, name, OPENMETRICS)
    assert modern_kind.startswith("application/openmetrics-text")
    assert bare(parse_text(text)) == bare(parse_openmetrics(modern))


def bare(families: Iterable[Metric]) -> set[str]:
    """Names of families; those of kind info are called differently in the two formats."""
    return {family.name.removesuffix("_info") for family in families}


@pytest.mark.parametrize(("name", "expected"), [("controller", CONTROLLER), ("webhook", WEBHOOK)])
def test_what_the_runs_have_moved(busy: Installation, name: str, expected: tuple[str, ...]) -> None:
    def still() -> list[str]:
        seen = values(parse_text(page(busy, name)[1]))
        return [sample for sample in expected if not seen.get(sample)]

    busy.wait(lambda: not still(), timeout=20.0, message=f"still zero or absent: {still()}")


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("controller", "drplan_(admission|certificate)"),
        ("webhook", "drplan_(action|execution|journal|reconcile|status|run|queue|leader|events|stored)"),
    ],
)
def test_a_page_has_nothing_of_the_other_process(busy: Installation, name: str, foreign: str) -> None:
    assert [family.name for family in parse_text(page(busy, name)[1]) if re.match(foreign, family.name)] == []


def test_nothing_is_in_flight_afterwards(busy: Installation) -> None:
    def in_flight() -> list[float]:
        seen = values(parse_text(page(busy, "controller")[1]))
        return [value for sample, value in seen.items() if sample.startswith(("runs_in_flight", "queue_depth"))]

    busy.wait(lambda: in_flight() and not any(in_flight()), message="something stays in flight or queued")


def documented(begin: str, **words: str) -> str:
    """The filter after the pipe of the command in docs/operating.md that has `begin`, with words put in."""
    [line] = [item for item in (REPOSITORY / "docs" / "operating.md").read_text().splitlines() if begin in item]
    command = line.split(" | ", 1)[1]
    for word, value in words.items():
        command = command.replace(word, value)
    return command


def filtered(command: str, log: Path) -> list[dict[str, Any]]:
    with log.open() as stdin:
        answer = subprocess.run(
            ["sh", "-c", command], stdin=stdin, capture_output=True, text=True, timeout=30, check=True
        )
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_documented_filter_finds_the_lines_of_one_execution(busy: Installation) -> None:
    command = documented("jq -cR --arg e ", **{"NAMESPACE/NAME": f"{busy.namespace}/bad"})
    lines = filtered(command, process(busy, "controller").log)
    assert {item["execution"] for item in lines} == {f"{busy.namespace}/bad"}
    assert {"StageStarted", "ActionFailed", "ExecutionFailed"} <= {item.get("reason") for item in lines}
    assert {item["action"] for item in lines if "action" in item} == {"fail"}


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_documented_filter_finds_refusals(busy: Installation) -> None:
    command = documented("jq -cR --arg n ", NAMESPACE=busy.namespace)
    lines = filtered(command, process(busy, "webhook").log)
    assert [(item["kind"], item["name"], item["rules"]) for item in lines] == [("DRPlan", "none", ["P7"])]
