"""Parameters: four levels, values from objects, all problems told before the first action (decisions P8 and P9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.support import config_map, create, header, stage_of
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


def _param(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


def _from(kind: str, name: str, key: str, namespace: str, **more: Any) -> dict[str, Any]:
    ref = {"apiVersion": "v1", "kind": kind, "name": name, "namespace": namespace, "jsonPath": f"{{.data.{key}}}"}
    return {"manifestRef": {**ref, **more}}


def _bodies(drplan: Installation) -> list[str]:
    return [call.body for call in drplan.site.calls(prefix=f"/{drplan.namespace}/")]


def _echo(drplan: Installation, body: str, **more: Any) -> dict[str, Any]:
    return http_action("echo", f"{drplan.site.url}/{drplan.namespace}/echo", http={"body": body}, **more)


def _use(name: str, *params: Mapping[str, Any]) -> dict[str, Any]:
    return {"workflowRef": {"name": name}, "params": list(params)}


def test_each_level_overrides_the_one_below(drplan: Installation) -> None:
    levels = ["none", "plan", "stage", "run"]
    body = " ".join(f"{name}=$(params.{name})" for name in levels)
    create(
        drplan,
        workflow(
            "w",
            [_echo(drplan, body)],
            parameters=[_param(name, default="workflow") for name in levels],
        ),
        plan(
            "p",
            [stage("s", _use("w", *(_param(name, value="stage") for name in levels[2:])))],
            globalParams=[_param(name, value="plan") for name in levels[1:]],
        ),
        execution("e", "p", params=[_param("run", value="run")]),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert _bodies(drplan) == ["none=workflow plan=plan stage=stage run=run"]
    assert status["resolvedParams"] == [
        {"name": "plan", "value": "plan"},
        {"name": "run", "value": "run"},
        {"name": "stage", "value": "plan"},
    ]
    [used] = stage_of(status, "s")["workflowExecutions"]
    assert used["resolvedParams"] == [{"name": "none", "value": "workflow"}, {"name": "stage", "value": "stage"}]


def test_default_counts_at_every_level_and_a_level_without_value_leaves_it_to_the_one_below(
    drplan: Installation,
) -> None:
    create(
        drplan,
        workflow(
            "w",
            [_echo(drplan, "$(params.a)|$(params.b)|$(params.c)|$(params.d)")],
            parameters=[_param("a", default="wa"), _param("b", value="wb", default="no"), _param("d", default="wd")],
        ),
        plan(
            "p",
            [stage("s", _use("w", _param("c", default="sc"), _param("d")))],
            globalParams=[_param("a", default="pa"), _param("b")],
        ),
        execution("e", "p", params=[_param("d", value="")]),
    )
    drplan.wait_phase("e", "Succeeded")
    assert _bodies(drplan) == ["pa|wb|sc|"], "an empty value is a value"


def test_values_from_config_maps_at_every_level(drplan: Installation) -> None:
    """References are templated with what is known before them."""
    ns = drplan.namespace
    create(
        drplan,
        config_map("settings-eu", {"zone": "eu-1", "low": "l", "mid": "m", "high": " h\n"}),
        workflow(
            "w",
            [_echo(drplan, "$(params.zone)/$(params.low)/$(params.mid)/$(params.high)")],
            parameters=[_param("low", valueFrom=_from("ConfigMap", "settings-eu", "low", ns))],
        ),
        plan(
            "p",
            [stage("s", _use("w", _param("mid", valueFrom=_from("ConfigMap", "settings-eu", "mid", ns))))],
            globalParams=[
                _param("region", value="eu"),
                _param("zone", valueFrom=_from("ConfigMap", "settings-$(params.region)", "zone", ns)),
            ],
        ),
        execution("e", "p", params=[_param("high", valueFrom=_from("ConfigMap", "settings-eu", "high", ns))]),
    )
    drplan.wait_phase("e", "Succeeded")
    assert _bodies(drplan) == ["eu-1/l/m/h"]


def test_everything_wrong_with_the_sources_is_told_at_once_and_nothing_runs(drplan: Installation) -> None:
    ns = drplan.namespace
    create(
        drplan,
        config_map("settings", {"there": "x"}),
        workflow("w", [_echo(drplan, "$(params.gone)$(params.key)")]),
        plan(
            "p",
            [stage("s", "w")],
            globalParams=[_param("gone", valueFrom=_from("ConfigMap", "no-such", "x", ns))],
        ),
        execution("e", "p", params=[_param("key", valueFrom=_from("ConfigMap", "settings", "missing", ns))]),
    )
    status = drplan.wait_phase("e", "Failed")
    assert (
        f'resolving plan global params: resolving param "gone": get /v1, Resource=configmaps/{ns}/no-such: '
        'configmaps "no-such" not found'
    ) in status["message"]
    assert 'resolving execution params: resolving param "key": ' in status["message"]
    assert not _bodies(drplan)
    assert "stageStatuses" not in status
    history = drplan.wait_unlocked("p")["executionHistory"]
    assert [(record["name"], record["phase"]) for record in history] == [("e", "Failed")]


def test_value_of_the_wrong_type_is_told_before_the_first_action(drplan: Installation) -> None:
    ns = drplan.namespace
    create(
        drplan,
        config_map("settings", {"count": "many", "on": "yes"}),
        workflow(
            "w",
            [_echo(drplan, "$(params.count)$(params.on)")],
            parameters=[_param("count", type="number", default="1"), _param("on", type="boolean", default="true")],
        ),
        plan("p", [stage("s", "w")]),
        execution(
            "e",
            "p",
            params=[_param(name, valueFrom=_from("ConfigMap", "settings", name, ns)) for name in ("count", "on")],
        ),
    )
    message = drplan.wait_phase("e", "Failed")["message"]
    assert 'parameter "count" must be a decimal number, because the type is number; found "many"' in message
    assert 'parameter "on" must be "true" or "false", because the type is boolean; found "yes"' in message
    assert not _bodies(drplan)


def test_execution_without_needed_values_is_refused_with_all_that_is_missing(drplan: Installation) -> None:
    drplan.apply(
        workflow(
            "w",
            [_echo(drplan, "$(params.a) $(params.b) $(params.needed)")],
            parameters=[_param("needed", required=True)],
        ),
        plan("p", [stage("s", "w")]),
    )
    answer = drplan.cluster.kubectl(
        "create", "-f", "-", stdin=execution("e", "p"), namespace=drplan.namespace, check=False
    )
    key = f"{drplan.namespace}/w"
    assert answer.rc == 1
    assert f"parameter 'needed' of workflow {key} is required and has no value" in answer.stderr
    for text in ("$(params.a)", "$(params.b)"):
        assert f"action 'echo' of workflow {key} uses {text}, which has no value" in answer.stderr
    assert not drplan.exists("drpe", "e")
    bad = execution("e", "p", params=[_param("mode", value="delete"), _param("1st", value="x")])
    answer = drplan.cluster.kubectl("create", "-f", "-", stdin=bad, namespace=drplan.namespace, check=False)
    assert 'params[0]: parameter name "mode" is reserved; use spec.mode field instead' in answer.stderr
    assert 'params[1]: parameter name "1st" must match [a-zA-Z][a-zA-Z0-9_-]*' in answer.stderr


def test_placeholders(drplan: Installation) -> None:
    """Names, mode, outputs of finished predecessors; escapes; other people's texts; values are not expanded again."""
    url = f"{drplan.site.url}/{drplan.namespace}"
    body = (
        "$(planName) $(executionName) $(mode) $(params.mode) $(outputs.made.name) $(outputs.made.kind) "
        "$(outputs.ask.statusCode) $(outputs.ask.body) {{ .params.x }} $$(params.x) $(date +%s) $(HOSTNAME) "
        "{{ .Values.x }} $(params.y)"
    )
    create(
        drplan,
        workflow(
            "w",
            [
                config_map_action("made", "made-by-$(executionName)", drplan.namespace),
                http_action("ask", f"{url}/ask"),
                http_action("echo", f"{url}/echo", http={"body": body, "headers": {"X-Plan": "$(planName)"}}),
            ],
        ),
        plan("p", [stage("s", "w")], globalParams=[_param("x", value="ex"), _param("y", value="$(params.x)")]),
        execution("run-1", "p", mode="Upgrade"),
    )
    drplan.wait_phase("run-1", "Succeeded")
    [call] = drplan.site.calls(f"/{drplan.namespace}/echo")
    assert call.body == (
        "p run-1 upgrade upgrade made-by-run-1 ConfigMap 200 ok ex $(params.x) $(date +%s) $(HOSTNAME) "
        "{{ .Values.x }} $(params.x)"
    )
    assert header(call, "X-Plan") == "p"
    assert drplan.get("cm", "made-by-run-1")["data"] == {"by": "made"}


