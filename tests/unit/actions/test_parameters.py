"""Resolving the parameters of a run."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from app.kube.errors import ApiUnavailable, Forbidden, NotFound, UnknownKind
from app.kube.resources import CONFIG_MAPS, JOBS, NAMESPACES, SECRETS, Resource
from app.models.common import ManifestRef
from app.models.execution import DRPlanExecution
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from controller.references import ParameterError, read_secrets
from controller.start.parameters import ResolvedRun, SecretParam, plain_values, resolve_run, secret_refs, shown

Params = list[dict[str, Any]]


class Objects:
    """A reader of objects in memory, which counts what it is asked."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = objects
        self.asked: list[str] = []

    async def resource_for(self, api_version: str, kind: str) -> Resource:
        for resource in (CONFIG_MAPS, SECRETS, JOBS, NAMESPACES):
            if (resource.api_version, resource.kind) == (api_version, kind):
                return resource
        raise UnknownKind(f"no kind {kind}")

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        self.asked.append(f"get {resource.plural} {namespace}/{name}")
        if name == "away":
            raise ApiUnavailable("no answer", server="https://127.0.0.1:1", in_doubt=False)
        if name == "hidden":
            raise Forbidden(403, "Forbidden", "you may not")
        for obj in self.objects:
            metadata = obj["metadata"]
            if (obj["kind"], metadata["name"], metadata.get("namespace")) == (resource.kind, name, namespace):
                return obj
        raise NotFound(404, "NotFound", f'{resource.plural} "{name}" not found')

    async def pages(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str | None = None
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        self.asked.append(f"list {resource.plural} {namespace} {label_selector}")
        for obj in self.objects:
            if obj["kind"] == resource.kind and namespace in (None, obj["metadata"].get("namespace")):
                yield [obj]


def config_map(name: str, value: str, created: str = "2026-01-01T00:00:00Z", kind: str = "ConfigMap") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "creationTimestamp": created}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"v": value}}


def ref(**members: Any) -> dict[str, Any]:
    return {
        "manifestRef": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "jsonPath": "{.data.v}"} | members
    }


def static(name: str, value: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "value": value, **members}


def looked_up(parameter: str, /, **members: Any) -> dict[str, Any]:
    return {"name": parameter, "valueFrom": ref(**members)}


async def resolved(
    reader: Objects | None = None,
    *,
    workflow: Params | None = None,
    plan: Params | None = None,
    stage: Params | None = None,
    execution: Params | None = None,
    supplied: Sequence[str] = (),
    **spec: Any,
) -> ResolvedRun:
    """Resolve a plan of one stage that uses the workflow ns/w twice, the second time without stage parameters."""
    uses = [{"workflowRef": {"name": "w"}, "params": stage or []}, {"workflowRef": {"name": "w", "namespace": "ns"}}]
    plan_spec = {"stages": [{"name": "s", "workflows": uses}], "globalParams": plan or []}
    workflow_spec = {
        "actions": [{"name": "a", "type": "HTTP", "http": {"url": "http://127.0.0.1"}}],
        "parameters": workflow or [],
    }
    execution_spec = {"planRef": "p", "operationType": "Execute", "params": execution or [], **spec}
    return await resolve_run(
        DRPlan.from_wire({"metadata": {"name": "p", "namespace": "ns"}, "spec": plan_spec}),
        {("ns", "w"): DRWorkflow.from_wire({"metadata": {"name": "w", "namespace": "ns"}, "spec": workflow_spec})},
        DRPlanExecution.from_wire({"metadata": {"name": "e", "namespace": "ns"}, "spec": execution_spec}),
        reader or Objects(),
        supplied=supplied,
    )


async def problems(reader: Objects | None = None, **levels: Any) -> tuple[str, ...]:
    with pytest.raises(ParameterError) as caught:
        await resolved(reader, **levels)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


async def test_levels_from_the_lowest_to_the_highest() -> None:
    names = ["a", "b", "c", "d"]
    run = await resolved(
        workflow=[{"name": name, "default": "workflow"} for name in names],
        plan=[static(name, "plan") for name in names[1:]],
        stage=[static(name, "stage") for name in names[2:]],
        execution=[static("d", "execution")],
    )
    assert run.run == {"b": "plan", "c": "plan", "d": "execution"}
    assert run.workflows[0, 0] == {"a": "workflow", "b": "plan", "c": "stage", "d": "execution"}
    assert run.workflows[0, 1] == {"a": "workflow", "b": "plan", "c": "plan", "d": "execution"}


