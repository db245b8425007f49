"""Traces of real runs, received by a collector: their tree, what HTTP targets are told, what a crash does to them."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.crash.conftest import LONG_LEASE, Rig, replaced
from tests.crash.harness import Crashing
from tests.support.collector import Collector, Span, tree_of
from tests.support.installation import config_map_action, execution, phases_of, plan, revert, stage, workflow
from tests.support.site import Answer, Call


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().serving() as running:
        yield running


@pytest.fixture
def drplan(rig: Rig, drplan: Crashing, collector: Collector) -> Iterator[Crashing]:
    """drplan with a controller that sends its traces to the collector."""
    collector.status = 200
    with replaced(rig, drplan, "traced", *LONG_LEASE, f"--otlp-endpoint={collector.url}") as crashing:
        yield crashing


def create(drplan: Crashing) -> None:
    """A plan of two stages, with calls, an object and what takes them back."""
    up = [drplan.http("a", rollback=drplan.http("undo")), config_map_action("b", "marker", drplan.namespace)]
    drplan.create(
        workflow("up", up),
        workflow("check", [drplan.http("c", when="mode == 'upgrade'"), drplan.http("d")]),
        plan("p", [stage("first", "up"), stage("second", "check", dependsOn=["first"])]),
    )


def trace_of(drplan: Crashing, collector: Collector, name: str, root: str) -> list[Span]:
    return collector.wait(drplan.uid("drpe", name).replace("-", ""), root)


def span(spans: list[Span], name: str) -> Span:
    return next(found for found in spans if found.name == name)


def told(call: Call) -> list[str]:
    """What a call was told of its trace: version, trace, parent and flags."""
    headers = {name.lower(): value for name, value in call.headers.items()}
    return headers["traceparent"].split("-")


def failed_spans(drplan: Crashing) -> float:
    """How many spans the controller could not get rid of."""
    samples = [line.split() for line in drplan.controller.metrics().splitlines()]
    return next(float(value) for name, *_, value in samples if name == 'drplan_trace_spans_total{result="failed"}')


EXECUTE_TREE = """\
Execute p
  stage first
    workflow up
      action a
      action b
  stage second
    workflow check
      action d"""


def test_an_execute_and_its_revert_are_two_trees_and_the_targets_of_calls_know_their_place(
    drplan: Crashing, collector: Collector
) -> None:
    create(drplan)
    drplan.create(execution("e", "p", mode="Install"))
    drplan.ended("e")
    forth = trace_of(drplan, collector, "e", "Execute p")
    assert str(tree_of(forth)) == EXECUTE_TREE
    assert span(forth, "Execute p").attributes["drplan.phase"] == "Succeeded"
    assert span(forth, "workflow check").attributes["drplan.workflow.actions_not_started"] == 1
    assert span(forth, "action b").attributes["k8s.namespace.name"] == drplan.namespace
    assert span(forth, "action d").attributes["http.response.status_code"] == 200
    drplan.create(revert("r", "p", "e"))
    drplan.ended("r")
    back = trace_of(drplan, collector, "r", "Revert p")
    assert str(tree_of(back)).splitlines()[0] == "Revert p"
    assert {"rollback a", "rollback b"} <= {found.name for found in back}
    assert span(back, "Revert p").links == ((forth[0].trace, span(forth, "Execute p").id),)
    assert span(back, "rollback a").links == ((forth[0].trace, span(forth, "action a").id),)
    for path, spans, name in (("a", forth, "action a"), ("d", forth, "action d"), ("undo", back, "rollback a")):
        (call,) = drplan.site.calls(drplan.path(path))
        assert told(call) == ["00", spans[0].trace, span(spans, name).id, "01"]


def test_ids_are_what_the_documentation_says(drplan: Crashing, collector: Collector) -> None:
    create(drplan)
    drplan.create(execution("e", "p"))
    drplan.ended("e")
    uid = drplan.uid("drpe", "e")
    found = span(trace_of(drplan, collector, "e", "Execute p"), "action a")
    assert found.trace == uid.replace("-", "")
    assert found.id == hashlib.sha256(f"{uid}/first/0/a".encode()).hexdigest()[:16]


def test_a_run_that_survives_a_crash_is_one_trace_with_nothing_twice(drplan: Crashing, collector: Collector) -> None:
    create(drplan)
    drplan.site.hold(drplan.path("d"))
    drplan.create(execution("e", "p", mode="Install"))
    drplan.site.wait_for(drplan.path("d"))
    before = collector.wait(drplan.uid("drpe", "e").replace("-", ""), "stage first")
    drplan.controller.kill9()
    drplan.site.let_go(drplan.path("d"))
    drplan.restart()
    drplan.ended("e")
    spans = trace_of(drplan, collector, "e", "Execute p")
    assert str(tree_of(spans)) == EXECUTE_TREE
    assert {found.name for found in before} == {"action a", "action b", "workflow up", "stage first"}
    processes = {found.process for found in before}
    assert all((found.process in processes) == (found in before) for found in spans)
    resumed = span(spans, "action d")
    assert "drplan.attempt.resumed" in resumed.events
    calls = [told(call) for call in drplan.site.calls(drplan.path("d"))]
    assert calls == [["00", resumed.trace, resumed.id, "01"]] * 2
    assert logged_traces(drplan, "e") == {resumed.trace}


def logged_traces(drplan: Crashing, name: str) -> set[str | None]:
    """What the log lines of an execution say of its trace."""
    lines = [json.loads(line) for line in drplan.controller.log.read_text().splitlines() if line.startswith("{")]
    return {line.get("trace_id") for line in lines if line.get("execution") == f"{drplan.namespace}/{name}"}


def test_a_crash_loses_at_most_what_had_just_ended(drplan: Crashing, collector: Collector) -> None:
    create(drplan)
    rule = drplan.killed_before(drplan.entry("ActionFinished", "e", 0, 0, 1))
    drplan.create(execution("e", "p", mode="Install"))
    drplan.crash(rule)
    drplan.restart()
    drplan.ended("e")
    spans = trace_of(drplan, collector, "e", "Execute p")
    tree_of(spans)
    lost = {line.strip() for line in EXECUTE_TREE.splitlines()} - {found.name for found in spans}
    assert lost <= {"action a"}


def test_a_controller_that_is_told_to_end_sends_what_waits(drplan: Crashing, collector: Collector) -> None:
    create(drplan)
    drplan.site.hold(drplan.path("d"))
    drplan.create(execution("e", "p"))
    drplan.site.wait_for(drplan.path("d"))
    drplan.site.let_go(drplan.path("d"))
    assert drplan.controller.stop() == 0
    told = {found.name for found in collector.trace(drplan.uid("drpe", "e").replace("-", ""))}
    ended = {f"action {name}" for name, phase in phases_of(drplan.status("e")).items() if phase == "Succeeded"}
    assert {"action a", "action b"} <= ended <= told
    drplan.restart()
    drplan.ended("e")


def test_durations_lead_to_spans_by_exemplars(drplan: Crashing, collector: Collector) -> None:
    create(drplan)
    drplan.create(execution("e", "p"))
    drplan.ended("e")
    spans = trace_of(drplan, collector, "e", "Execute p")
    url = f"http://127.0.0.1:{drplan.controller.metrics_port}/metrics"
    request = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    for name, known in (
        ("drplan_action_duration_seconds", {found.id for found in spans if found.name.startswith("action ")}),
        ("drplan_execution_duration_seconds", {span(spans, "Execute p").id}),
    ):
        exemplars = [sample.exemplar.labels for sample in families[name].samples if sample.exemplar]
        assert {shown["span_id"] for shown in exemplars if shown["trace_id"] == spans[0].trace} & known


def test_failures_are_errors_and_a_collector_that_refuses_disturbs_no_run(
    drplan: Crashing, collector: Collector
) -> None:
    create(drplan)
    drplan.site.script(drplan.path("a"), Answer(status=400))
    drplan.create(execution("e", "p"))
    drplan.ended("e", "Failed")
    spans = trace_of(drplan, collector, "e", "Execute p")
    assert span(spans, "action a").error == "unexpected status code: 400"
    assert span(spans, "stage second").attributes["drplan.phase"] == "Skipped"
    collector.status = 400
    drplan.site.script(drplan.path("a"), Answer())
    drplan.create(execution("e2", "p"))
    assert set(phases_of(drplan.ended("e2")).values()) <= {"Succeeded", "Skipped"}
    drplan.wait(lambda: failed_spans(drplan) > 0, 20.0, "no export has failed")