def test_output_that_its_predecessor_does_not_have_fails_the_action_alone(drplan: Installation) -> None:
    """Which fields a skipped predecessor has is known only when the action runs."""
    url = f"{drplan.site.url}/{drplan.namespace}"
    create(
        drplan,
        workflow(
            "w",
            [
                http_action("ask", f"{url}/ask", when="mode == upgrade"),
                http_action("echo", f"{url}/$(outputs.ask.statusCode)"),
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p", mode="Install"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert status["message"].endswith(
        'action echo failed: failed to render URL: failed to resolve "$(outputs.ask.statusCode)": key "ask" not found'
    )
    assert not drplan.site.calls(prefix=f"/{drplan.namespace}/")


def test_revert_runs_with_the_parameters_of_its_target_and_its_own_on_top(drplan: Installation) -> None:
    rollback = {"http": {"url": f"{drplan.site.url}/{drplan.namespace}/undo", "method": "POST"}}
    rollback["http"]["body"] = "$(params.a) $(params.b) $(params.c) $(mode) $(executionName) $(outputs.echo.body)"
    create(
        drplan,
        config_map("settings", {"a": "first"}),
        workflow("w", [_echo(drplan, "$(params.a)", rollback=rollback)], parameters=[_param("c", default="c")]),
        plan(
            "p",
            [stage("s", "w")],
            globalParams=[_param("a", valueFrom=_from("ConfigMap", "settings", "a", drplan.namespace))],
        ),
        execution("e", "p", params=[_param("b", value="of-run")]),
    )
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    drplan.cluster.apply(config_map("settings", {"a": "changed"}), namespace=drplan.namespace)
    create(drplan, revert("r", "p", "e", params=[_param("c", value="of-revert")]))
    drplan.wait_phase("r", "Succeeded")
    assert _bodies(drplan) == ["first", "first of-run of-revert rollback r ok"]


def test_a_revert_reads_parameters_of_its_own(drplan: Installation) -> None:
    rollback = {
        "http": {"url": f"{drplan.site.url}/{drplan.namespace}/undo", "method": "POST", "body": "$(params.key)"}
    }
    create(
        drplan,
        config_map("undo-berlin", {"key": "opened"}),
        workflow("w", [_echo(drplan, "x", rollback=rollback)], parameters=[_param("key", default="none")]),
        plan("p", [stage("s", "w")], globalParams=[_param("site", value="paris")]),
        execution("e", "p", params=[_param("site", value="berlin")]),
    )
    drplan.wait_phase("e", "Succeeded")
    drplan.wait_unlocked("p")
    source = _from("ConfigMap", "undo-berlin", "key", drplan.namespace)
    create(drplan, revert("r", "p", "e", params=[_param("key", valueFrom=source)]))
    status = drplan.wait_phase("r", "Succeeded")
    assert _bodies(drplan)[-1] == "opened"
    assert {param["name"]: param["value"] for param in status["resolvedParams"]} == {"key": "opened", "site": "berlin"}


def test_object_is_chosen_among_several(drplan: Installation) -> None:
    ns = drplan.namespace
    for name, value in (("zz-first", "one"), ("aa-second", "two")):
        labelled = config_map(name, {"v": value})
        labelled["metadata"]["labels"] = {"app": "settings"}
        create(drplan, labelled)
        if name == "zz-first":
            made = drplan.get("cm", name)["metadata"]["creationTimestamp"]
            drplan.wait(lambda made=made: _now(drplan) > made)  # type: ignore[misc]
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": ns, "jsonPath": "{.data.v}"}
    params = [
        _param(
            select.lower(), valueFrom={"manifestRef": {**ref, "labelSelector": "app=$(params.app)", "select": select}}
        )
        for select in ("First", "Last")
    ]
    body = "$(params.first) $(params.last)"
    create(
        drplan,
        workflow("w", [_echo(drplan, body)]),
        plan("p", [stage("s", "w")], globalParams=[_param("app", value="settings"), *params]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    assert _bodies(drplan) == ["one two"]
    for select, app, text in (
        ("Single", "settings", "expected single match, got 2"),
        ("Last", "none", f'no resource found for /v1, Resource=configmaps/{ns}/ (selector="app=none")'),
    ):
        source = {"manifestRef": {**ref, "labelSelector": f"app={app}", "select": select}}
        given = [_param("first", valueFrom=source), _param("last", value="x")]
        drplan.wait_unlocked("p")
        create(drplan, execution(app, "p", params=given))
        assert (
            drplan.wait_phase(app, "Failed")["message"]
            == f'resolving execution params: resolving param "first": {text}'
        )


def _now(drplan: Installation) -> str:
    """The API server's time, as it writes it."""
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clock"}}
    path = f"/api/v1/namespaces/{drplan.namespace}/configmaps?dryRun=All"
    return str(drplan.cluster.api.request("POST", path, probe)["metadata"]["creationTimestamp"])