@pytest.mark.parametrize("level", ["workflow", "plan", "stage", "execution"])
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ({"value": "v", "default": "d"}, "v"),
        ({"value": "", "default": "d"}, ""),
        ({"valueFrom": ref(name="c"), "default": "d"}, "read"),
        ({"default": "d"}, "d"),
    ],
)
async def test_value_wins_over_lookup_wins_over_default_at_every_level(
    level: str, parameter: dict[str, Any], value: str
) -> None:
    reader = Objects(config_map("c", "read"))
    given: dict[str, Any] = {level: [{"name": "x", **parameter}]}
    run = await resolved(reader, **given)
    assert run.workflows[0, 0] == {"x": value}


async def test_level_without_value_leaves_it_to_the_one_below() -> None:
    run = await resolved(workflow=[{"name": "x", "default": "w"}], plan=[{"name": "x"}], execution=[{"name": "x"}])
    assert run.workflows[0, 0] == {"x": "w"}


async def test_values_are_not_rendered() -> None:
    run = await resolved(plan=[static("a", "$(params.b)"), static("b", "1")])
    assert run.run == {"a": "$(params.b)", "b": "1"}


@pytest.mark.parametrize(
    ("spec", "mode", "assumed"),
    [
        ({}, "install", True),
        ({"mode": "Upgrade"}, "upgrade", False),
        ({"operationType": "Revert", "revertExecutionRef": "t", "mode": "Install"}, "rollback", False),
    ],
)
async def test_mode_is_carried_beside_the_parameters(spec: dict[str, Any], mode: str, assumed: bool) -> None:
    sneaky = [static("mode", "delete")]
    run = await resolved(workflow=sneaky, plan=sneaky, stage=sneaky, execution=sneaky, **spec)
    assert (run.mode, run.mode_assumed) == (mode, assumed)
    assert run.run == {}
    assert run.workflows[0, 0] == {}


async def test_what_is_supplied_later_may_be_required() -> None:
    required = [{"name": "b", "required": True, "type": "number"}]
    run = await resolved(workflow=required, supplied=["b"], operationType="Revert", revertExecutionRef="t")
    assert "b" not in run.workflows[0, 0]
    assert "is required" in (await problems(workflow=required, operationType="Revert"))[0]
    assert await problems(operationType="Revert", execution=[looked_up("x", name="none")]) == (
        'resolving revert execution params: resolving param "x": get /v1, Resource=configmaps/ns/none: '
        'configmaps "none" not found',
    )


async def test_references_are_rendered_with_what_is_known() -> None:
    reader = Objects(config_map("from-b", "one"), config_map("one-install", "two"), config_map("two-s", "three"))
    run = await resolved(
        reader,
        plan=[static("site", "a"), looked_up("first", name="from-$(params.site)")],
        execution=[static("site", "b"), looked_up("second", name="$(params.first)-$(mode)")],
        stage=[looked_up("third", name="$(params.second)-s")],
    )
    assert run.run == {"site": "b", "first": "one", "second": "two"}
    assert run.workflows[0, 0]["third"] == "three"
    assert "third" not in run.workflows[0, 1]


async def test_what_a_higher_level_decides_is_not_read() -> None:
    reader = Objects()
    lookup = looked_up("x", name="gone")
    run = await resolved(reader, workflow=[lookup], plan=[lookup], stage=[lookup], execution=[static("x", "given")])
    assert run.workflows[0, 0] == {"x": "given"}
    assert reader.asked == []


async def test_same_lookup_is_made_once() -> None:
    reader = Objects(config_map("c", "v"))
    run = await resolved(reader, workflow=[looked_up("x", name="c"), looked_up("y", name="c")])
    assert run.workflows[0, 1] == {"x": "v", "y": "v"}
    assert reader.asked == ["get configmaps ns/c"]


