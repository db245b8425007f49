"""Every rule of workflows: one object it refuses with the whole message and field path, and one it lets pass."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

import pytest

from app.models.workflow import DRWorkflow
from app.rules.findings import denial
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import (
    CHART_SPEC,
    CONFIG_MAP,
    FEED,
    SUBSCRIPTION_SPEC,
    http,
    job,
    resource,
    typed,
    workflow,
)

Json = dict[str, Any]


def loc(**members: Any) -> Json:
    return typed("Localization", "localization", {"name": "l", "namespace": "n", "spec": {"feed": FEED}, **members})


def glob(**members: Any) -> Json:
    return typed("Globalization", "globalization", {"name": "g", "spec": {"feed": FEED}, **members})


def chart(**members: Any) -> Json:
    return typed("HelmChart", "helmChart", {"name": "h", "namespace": "n", "spec": CHART_SPEC, **members})


def sub(action: Json | None = None, **members: Any) -> Json:
    block = {"name": "s", "spec": SUBSCRIPTION_SPEC, **members}
    return typed("Subscription", "subscription", block, **(action or {}))


def no_spec(action: Json) -> Json:
    (member,) = [key for key, value in action.items() if isinstance(value, dict)]
    return {**action, member: {key: value for key, value in action[member].items() if key != "spec"}}


A = "action[0] 'a': "

CASES: list[tuple[str, str, list[Json], str, str, list[Json]]] = [
    # id, rule, refused actions, message, path, accepted actions
    ("duplicate name", "W2", [http(), http()], "action[1]: duplicate action name 'a'", "spec.actions[1].name", [http(), http("b")]),
    ("no http", "W4", [typed("HTTP", "http", None)], A + "HTTP configuration is required", "spec.actions[0].http", [http()]),
    ("no url", "W5", [http(http={"url": ""})], A + "HTTP.URL is required", "spec.actions[0].http.url", [http()]),
    ("no job", "W6", [typed("Job", "job", None)], A + "Job configuration is required", "spec.actions[0].job", [job()]),
    ("no localization", "W7", [typed("Localization", "localization", None)], A + "Localization configuration is required", "spec.actions[0].localization", [loc()]),
    ("localization name", "W8", [loc(name="")], A + "Localization.Name is required", "spec.actions[0].localization.name", [loc()]),
    ("localization namespace", "W8", [loc(namespace="")], A + "Localization.Namespace is required", "spec.actions[0].localization.namespace", [loc()]),
    ("localization spec", "W9", [no_spec(loc())], A + "Localization.Spec is required when operation=Create", "spec.actions[0].localization.spec", [no_spec(loc(operation="Delete"))]),
    ("localization feed", "W10", [loc(operation="Apply", spec={})], A + "Localization.Spec.Feed (apiVersion, kind, name) is required when operation=Apply", "spec.actions[0].localization.spec.feed", [loc(operation="Apply")]),
    ("no globalization", "W11", [typed("Globalization", "globalization", None)], A + "Globalization configuration is required", "spec.actions[0].globalization", [glob()]),
    ("globalization name", "W11", [glob(name="")], A + "Globalization.Name is required", "spec.actions[0].globalization.name", [glob()]),
    ("globalization spec", "W11", [no_spec(glob(operation="Apply"))], A + "Globalization.Spec is required when operation=Apply", "spec.actions[0].globalization.spec", [no_spec(glob(operation="Delete"))]),
    ("globalization feed", "W11", [glob(spec={"feed": {**FEED, "kind": ""}})], A + "Globalization.Spec.Feed (apiVersion, kind, name) is required when operation=Create", "spec.actions[0].globalization.spec.feed", [glob()]),
    ("no chart", "W12", [typed("HelmChart", "helmChart", None)], A + "HelmChart configuration is required", "spec.actions[0].helmChart", [chart()]),
    ("chart name", "W12", [chart(name="")], A + "HelmChart.Name is required", "spec.actions[0].helmChart.name", [chart()]),
    ("chart namespace", "W12", [chart(namespace="")], A + "HelmChart.Namespace is required", "spec.actions[0].helmChart.namespace", [chart()]),
    ("chart spec", "W13", [no_spec(chart())], A + "HelmChart.Spec is required when operation=Create", "spec.actions[0].helmChart.spec", [no_spec(chart(operation="Delete"))]),
    ("chart repo", "W14", [chart(spec={**CHART_SPEC, "repo": ""})], A + "HelmChart.Spec.Repo is required when operation=Create", "spec.actions[0].helmChart.spec.repo", [chart()]),
    ("chart chart", "W14", [chart(spec={**CHART_SPEC, "chart": ""})], A + "HelmChart.Spec.Chart is required when operation=Create", "spec.actions[0].helmChart.spec.chart", [chart()]),
    ("chart target", "W14", [chart(operation="Apply", spec={**CHART_SPEC, "targetNamespace": ""})], A + "HelmChart.Spec.TargetNamespace is required when operation=Apply", "spec.actions[0].helmChart.spec.targetNamespace", [chart(operation="Apply")]),
    ("no subscription", "W15", [typed("Subscription", "subscription", None)], A + "Subscription configuration is required", "spec.actions[0].subscription", [sub()]),
    ("subscription name", "W15", [sub(name="")], A + "Subscription.Name is required", "spec.actions[0].subscription.name", [sub()]),
    ("subscription spec", "W16", [no_spec(sub())], A + "Subscription.Spec is required when operation=Create", "spec.actions[0].subscription.spec", [no_spec(sub(operation="Delete"))]),
    ("subscription feeds", "W17", [sub(spec={**SUBSCRIPTION_SPEC, "feeds": []})], A + "Subscription.Spec.Feeds is required (at least one feed)", "spec.actions[0].subscription.spec.feeds", [sub()]),
    ("subscription subscribers", "W17", [sub(spec={**SUBSCRIPTION_SPEC, "subscribers": []})], A + "Subscription.Spec.Subscribers is required (at least one subscriber)", "spec.actions[0].subscription.spec.subscribers", [sub()]),
    ("subscription apply without spec", "W34", [no_spec(sub(operation="Apply"))], A + "Subscription.Spec is required when operation=Apply", "spec.actions[0].subscription.spec", [sub(operation="Apply")]),
    ("no resource", "W18", [typed("KubernetesResource", "resource", None)], A + "KubernetesResource configuration is required", "spec.actions[0].resource", [resource(CONFIG_MAP)]),
    ("no manifest", "W18", [resource("", name="a")], A + "KubernetesResource.Manifest is required", "spec.actions[0].resource.manifest", [resource(CONFIG_MAP)]),
    ("patch without rollback", "W20", [resource(CONFIG_MAP, "Patch", name="a")], A + "rollback is required for KubernetesResource Patch operation", "spec.actions[0].rollback", [resource(CONFIG_MAP, "Patch", rollback={"resource": {"manifest": CONFIG_MAP}})]),
    ("unknown dependency", "W23", [http(dependsOn=["drains"]), http("drain")], 'unknown action "drains" in dependsOn of action "a"; did you mean \'drain\'?', "spec.actions[0].dependsOn[0]", [http(dependsOn=["drain"]), http("drain")]),
    ("self dependency", "W23", [http(dependsOn=["a"])], 'action "a" depends on itself', "spec.actions[0].dependsOn[0]", [http()]),
    ("when", "W24", [http(when="mode = 'install'")], A + 'invalid when expression "mode = \'install\'": column 6: "= " cannot be read', "spec.actions[0].when", [http(when="mode == 'install' || mode == upgrade")]),
    ("when name", "W24", [http(when="param.x == 'y'")], A + 'invalid when expression "param.x == \'y\'": column 6: "param.x" is not known, did you mean params?', "spec.actions[0].when", [http(when="params.x == 'y'")]),
    ("when operation in CEL", "W24", [http(when="operation != install")], A + 'invalid when expression "operation != install": column 1: "operation" is not known, write mode; column 14: "install" is not known, write "install" in quotes', "spec.actions[0].when", [http(when="mode != 'install'")]),
    ("when type", "W24", [http(when="mode")], A + 'invalid when expression "mode": it gives string, and must give bool', "spec.actions[0].when", [http(when="mode in ['install']")]),
    ("when mode in CEL", "W24", [http(when="mode != 'Install'")], A + 'invalid when expression "mode != \'Install\'": the mode is never "Install", it is one of install, upgrade, delete, rollback, did you mean "install"?', "spec.actions[0].when", [http(when="mode != 'install'")]),
    ("when length", "W24", [http(when="planName == '" + "x" * 1024 + "'")], A + 'invalid when expression "planName == \'' + "x" * 284 + '…": it has 1038 characters, more than 1024', "spec.actions[0].when", [http(when="planName == '" + "x" * 1000 + "'")]),
    ("when outputs", "W38", [http("drain"), http("b", when="outputs.drains.body == ''")], "action[1] 'b': " + "outputs.drains in when can never be there: the workflow has no action 'drains'; did you mean 'drain'?", "spec.actions[1].when", [http("drain"), http("b", when="outputs.drain.body == ''")]),
    ("when later outputs", "W38", [http(), http("b", when="has(outputs.b)")], "action[1] 'b': " + "outputs.b in when can never be there: action 'b' need not have finished by then; it must come before this one, or be in its dependsOn", "spec.actions[1].when", [http(), http("b", when="has(outputs.a)")]),
    ("when field", "W38", [http(), http("b", when="outputs.a.bdy == ''")], "action[1] 'b': " + "outputs.a.bdy in when can never be there: actions of type HTTP have only statusCode, body; did you mean 'body'?", "spec.actions[1].when", [http(), http("b", when="outputs.a.statusCode == ''")]),
    ("when value", "W24", [http(when="mode == install || mode == nope")], A + 'invalid when expression "mode == install || mode == nope": unsupported mode value "nope" in when', "spec.actions[0].when", [http(when="operation == 'Delete'")]),
    ("timeout", "W25", [http(timeout="5x")], A + 'invalid timeout 5x: time: unknown unit "x" in duration "5x" (write a duration such as 90s, 5m or 1h30m)', "spec.actions[0].timeout", [http(timeout="1h30m")]),
    ("timeout zero", "W25", [http(timeout="0s")], A + "invalid timeout 0s: timeout must be positive", "spec.actions[0].timeout", [http(timeout="")]),
    ("retry interval", "W26", [http(retryPolicy={"interval": "5"})], A + 'invalid retry policy: invalid retry interval 5: time: missing unit in duration "5" (write a duration such as 90s, 5m or 1h30m)', "spec.actions[0].retryPolicy.interval", [http(retryPolicy={"limit": 0, "interval": "5s"})]),
    ("retry multiplier", "W26", [http(retryPolicy={"backoffMultiplier": "0.5"})], A + "invalid retry policy: backoff multiplier must be >= 1.0, got 0.500000", "spec.actions[0].retryPolicy.backoffMultiplier", [http(retryPolicy={"backoffMultiplier": "1.5"})]),
    ("manifest yaml", "W27", [resource("a: [", name="a")], A + "KubernetesResource.Manifest is not valid YAML: line 2, column 1: did not find expected node content", "spec.actions[0].resource.manifest", [resource(CONFIG_MAP)]),
    ("manifest members", "W27", [resource("kind: ConfigMap\nmetadata: {}", name="a")], A + "KubernetesResource.Manifest: apiVersion, metadata.name are required", "spec.actions[0].resource.manifest", [resource(CONFIG_MAP.replace("name: c", "name: $(params.n)"))]),
    ("manifest second document", "W27", [resource(CONFIG_MAP + "---\n- 1\n", name="a")], A + "KubernetesResource.Manifest document 1: an object with apiVersion, kind and metadata.name is required, found a list", "spec.actions[0].resource.manifest", [resource("---\n" + CONFIG_MAP + "---\n" + CONFIG_MAP)]),
    ("manifest generateName", "W27", [resource("apiVersion: v1\nkind: X\nmetadata: {generateName: x-}", name="a")], A + "KubernetesResource.Manifest: metadata.name is required (generateName cannot be used: a run must find its object again after a restart)", "spec.actions[0].resource.manifest", [resource(CONFIG_MAP)]),
    ("rollback type", "W28", [http(rollback={"http": {"url": "http://x"}, "timeout": 5})], A + 'rollback: timeout must be text, found 5: write "5"', "spec.actions[0].rollback.timeout", [http(rollback={"http": {"url": "http://x"}})]),
    ("rollback block", "W6", [http(rollback={"type": "Job"})], A + "rollback: Job configuration is required", "spec.actions[0].rollback.job", [http(rollback=job())]),
    ("rollback manifest", "W27", [http(rollback=resource("kind: X\nmetadata: {name: y}"))], A + "rollback: KubernetesResource.Manifest: apiVersion is required", "spec.actions[0].rollback.resource.manifest", [http(rollback=resource(CONFIG_MAP, "Delete"))]),
    ("nested parameter", "W29", [http(http={"url": "http://$(params.a.b)/"})], A + "$(params.a.b) cannot be resolved: parameters are texts, write $(params.a)", "spec.actions[0].http.url", [http(http={"url": "http://$(params.a)/$(planName)/$(HOSTNAME)"})]),
    ("output of nothing", "W29", [http(http={"url": "$(outputs.b.body)"})], A + "$(outputs.b.body) cannot be resolved: the workflow has no action 'b'", "spec.actions[0].http.url", [http("b"), http("c", http={"url": "$(outputs.b.body)"})]),
    ("output of a later action", "W29", [http(http={"url": "$(outputs.b.body)"}), http("b")], A + "$(outputs.b.body) cannot be resolved: action 'b' need not have finished by then; it must come before this one, or be in its dependsOn", "spec.actions[0].http.url", [http(dependsOn=["b"], http={"url": "$(outputs.b.body)"}), http("b")]),
    ("output without name", "W29", [http("b"), http(http={"url": "$(outputs.b)"})], "action[1] 'a': $(outputs.b) cannot be resolved: the name of an output must follow the action's", "spec.actions[1].http.url", [http()]),
    ("success code", "W35", [http(http={"url": "http://x", "successCodes": [200, 42]})], A + "HTTP.SuccessCodes[1] must be an HTTP status code (100 to 599), found 42", "spec.actions[0].http.successCodes[1]", [http(http={"url": "http://x", "successCodes": [200, 404]})]),
    ("ttl", "W35", [job("a", job={**job()["job"], "ttlSecondsAfterFinished": -1})], A + "Job.TTLSecondsAfterFinished must not be negative, found -1", "spec.actions[0].job.ttlSecondsAfterFinished", [job(job={**job()["job"], "ttlSecondsAfterFinished": 0})]),
    ("wait for subscription", "U1", [sub({"waitReady": True})], A + "waitReady of Subscription actions is not supported yet: remove it, the action then succeeds once the Subscription is stored", "spec.actions[0].waitReady", [resource(CONFIG_MAP, waitReady=True)]),
    ("per cluster", "U2", [sub({"clusterExecutionMode": "PerCluster"})], A + "clusterExecutionMode PerCluster is not supported yet: use Global, or leave it out", "spec.actions[0].clusterExecutionMode", [sub({"clusterExecutionMode": "Global"})]),
    ("rollback hook", "U3", [http(hookType="pre-rollback")], A + "hookType pre-rollback is not supported yet: put what it does into the rollback of an action", "spec.actions[0].hookType", [http(hookType="pre-install")]),
    ("hook cleanup", "U4", [sub({"hookCleanup": {"onSuccess": True}})], A + "hookCleanup (onSuccess) is not supported yet: delete the Subscription by an action of its own", "spec.actions[0].hookCleanup", [sub({"hookCleanup": {"onSuccess": False}})]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "bad", "message", "path", "good"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_action_rule(rule: str, bad: list[Json], message: str, path: str, good: list[Json]) -> None:
    report = check_workflow(workflow(*bad))
    assert [(found.rule, found.message, found.path) for found in report.errors] == [(rule, message, path)]
    assert denial(report) == f"validation failed: [{message}]"
    assert check_workflow(workflow(*good)).errors == ()


PARAMETERS: list[tuple[str, str, Json, str, str]] = [
    ("empty", "W21", {"name": ""}, "parameter[0]: name is required", "spec.parameters[0].name"),
    ("pattern", "W30", {"name": "1x"}, 'parameter[0]: parameter name "1x" must match [a-zA-Z][a-zA-Z0-9_-]*', "spec.parameters[0].name"),
    ("mode", "W31", {"name": "mode"}, 'parameter[0]: parameter name "mode" is reserved; use spec.mode of the execution instead', "spec.parameters[0].name"),
    ("number", "W32", {"name": "x", "type": "number", "default": "many"}, 'parameter[0](x).default: must be a decimal number, because the type is number; found "many"', "spec.parameters[0].default"),
    ("boolean", "W32", {"name": "x", "type": "boolean", "value": "yes"}, 'parameter[0](x).value: must be "true" or "false", because the type is boolean; found "yes"', "spec.parameters[0].value"),
    ("manifestRef kind", "W33", {"name": "x", "valueFrom": {"manifestRef": {"apiVersion": "v1", "kind": "", "jsonPath": "{.a}"}}}, "parameter[0](x).valueFrom.manifestRef: kind is required", "spec.parameters[0].valueFrom.manifestRef.kind"),
    ("manifestRef both", "W33", {"name": "x", "valueFrom": {"manifestRef": {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}", "name": "n", "labelSelector": "l"}}}, "parameter[0](x).valueFrom.manifestRef: name and labelSelector are mutually exclusive", "spec.parameters[0].valueFrom.manifestRef.labelSelector"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "bad", "message", "path"), [case[1:] for case in PARAMETERS], ids=[case[0] for case in PARAMETERS]
)
def test_parameter_rule(rule: str, bad: Json, message: str, path: str) -> None:
    report = check_workflow(workflow(parameters=[bad]))
    assert [(found.rule, found.message, found.path) for found in report.errors] == [(rule, message, path)]


def test_good_parameters_pass() -> None:
    good = [
        {"name": "a_b-c"},
        {"name": "n", "type": "number", "default": "-1.5e3", "required": True},
        {"name": "b", "type": "boolean", "value": "true"},
        {"name": "e", "type": "number", "default": ""},
        {"name": "m", "valueFrom": {"manifestRef": {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}"}}},
    ]
    assert check_workflow(workflow(parameters=good)).errors == ()


def test_two_parameters_without_name_are_missing_and_repeated() -> None:
    report = check_workflow(workflow(parameters=[{"name": ""}, {"name": ""}]))
    assert [found.rule for found in report.errors] == ["W21", "W21", "W22"]
    assert report.errors[2].message == "parameter[1]: duplicate parameter name ''"


def test_jsonpath_that_cannot_be_parsed_is_refused() -> None:
    reference = {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a"}
    (found,) = check_workflow(workflow(parameters=[{"name": "x", "valueFrom": {"manifestRef": reference}}])).errors
    assert found.rule == "W33"
    assert 'invalid jsonPath expression "{.a"' in found.message


def test_cycle_of_actions_names_its_path() -> None:
    actions = [http("a", dependsOn=["b"]), http("b", dependsOn=["a"])]
    (found,) = check_workflow(workflow(*actions)).errors
    assert found.rule == "W23"
    assert found.message == "cycle detected in action dependsOn graph (2 actions in cycle): [a b a]"


def test_argo_is_refused_but_stored_workflows_run() -> None:
    report = check_workflow(workflow(http(), executor={"type": "Argo"}))
    assert [found.rule for found in report.errors] == ["U5"]
    assert report.stoppers == ()
    assert check_workflow(workflow(http(), executor={"type": "Native"})).ok


@pytest.mark.parametrize(
    ("action", "warns"),
    [
        (http(), False),
        (job("a"), True),
        (loc(), True),
        (loc(operation="Apply"), False),
        (sub(), True),
        (sub(operation="Apply"), False),
        (no_spec(glob(operation="Delete")), False),
        (chart(), True),
        (resource(CONFIG_MAP, "Apply", name="a"), True),
        (resource(CONFIG_MAP, "Delete", name="a"), False),
        (resource(CONFIG_MAP, name="a", rollback={"http": {"url": "http://x"}}), False),
    ],
)
def test_automatic_rollback_notice(action: Json, warns: bool) -> None:
    report = check_workflow(workflow(action))
    text = "action[0] 'a': no custom rollback defined, will use automatic rollback (delete resource)"
    assert report.ok
    assert report.warnings == ((text,) if warns else ())


def test_what_has_no_effect_on_a_type_only_warns() -> None:
    action = http(clusterExecutionMode="PerCluster", hookCleanup={"beforeCreate": True})
    report = check_workflow(workflow(action))
    assert report.ok
    assert report.warnings == (
        "action[0] 'a': clusterExecutionMode PerCluster has no effect on HTTP actions",
        "action[0] 'a': hookCleanup has no effect on HTTP actions",
    )


def test_a_job_that_the_api_server_would_refuse_warns() -> None:
    report = check_workflow(workflow(typed("Job", "job", {"template": {"spec": {"template": {"spec": {}}}}})))
    assert "action[0] 'a': Job restartPolicy must be Never or OnFailure, found none: " in report.warnings[0]


def test_lookalikes_of_placeholders_warn() -> None:
    report = check_workflow(workflow(http(http={"url": "http://$(param.host)/$$(params.x)/$(MODE)"})))
    assert report.warnings == (
        "action[0] 'a': $(param.host) in http.url is no placeholder and stays as it is; did you mean '$(params.host)'?",
    )


def test_all_problems_come_back_at_once_in_order() -> None:
    report = check_workflow(
        workflow(http(timeout="x"), http(http={"url": ""}), parameters=[{"name": "mode"}, {"name": ""}])
    )
    assert [found.rule for found in report.errors] == ["W25", "W2", "W5", "W31", "W21"]
    assert denial(report).startswith("validation failed: [action[0] 'a': invalid timeout x")
    assert "; action[1]: duplicate action name 'a'; action[1] 'a': HTTP.URL is required; " in denial(report)


def test_empty_type_of_a_stored_rollback_counts_as_absent() -> None:
    """The Go operator's webhook adds `name: ""` and `type: ""` to rollbacks that name none."""
    rollback = {"name": "", "type": "", "http": {"url": "http://site.example/undo"}}
    action = {"name": "a", "type": "HTTP", "http": {"url": "http://site.example/do"}, "rollback": rollback}
    stored = {"metadata": {"name": "w", "namespace": "ns"}, "spec": {"actions": [action]}}
    assert not check_workflow(DRWorkflow.from_wire(stored)).errors


@pytest.mark.parametrize(
    ("using", "rule"),
    [({"http": {"url": "http://x.invalid/$(outputs.a.body)"}}, "W29"), ({"when": "outputs.a.body == 'x'"}, "W38")],
)
def test_a_name_with_blanks_around_it_is_not_that_of_its_outputs(using: Json, rule: str) -> None:
    report = check_workflow(workflow(http(" a"), http("b", dependsOn=["a"], **using)))
    assert [finding.rule for finding in report.errors] == [rule]
