"""Defaulting: what is added, what is not, and when nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.builders import CONFIG_MAP, FEED, http, plan_json, resource, stage, typed, workflow_json
from tests.unit.webhook.client import Admission
from tests.unit.webhook.fakes import FakeLookups

Json = dict[str, Any]
RETRY = {"limit": 3, "interval": "5s", "backoffMultiplier": "2.0"}


def adds(patch: list[Json]) -> dict[str, Any]:
    assert {operation["op"] for operation in patch} <= {"add"}
    return {operation["path"]: operation["value"] for operation in patch}


async def test_workflow_defaults() -> None:
    localization = {"name": "l", "namespace": "n", "spec": {"feed": FEED}}
    obj = workflow_json(
        http(),
        resource(CONFIG_MAP),
        typed("Localization", "localization", localization, "l"),
        http("full", timeout="", retryPolicy={"limit": 0}, http={"url": "http://x", "method": "POST"}),
    )
    assert adds(await Admission(FakeLookups()).mutate("CREATE", obj)) == {
        "/spec/failurePolicy": "FailFast",
        "/spec/actions/0/timeout": "5m",
        "/spec/actions/0/retryPolicy": RETRY,
        "/spec/actions/0/http/method": "GET",
        "/spec/actions/1/timeout": "5m",
        "/spec/actions/1/retryPolicy": RETRY,
        "/spec/actions/1/resource/operation": "Create",
        "/spec/actions/2/timeout": "5m",
        "/spec/actions/2/retryPolicy": RETRY,
        "/spec/actions/2/localization/operation": "Create",
        "/spec/actions/3/timeout": "5m",
    }


async def test_plan_defaults_leave_the_policy_of_stages_alone() -> None:
    other = {"workflowRef": {"name": "w", "namespace": "shared"}}
    obj = plan_json(stage("s", "w", other, parallel=True), stage("t"), namespace="site")
    assert adds(await Admission(FakeLookups()).mutate("CREATE", obj)) == {
        "/spec/failurePolicy": "Stop",
        "/spec/stages/0/workflows/0/workflowRef/namespace": "site",
        "/spec/stages/1/workflows/0/workflowRef/namespace": "site",
    }


@pytest.mark.parametrize("obj", [workflow_json(), plan_json()])
async def test_an_update_that_leaves_the_spec_alone_gets_no_patch(obj: Json) -> None:
    labelled = {**obj, "metadata": {**obj["metadata"], "labels": {"a": "b"}}}
    admission = Admission(FakeLookups())
    assert await admission.mutate("UPDATE", labelled, obj) == []
    changed = {**obj, "spec": {**obj["spec"], "description": "x"}}
    assert await admission.mutate("UPDATE", changed, obj) != []


async def test_nothing_is_missing_from_what_was_defaulted() -> None:
    full = workflow_json(
        http(timeout="1m", retryPolicy=RETRY, http={"url": "http://x", "method": "GET"}), failurePolicy="Continue"
    )
    assert await Admission(FakeLookups()).mutate("CREATE", full) == []
