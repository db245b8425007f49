"""Objects near the size limit of the API server, made so that a little of them is told very often."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from app.kube.registrations import validate_path
from app.kube.resources import PLANS, WORKFLOWS
from app.rules.actions.manifest_reading import MOST_VALUES
from app.rules.findings import MOST_STOPPERS, MOST_TOLD, denial
from app.rules.parameters.references import LONGEST
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import CONFIG_MAP, http, job, plan_json, resource, stage, workflow, workflow_json
from tests.unit.webhook.client import Admission, review
from tests.unit.webhook.fakes import FakeLookups
from webhook.review import MOST_CAUSES, MOST_WARNINGS

pytestmark = pytest.mark.slow

Json = dict[str, Any]
LONG = "n" * 400_000
MANY = 20_000
PEAK_BYTES = 100_000_000
ANSWER_BYTES = 2_000_000

BAD = "$(params.x.y)" * MANY
TAKES_MANY = "".join(f"$(params.p{n})" for n in range(MANY))


def reading(text: str, name: str = "r") -> Json:
    """A parameter whose reference takes others."""
    reference = {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}", "labelSelector": text}
    return {"name": name, "valueFrom": {"manifestRef": reference}}


READ_MANY = [reading(TAKES_MANY[at : at + LONGEST], f"r{at}") for at in range(0, len(TAKES_MANY), LONGEST)]


HOSTILE: dict[str, Json] = {
    "long name, many placeholders": workflow_json(http(LONG, http={"url": BAD})),
    "long name, many dependencies": workflow_json(http(LONG, dependsOn=[f"b{n}" for n in range(MANY)])),
    "long header, many placeholders": workflow_json(http(http={"url": "http://x", "headers": {LONG: BAD}})),
    "long key, many placeholders": workflow_json(
        job(job={"template": {"spec": {"template": {"spec": {LONG: ["$(params.x.y)"] * MANY}}}}})
    ),
    "long name, many unknown fields": workflow_json(http(LONG, rollback={f"k{n}": 1 for n in range(MANY)})),
    "long name, many documents": workflow_json(resource("---\na: b\n" * (MANY // 10), name=LONG)),
    "many documents": workflow_json(resource("---\na: b\n" * MANY), resource("---\na: c\n" * MANY, name="s")),
    "many values": workflow_json(resource(f"{CONFIG_MAP}data:\n" + "".join(f"  k{n}: $(mode)\n" for n in range(MANY)))),
    "many different placeholders": workflow_json(resource("".join(f"- $(params.x{n})\n" for n in range(MANY)))),
    "long action, many wrong types": workflow_json({"name": LONG, "type": "SSH"}, *[{"name": "a", "type": "S"}] * MANY),
    "many wrong names": workflow_json(*[{"name": 5, "type": "HTTP"}] * MANY),
    "many parameters": workflow_json(parameters=[{"name": LONG}, *[{"name": "1"}] * MANY]),
    "long name of unprintable characters": plan_json(globalParams=[{"name": "\x01" * 200_000, "value": "a"}] * 4),
    "cycle": workflow_json(*[http(f"{n}", dependsOn=[f"{(n + 1) % 4_000}"]) for n in range(4_000)]),
    "long stage, many dependencies": plan_json(stage(LONG, "w", dependsOn=[f"q{n}" for n in range(MANY)])),
    "long stage, many uses": plan_json(stage(LONG, *["w"] * MANY)),
    "many references": plan_json(stage("s", *[f"w{n}" for n in range(MANY)])),
    "many stage parameters": plan_json(
        stage("s", {"workflowRef": {"name": "w"}, "params": [{"name": LONG}, *[{"name": "1"}] * MANY]})
    ),
    "many parameters for many uses": plan_json(
        stage("s", *["w"] * 2_000), globalParams=[{"name": f"p{n}", "value": ""} for n in range(MANY)]
    ),
    "many placeholders in a reference": workflow_json(parameters=[reading(BAD), reading("/" * MANY)]),
    "many bad placeholders in references": workflow_json(
        parameters=[reading(BAD[:LONGEST], f"r{n}") for n in range(70)]
    ),
    "many placeholders in references of a plan": plan_json(
        stage("s", *[{"workflowRef": {"name": "w"}, "params": READ_MANY}] * 2), globalParams=READ_MANY
    ),
}
GREEDY = workflow_json(http(http={"url": TAKES_MANY}), parameters=READ_MANY)


async def send(obj: Json) -> bytes:
    """The answer to the creation of an object."""
    admission = Admission(FakeLookups([GREEDY]))
    path = validate_path(WORKFLOWS if obj["kind"] == "DRWorkflow" else PLANS)
    return (await admission.post(path, orjson.dumps(review("CREATE", obj)))).content


@pytest.mark.parametrize("name", HOSTILE)
async def test_it_takes_little_time_and_the_answer_is_small(name: str) -> None:
    content = await send(HOSTILE[name])
    assert len(content) < ANSWER_BYTES
    assert orjson.loads(content)["response"]["status"]["code"] in (200, 400, 403)


@pytest.mark.parametrize("name", HOSTILE)
async def test_it_takes_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        await send(HOSTILE[name])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PEAK_BYTES


def test_so_many_findings_are_collected_and_so_many_are_told() -> None:
    report = check_workflow(workflow(http(http={"url": BAD})))
    assert len(report.errors) == MOST_STOPPERS
    assert denial(report).endswith(f"; and {MOST_STOPPERS - MOST_TOLD} more]")


async def test_so_many_causes_and_warnings_are_told() -> None:
    many = [http(f"a{n}", http={"url": "$(params.x.y)$(param.y)"}) for n in range(MOST_CAUSES + 1)]
    answer = orjson.loads(await send(workflow_json(*many)))["response"]
    assert len(answer["status"]["details"]["causes"]) == MOST_CAUSES
    assert answer["warnings"][-1] == "and 401 more warnings"
    assert len(answer["warnings"]) == MOST_WARNINGS + 1


async def test_a_plan_that_is_too_large_whatever_its_workflows_are_needs_no_look_up() -> None:
    lookups = FakeLookups()
    response = await Admission(lookups).validate("CREATE", plan_json(stage("s", *["w"] * 5_000)))
    assert "split the plan into several" in response["status"]["message"]
    assert lookups.asked == []


def test_manifests_of_a_workflow_have_so_many_values() -> None:
    values = "".join(f"  k{n}: v\n" for n in range(MOST_VALUES // 5))
    half = resource(f"{CONFIG_MAP}data:\n{values}")
    assert check_workflow(workflow(half, {**half, "name": "s"})).ok
    (found,) = check_workflow(workflow(half, {**half, "name": "s"}, {**half, "name": "t"})).errors
    assert (found.rule, found.path) == ("W27", "spec.actions[2].resource.manifest")
    assert found.message.endswith(f"more than {MOST_VALUES} values: use several workflows")
    assert found.runnable


def test_a_long_text_in_a_manifest_is_one_value() -> None:
    table = "".join(f"    {n},[{n}],{{{n}\n" for n in range(MOST_VALUES))
    assert check_workflow(workflow(resource(f"{CONFIG_MAP}data:\n  table.csv: |\n{table}"))).ok


@pytest.mark.parametrize(
    "text",
    [
        "a: b\r" * MOST_VALUES,
        "- - - x\n" * MOST_VALUES,
        "---\n" * (MOST_VALUES + 2),
        "a: &a [1]\nb: [" + "*a," * MOST_VALUES + "]",
        "- a\n" * MOST_VALUES + "- ]",
    ],
    ids=["carriage returns", "lists in a line", "empty documents", "aliases", "an error at the end"],
)
def test_however_values_are_written_they_count(text: str) -> None:
    first, *_ = check_workflow(workflow(resource(text))).errors
    assert first.message.endswith("use several workflows")


def test_values_in_front_of_an_error_count() -> None:
    broken = [resource("- a\n" * (MOST_VALUES // 2 - 1) + "- ]", name=f"r{n}") for n in range(3)]
    messages = [found.message for found in check_workflow(workflow(*broken)).errors]
    assert ["use several workflows" in message for message in messages] == [False, False, True]
