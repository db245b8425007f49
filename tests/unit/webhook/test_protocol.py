"""The envelope: malformed input, limits, deadlines, overload, log and metrics."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from app.kube.registrations import mutate_path, validate_path
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from app.runtime import metrics
from tests.unit.rules.builders import execution_json, http, plan_json, workflow_json
from tests.unit.webhook.client import Admission, review
from tests.unit.webhook.fakes import FakeLookups
from webhook.service import Limits

Json = dict[str, Any]
VALIDATE = validate_path(WORKFLOWS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"kind": "AdmissionReview"}',
        b'{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "x"}}',
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": ""}}',
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "x", "userInfo": 5}}',
        b"[" * 100_000,
    ],
)
async def test_a_body_that_is_no_review_is_a_400(body: bytes) -> None:
    for path in (VALIDATE, mutate_path(PLANS)):
        response = await Admission(FakeLookups()).post(path, body)
        assert response.status_code == 400
        assert "the body is not" in response.text
        assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "obj",
    [
        None,
        {},
        {"spec": None},
        {"spec": 5},
        {"spec": {"actions": "x"}},
        {"spec": {"actions": [5]}},
        {"spec": {"actions": [{"name": 1, "type": "HTTP"}]}},
        {"metadata": 5, "spec": {"actions": [http()]}},
        {"metadata": {"labels": {"a": 5}}, "spec": {"actions": [http()]}},
        {"spec": {"actions": [http(retryPolicy={"limit": "many"})]}},
    ],
)
async def test_an_object_that_cannot_be_decoded_is_a_refusal_and_left_alone_by_defaulting(obj: Any) -> None:
    admission = Admission(FakeLookups())
    body = review("CREATE", {"kind": "DRWorkflow"})
    body["request"]["object"] = obj
    response = await admission.send(VALIDATE, body)
    if response["allowed"]:
        assert obj["metadata"] == 5  # name and namespace come from the request
        return
    assert response["status"]["code"] in (400, 403)
    assert response["status"]["message"]
    assert (await admission.send(mutate_path(WORKFLOWS), body))["allowed"] is True


async def test_what_cannot_be_decoded_is_told_with_field_paths() -> None:
    response = await Admission(FakeLookups()).validate("CREATE", workflow_json(http(timeout=5)))
    assert response["status"]["code"] == 400
    assert response["status"]["message"] == (
        'the DRWorkflow cannot be decoded: spec.actions[0].timeout must be text, found 5: write "5" (S1)'
    )
    assert response["status"]["details"]["causes"][0]["field"] == "spec.actions[0].timeout"


async def test_unknown_operations_and_foreign_kinds_are_refused() -> None:
    admission = Admission(FakeLookups())
    response = await admission.validate("CONNECT", workflow_json())
    assert (response["allowed"], response["status"]["code"]) == (False, 400)
    assert response["status"]["message"] == 'unknown operation "CONNECT"'
    response = await admission.send(VALIDATE, review("CREATE", plan_json()))
    assert response["status"]["message"].startswith("this path reviews DRWorkflow objects, found DRPlan")


async def test_status_writes_are_not_our_business() -> None:
    body = review("UPDATE", workflow_json(http(timeout="x")), workflow_json())
    body["request"]["subResource"] = "status"
    assert (await Admission(FakeLookups()).send(VALIDATE, body))["allowed"] is True


async def test_a_body_beyond_the_limit_is_not_read() -> None:
    admission = Admission(FakeLookups(), limits=Limits(body_bytes=2048))
    response = await admission.post(VALIDATE, b" " * 4096)
    assert response.status_code == 413


async def test_a_review_ends_at_its_deadline() -> None:
    admission = Admission(FakeLookups(hanging={"plan"}), limits=Limits(seconds=0.5))
    response = await admission.validate("CREATE", execution_json())
    assert response["allowed"] is False
    assert response["status"]["code"] == 504
    assert response["status"]["reason"] == "Timeout"
    assert "the API server answers slowly" in response["status"]["message"]


async def test_the_api_servers_own_timeout_counts() -> None:
    admission = Admission(FakeLookups(hanging={"plan"}), limits=Limits(seconds=3600))
    response = await admission.send(validate_path(EXECUTIONS), review("CREATE", execution_json()), timeout="1s")
    assert response["status"]["code"] == 504


async def test_overload_is_a_429_that_the_api_server_repeats() -> None:
    admission = Admission(FakeLookups(hanging={"plan"}), limits=Limits(seconds=2, at_once=1))
    path = validate_path(EXECUTIONS)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(admission.send(path, review("CREATE", execution_json())))
        while "plan" not in admission.lookups.asked:
            await asyncio.sleep(0.001)
        second = await admission.post(path, orjson.dumps(review("CREATE", execution_json())))
        assert second.status_code == 429
        assert second.headers["retry-after"] == "1"
    assert first.result()["status"]["code"] == 504
    admission.lookups.hanging.clear()
    assert (await admission.send(path, review("CREATE", execution_json())))["allowed"] is False


async def test_a_defect_of_ours_is_a_refusal_without_its_insides() -> None:
    fake = FakeLookups(failing={"plan": ZeroDivisionError("secret insides")})
    with capture_logs() as logs:
        response = await Admission(fake).validate("CREATE", execution_json())
    assert response["status"]["code"] == 500
    assert response["status"]["message"] == (
        "internal error in the admission service; its log has the details under uid review-1"
    )
    assert any(line["event"] == "admission review failed" for line in logs)


async def test_while_draining_connections_are_given_back() -> None:
    admission = Admission(FakeLookups(), draining=True)
    response = await admission.post(VALIDATE, orjson.dumps(review("CREATE", workflow_json())))
    assert response.headers["connection"] == "close"


async def test_a_denial_is_logged_by_rule_without_contents() -> None:
    with capture_logs() as logs:
        await Admission(FakeLookups()).validate(
            "CREATE", workflow_json(http(when="mode == topsecret"), parameters=[{"name": "mode", "value": "s3cret"}])
        )
        await Admission(FakeLookups()).validate("CREATE", workflow_json())
    (line,) = [entry for entry in logs if entry["event"] == "admission denied"]
    assert line["rules"] == ["W24", "W31"]
    assert (line["user"], line["namespace"], line["name"], line["kind"]) == ("alice", "default", "w", "DRWorkflow")
    assert "secret" not in str(line)
    assert "s3cret" not in str(line)


async def test_reviews_are_counted_and_timed() -> None:
    def value(allowed: str) -> float:
        sample = metrics.REGISTRY.get_sample_value(
            "drplan_admission_requests_total", {"kind": "DRPlan", "operation": "CREATE", "allowed": allowed}
        )
        return sample or 0.0

    before = value("false"), value("true")
    fake = FakeLookups(stored_workflows=[workflow_json()])
    await Admission(fake).validate("CREATE", plan_json())
    await Admission(FakeLookups()).validate("CREATE", plan_json())
    assert (value("false") - before[0], value("true") - before[1]) == (1.0, 1.0)
    assert metrics.REGISTRY.get_sample_value(
        "drplan_admission_duration_seconds_count", {"kind": "DRPlan", "operation": "CREATE"}
    )


@pytest.mark.parametrize(
    ("failing", "rule"),
    [({}, "E2"), ({"plan": ZeroDivisionError()}, "InternalError")],
    ids=["by a rule", "by a defect"],
)
async def test_denials_are_counted_by_rule(failing: dict[str, Exception], rule: str) -> None:
    def value() -> float:
        labels = {"kind": "DRPlanExecution", "rule": rule}
        return metrics.REGISTRY.get_sample_value("drplan_admission_denials_total", labels) or 0.0

    before = value()
    await Admission(FakeLookups(failing=failing)).validate("CREATE", execution_json())
    assert value() - before == 1.0


async def test_other_methods_and_paths_are_refused() -> None:
    admission = Admission(FakeLookups())
    assert (await admission.post("/validate-something-else", b"{}")).status_code == 404