@pytest.mark.parametrize(("select", "value"), [("Last", "new"), ("First", "old"), ("Any", "middle"), (None, "new")])
async def test_selection_among_several(select: str | None, value: str) -> None:
    reader = Objects(
        config_map("m", "middle", "2026-01-02T00:00:00Z"),
        config_map("n", "new", "2026-01-03T00:00:00Z"),
        config_map("o", "old", "2026-01-01T00:00:00Z"),
    )
    members = {"select": select} if select else {}
    run = await resolved(reader, plan=[looked_up("x", labelSelector="app=$(planName)", **members)])
    assert run.run == {"x": value}
    assert reader.asked == ["list configmaps ns app=p"]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"name": "none"}, 'get /v1, Resource=configmaps/ns/none: configmaps "none" not found'),
        (
            {"name": "hidden"},
            "get /v1, Resource=configmaps/ns/hidden: you may not; the chart gives the controller the right by "
            "rbac.readReferencesIn or rbac.readReferences",
        ),
        (
            {"labelSelector": "a=b", "namespace": "empty"},
            'no resource found for /v1, Resource=configmaps/empty/ (selector="a=b")',
        ),
        ({"select": "Single"}, "expected single match, got 2"),
        ({"name": "a", "jsonPath": "{.nope}"}, 'jsonPath execution failed for "{.nope}": nope is not found'),
        ({"name": "empty"}, 'jsonPath "{.data.v}" returned empty value'),
        ({"kind": "Nope", "name": "a"}, "mapping GVK /v1, Kind=Nope: no kind Nope"),
        (
            {"kind": "Job", "apiVersion": "batch/v1", "name": "a"},
            'get batch/v1, Resource=jobs/ns/a: jobs "a" not found',
        ),
        (
            {"name": "a", "namespace": ""},
            "get /v1, Resource=configmaps//a: namespace is required, because configmaps are namespaced",
        ),
        (
            {"name": "$(params.y)", "namespace": "$(params.z)"},
            'rendering namespace: failed to resolve "$(params.z)": key "z" not found; '
            'rendering name: failed to resolve "$(params.y)": key "y" not found',
        ),
    ],
)
async def test_texts_of_failed_lookups(members: dict[str, Any], text: str) -> None:
    reader = Objects(config_map("a", "1"), config_map("empty", " "))
    lookup = looked_up("x", **members)
    assert await problems(reader, plan=[lookup]) == (f'resolving plan global params: resolving param "x": {text}',)
    assert await problems(reader, execution=[lookup]) == (f'resolving execution params: resolving param "x": {text}',)
    assert await problems(reader, workflow=[lookup]) == (
        f'resolving params of workflow ns/w: resolving param "x": {text}',
    )
    assert await problems(reader, stage=[lookup]) == (
        f'resolving params of workflow ns/w in stage "s": resolving param "x": {text}',
    )


async def test_all_problems_are_told_together() -> None:
    found = await problems(
        workflow=[
            {"name": "need", "required": True},
            {"name": "count", "type": "number"},
            {"name": "flag", "type": "boolean"},
        ],
        plan=[looked_up("x", name="none"), static("count", "many")],
        execution=[static("flag", "yes")],
    )
    where = 'workflow ns/w in stage "s": parameter'
    assert found == (
        'resolving plan global params: resolving param "x": get /v1, Resource=configmaps/ns/none: '
        'configmaps "none" not found',
        f'{where} "need" is required, and no level gives it a value',
        f'{where} "count" must be a decimal number, because the type is number; found "many"',
        f'{where} "flag" must be "true" or "false", because the type is boolean; found "yes"',
    )


async def test_required_and_typed_values_pass() -> None:
    run = await resolved(
        workflow=[{"name": "need", "required": True}, {"name": "count", "type": "number"}],
        execution=[static("need", ""), static("count", "-1.5e3")],
    )
    assert run.workflows[0, 0] == {"need": "", "count": "-1.5e3"}


async def test_value_of_a_secret_is_referred_to_and_never_kept() -> None:
    reader = Objects(config_map("s", "aHVudGVyMg==", kind="Secret"))
    lookup = looked_up("token", kind="Secret", name="$(params.which)")
    run = await resolved(reader, plan=[lookup], execution=[static("which", "s")])
    expected = ManifestRef(api_version="v1", kind="Secret", namespace="ns", name="s", json_path="{.data.v}")
    assert run.run["token"] == SecretParam(expected)
    assert "aHVudGVyMg" not in repr(run)
    assert plain_values(run.run) == {"which": "s"}
    assert secret_refs(run.run) == {"token": expected}
    assert [(one.name, one.value) for one in shown(run.run)] == [("token", "***"), ("which", "s")]
    assert await read_secrets(secret_refs(run.run), reader) == {"token": "aHVudGVyMg=="}


async def test_secret_that_is_gone_when_it_is_read_again() -> None:
    lookup = ManifestRef(api_version="v1", kind="Secret", namespace="ns", name="s", json_path="{.data.v}")
    with pytest.raises(ParameterError, match='resolving param "a": get /v1, Resource=secrets/ns/s: '):
        await read_secrets({"a": lookup}, Objects())


async def test_wrong_type_of_a_secret_does_not_show_it() -> None:
    reader = Objects(config_map("s", "hunter2", kind="Secret"))
    found = await problems(
        reader, workflow=[{"name": "pin", "type": "number"}], plan=[looked_up("pin", kind="Secret", name="s")]
    )
    assert found == (
        'workflow ns/w in stage "s": parameter "pin" must be a decimal number, because the type is number',
    )


async def test_secret_cannot_be_part_of_a_reference() -> None:
    reader = Objects(config_map("s", "hunter2", kind="Secret"))
    (found,) = await problems(
        reader,
        plan=[looked_up("token", kind="Secret", name="s")],
        execution=[looked_up("x", name="$(params.token)")],
    )
    assert found.endswith("(its value is in a Secret and cannot be part of a reference)")


async def test_api_server_that_is_away_is_no_problem_of_the_parameters() -> None:
    with pytest.raises(ApiUnavailable):
        await resolved(plan=[looked_up("x", name="away")])
