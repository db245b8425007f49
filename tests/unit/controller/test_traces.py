"""The spans of a run, from the pure engine's statuses through the SDK to an exporter in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.engine.definition import Address, RunDefinition
from app.engine.events import ActionFinished, ActionStarted, CancelRequested, Event
from app.engine.outcome import Failed, Succeeded
from app.engine.revert import revert_definition
from app.models.actions import Action, ActionType, HttpAction, RetryPolicy
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, DRPlanExecution, DRPlanExecutionSpec, HttpResponse
from app.models.meta import ObjectMeta
from app.models.phases import Phase
from app.models.snapshot import Snapshot
from app.runtime.trace_export import TraceExport
from app.runtime.tracing import PastSpan, Traces
from controller.run.traces import RunTrace, record_execution
from tests.unit.engine.runs import START, Player, after, definition_of, flow, http, revert_of, snapshot_of, stage

UID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


@dataclass
class Traced(Player):
    """Plays a run whose trace is followed event by event."""

    trace: RunTrace = field(kw_only=True)

    def fold(self, event: Event) -> None:
        old = self.status
        super().fold(event)
        self.trace.follow(old, self.status, [event])


@dataclass
class Spans:
    """What an exporter was given."""

    export: TraceExport
    memory: InMemorySpanExporter

    @property
    def traces(self) -> Traces:
        return self.export.traces

    def all(self) -> tuple[ReadableSpan, ...]:
        asyncio.run(self.export.close(10.0))
        return self.memory.get_finished_spans()

    def named(self) -> dict[str, ReadableSpan]:
        spans = self.all()
        assert len({span.name for span in spans}) == len(spans)
        return {span.name: span for span in spans}


@pytest.fixture
def spans() -> Spans:
    memory = InMemorySpanExporter()
    return Spans(TraceExport(memory, service="drplan-controller", instance="one"), memory)


def with_uid(snapshot: Snapshot) -> Snapshot:
    return snapshot.model_copy(update={"execution_uid": UID})


def play(spans: Spans, snapshot: Snapshot, definition: RunDefinition, failing: Sequence[str] = ()) -> Traced:
    player = Traced(definition, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    player.play(failing)
    player.trace.end(ended(player, snapshot))
    return player


def ended(player: Player, snapshot: Snapshot) -> DRPlanExecution:
    target = snapshot.target.name if snapshot.target else ""
    return DRPlanExecution(
        metadata=ObjectMeta(name=snapshot.execution_name, namespace="ns", uid=snapshot.execution_uid),
        spec=DRPlanExecutionSpec(plan_ref="plan", operation_type=snapshot.operation, revert_execution_ref=target),
        status=player.status,
    )


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def own(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def seconds(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    zero = int(START.timestamp()) * 10**9
    return (span.start_time - zero) / 10**9, (span.end_time - zero) / 10**9


def test_the_trace_of_an_execution_is_its_uid_and_its_spans_are_the_tree_of_its_status(spans: Spans) -> None:
    stages = (stage("one", flow("a", "b")), stage("two", flow("c"), flow("d")))
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages))
    named = spans.named()
    assert {f"{span.context.trace_id:032x}" for span in named.values() if span.context} == {UID.replace("-", "")}
    names = {own(span): name for name, span in named.items()}
    assert {name: names[parent(span)] for name, span in named.items() if span.parent} == {
        "stage one": "Execute plan",
        "stage two": "Execute plan",
        "workflow one-0": "stage one",
        "workflow two-0": "stage two",
        "workflow two-1": "stage two",
        "action a": "workflow one-0",
        "action b": "workflow one-0",
        "action c": "workflow two-0",
        "action d": "workflow two-1",
    }
    assert named["Execute plan"].parent is None


def test_spans_have_the_times_of_the_record(spans: Spans) -> None:
    stages = (stage("one", flow("a", http("b", "a"))),)
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages))
    named = spans.named()
    assert seconds(named["action a"]) == (0, 1)
    assert seconds(named["action b"]) == (1, 2)
    assert seconds(named["Execute plan"]) == seconds(named["workflow one-0"]) == (0, 2)


def test_a_failure_is_an_error_at_every_level_and_what_it_kept_back_is_visible(spans: Spans) -> None:
    stages = (stage("one", flow("a", http("b", "a"))), stage("two", flow("c"), depends_on=("one",)))
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages), failing=["a"])
    named = spans.named()
    errors = {
        name: span.status.description for name, span in named.items() if span.status.status_code is StatusCode.ERROR
    }
    assert set(errors) == {"action a", "workflow one-0", "stage one", "Execute plan"}
    assert errors["action a"] == "a broke"
    skipped = {name for name, span in named.items() if (span.attributes or {})["drplan.phase"] == "Skipped"}
    assert skipped == {"stage two"}
    assert (named["workflow one-0"].attributes or {})["drplan.workflow.actions_not_started"] == 1
    assert (named["stage two"].attributes or {})["drplan.message"]
    assert "workflow two-0" not in named


def test_an_action_that_failed_before_it_began_has_a_span(spans: Spans) -> None:
    stages = (stage("one", flow("a", http("b", "a", when="params.x == 'y'"), http("c", "b"))),)
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages))
    named = spans.named()
    assert named["action b"].status.status_code is StatusCode.ERROR
    assert "action c" not in named
    assert (named["workflow one-0"].attributes or {})["drplan.workflow.actions_not_started"] == 1


def test_actions_that_were_skipped_before_they_began_are_counted_and_not_recorded(spans: Spans) -> None:
    stages = (stage("one", flow("a", *(http(f"b{number}", "a") for number in range(300)))),)
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages), failing=["a"])
    named = spans.named()
    assert set(named) == {"Execute plan", "stage one", "workflow one-0", "action a"}
    assert (named["workflow one-0"].attributes or {})["drplan.workflow.actions_not_started"] == 300


def test_workflow_whose_actions_all_began_counts_none(spans: Spans) -> None:
    stages = (stage("one", flow("a", "b")),)
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages))
    assert "drplan.workflow.actions_not_started" not in (spans.named()["workflow one-0"].attributes or {})


def test_attempts_are_events_of_the_span(spans: Spans) -> None:
    again = RetryPolicy(limit=2, interval="2s")
    stages = (stage("one", flow(http("a", retry=again))),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    player.end("a", Failed("busy", retryable=True))
    player.wait(100)
    player.end("a", Succeeded("done"))
    span = spans.named()["action a"]
    assert [(e.name, (e.attributes or {}).get("drplan.attempt.number")) for e in span.events] == [
        ("drplan.attempt.started", 1),
        ("drplan.attempt.failed", None),
        ("drplan.attempt.started", 2),
    ]
    assert (span.events[1].attributes or {})["drplan.message"] == "busy"
    assert (span.attributes or {})["drplan.action.attempts"] == 2
    assert (span.attributes or {})["http.request.resend_count"] == 1
    assert span.status.status_code is StatusCode.UNSET


def test_http_actions_are_calls_with_the_conventions_of_http(spans: Spans) -> None:
    action = Action(
        name="a",
        type=ActionType.HTTP,
        http=HttpAction(url="https://user:secret@site.invalid:8443/token/$(params.t)?k=v", method="POST"),
        retry_policy=RetryPolicy(limit=0),
    )
    stages = (stage("one", flow(action)),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    player.end("a", Failed("unexpected status code: 503", ActionOutputs(http_response=HttpResponse(status_code=503))))
    span = spans.named()["action a"]
    assert span.kind is SpanKind.CLIENT
    told = dict(span.attributes or {})
    assert (told["http.request.method"], told["http.response.status_code"], told["error.type"]) == ("POST", 503, "503")
    assert (told["server.address"], told["server.port"]) == ("site.invalid", 8443)
    assert not any("secret" in str(value) or "token" in str(value) for value in told.values())


def test_a_host_that_is_a_template_is_not_told(spans: Spans) -> None:
    templated = Action(name="a", type=ActionType.HTTP, http=HttpAction(url="http://$(params.host):80/"))
    stages = (stage("one", flow(templated)),)
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages))
    assert "server.address" not in (spans.named()["action a"].attributes or {})


def test_objects_that_an_action_made_are_told(spans: Spans) -> None:
    stages = (stage("one", flow("a")),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    refs = (
        CoreReference(kind="Deployment", namespace="shop", name="web"),
        CoreReference(kind="Namespace", name="shop"),
    )
    player.end("a", Succeeded("done", ActionOutputs(resource_refs=refs)))
    told = dict(spans.named()["action a"].attributes or {})
    assert told["drplan.objects"] == ("Deployment shop/web", "Namespace shop")
    assert told["k8s.deployment.name"] == "web"


def test_a_revert_links_to_what_it_takes_back(spans: Spans) -> None:
    stages = (stage("one", flow(http("a", rollback={"http": {"url": "http://site.invalid/undo"}}), "b")),)
    snapshot = with_uid(snapshot_of(*stages))
    forward = play(spans, snapshot, definition_of(*stages))
    reverting = revert_of(snapshot, forward.status)
    play(spans, reverting, revert_definition(reverting))
    named = {span.name: span for span in spans.all()}
    links = {name: [link.context for link in span.links] for name, span in named.items()}
    for back, forth in (("Revert plan", "Execute plan"), ("rollback a", "action a")):
        (link,), target = links[back], named[forth].context
        assert target is not None
        assert (link.trace_id, link.span_id) == (target.trace_id, target.span_id)
    assert (named["rollback a"].attributes or {})["drplan.rollback.custom"] is True


def test_a_cancelled_run_is_no_error_and_says_so(spans: Spans) -> None:
    stages = (stage("one", flow("a", http("b", "a"))),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    player.fold(CancelRequested(after(0.5), "Execution canceled by user"))
    player.end("a")
    player.trace.end(ended(player, snapshot))
    root = spans.named()["Execute plan"]
    assert (root.attributes or {})["drplan.phase"] == "Cancelled"
    assert root.status.status_code is StatusCode.UNSET


def test_what_another_leader_ended_is_not_recorded_again_and_the_rest_has_the_right_parents(spans: Spans) -> None:
    stages = (stage("one", flow("a", http("b", "a"))),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    first = Traced(definition, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    first.end("a")
    assert first.running == ["b"]
    later = RunTrace(spans.traces, snapshot, definition, in_doubt=[Address(0, 0, 1)], now=after(60))
    second = Traced(definition, idle=True, trace=later)
    second.status = type(first.status).from_wire(first.status.to_wire())
    second.running, second.now = ["b"], after(60)
    second.end("b")
    second.trace.end(ended(second, snapshot))
    named = spans.named()
    assert set(named) == {"action a", "action b", "workflow one-0", "stage one", "Execute plan"}
    assert parent(named["action a"]) == parent(named["action b"]) == own(named["workflow one-0"])
    assert [event.name for event in named["action b"].events] == ["drplan.attempt.resumed"]


def test_what_a_run_skipped_from_its_start_is_visible_down_to_the_skipped_part(spans: Spans) -> None:
    stages = (stage("one", flow(http("a", when="mode == 'upgrade'"))), stage("two", flow("b")))
    play(spans, with_uid(snapshot_of(*stages)), definition_of(*stages))
    named = spans.named()
    assert set(named) == {"stage one", "workflow one-0", "stage two", "workflow two-0", "action b", "Execute plan"}
    told = named["workflow one-0"].attributes or {}
    assert (told["drplan.phase"], told["drplan.workflow.actions_not_started"]) == ("Skipped", 1)
    assert seconds(named["workflow one-0"]) == (0, 0)


def test_an_execution_that_never_started_has_a_span(spans: Spans) -> None:
    status = DRPlanExecution.from_wire(
        {
            "metadata": {"name": "run", "namespace": "ns", "uid": UID},
            "spec": {"planRef": "plan", "operationType": "Execute", "mode": "Install"},
            "status": {"phase": "Failed", "completionTime": "2026-03-01T08:00:05Z", "message": "plan not found"},
        }
    )
    record_execution(spans.traces, status)
    root = spans.named()["Execute plan"]
    assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, "plan not found")
    assert seconds(root) == (5, 5)
    assert (root.attributes or {})["drplan.mode"] == "Install"


def test_clocks_of_leaders_that_differ_make_no_span_end_before_its_start(spans: Spans) -> None:
    stages = (stage("one", flow("a")),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, idle=True, trace=RunTrace(spans.traces, snapshot, definition, now=START))
    player.fold(ActionStarted(after(10), Address(0, 0, 0), 1))
    player.fold(ActionFinished(after(3), Address(0, 0, 0), Phase.SUCCEEDED, "done"))
    start, end = seconds(spans.named()["action a"])
    assert start <= end


def test_without_a_collector_nothing_is_recorded() -> None:
    stages = (stage("one", flow("a")),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, trace=RunTrace(Traces(), snapshot, definition, now=START))
    player.play()
    player.trace.end(ended(player, snapshot))
    assert player.trace.exemplar(Address(0, 0, 0)) is None
    assert player.phase() is Phase.SUCCEEDED


class Defective(Traces):
    """Fails at every span."""

    @property
    def recording(self) -> bool:
        return True

    def record(self, span: PastSpan) -> None:
        raise TypeError("no such span")


def test_a_defect_in_tracing_breaks_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    stages = (stage("one", flow("a")),)
    snapshot, definition = with_uid(snapshot_of(*stages)), definition_of(*stages)
    player = Traced(definition, trace=RunTrace(Defective(), snapshot, definition, now=START))
    player.play()
    player.trace.end(ended(player, snapshot))
    assert player.phase() is Phase.SUCCEEDED
    assert "trace is not complete" in "".join(capsys.readouterr())
