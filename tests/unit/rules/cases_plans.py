"""The rule table, plans: P1 to P21, DP1, DP2 and the notices about plans."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

from tests.unit.rules.builders import execution_json, http, job, plan_json, stage, workflow_json
from tests.unit.rules.rule_table import Case, Review, create, delete, update

Json = dict[str, Any]
W = workflow_json()


def pl(*stages: Json, known: tuple[Json, ...] = (W,), forbidden: Any = (), **spec: Any) -> Review:
    return create(plan_json(*stages, **spec), stored_workflows=list(known), forbidden=set(forbidden))


def given(*parameters: Json) -> Review:
    return pl(globalParams=list(parameters))


def use(name: str = "w", *parameters: Json, **reference: str) -> Json:
    return {"workflowRef": {"name": name, **reference}, "params": list(parameters)}


def with_url(url: str, **spec: Any) -> Json:
    return workflow_json(http(http={"url": url}), **spec)


SOURCE: Json = {"manifestRef": {"apiVersion": "v1", "kind": "A", "jsonPath": "{.a}"}}


def read(parameter: str, /, **members: str) -> Json:
    return {"name": parameter, "valueFrom": {"manifestRef": {**SOURCE["manifestRef"], **members}}}


PERFECT = pl()
JOB_IN_N = workflow_json(job("a", job={**job()["job"], "namespace": "$(params.n)"}))
READS_M = workflow_json(parameters=[read("n", name="$(params.m)")])
FAR = use(namespace="other")
FAR_W = workflow_json(namespace="other")
COUNT = workflow_json(parameters=[{"name": "count", "type": "number"}])
SITE = workflow_json(parameters=[{"name": "site", "required": True}])
SITE_B = workflow_json(parameters=[{"name": "site", "default": "b"}])
UNDO = workflow_json(http("b", rollback={"http": {"url": "$(params.undo)"}}))
INVALID = {**W, "metadata": {**W["metadata"], "generation": 1}, "status": {"phase": "Invalid", "observedGeneration": 1}}
LARGE = workflow_json(*[http(f"action-{number:03}") for number in range(300)])
LOCKED = {**plan_json(), "status": {"currentExecution": {"name": "run-1", "namespace": "default", "uid": "uid-run-1"}}}
RUNNING = execution_json("run-1", status={"phase": "Running"})
ENDED = execution_json("run-1", status={"phase": "Failed"})
VALUE: Json = {"name": "x", "value": "1"}

ASKS: Json = {"name": "web", "http": {"url": "https://web.invalid/health"}}
LOOKS: Json = {"name": "db", "resources": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}]}
HOST: Json = {"name": "host", "value": "web.invalid"}


def checked(*checks: Json, onStage: bool = False, params: tuple[Json, ...] = (), **block: Any) -> Review:  # noqa: N803
    health = {"checks": list(checks), **block}
    return (
        pl(stage(healthCheck=health), globalParams=list(params))
        if onStage
        else pl(healthCheck=health, globalParams=list(params))
    )


def asks(**http: Any) -> Review:
    return checked({"name": "web", "http": {**ASKS["http"], **http}}, params=(HOST,))


def looks(**resource: Any) -> Review:
    return checked({"name": "db", "resources": [{**LOOKS["resources"][0], **resource}]})


def gates(stages: int) -> Review:
    """A plan with so many stages, of sixteen checks each."""
    health = {"checks": [ASKS | {"name": f"c{number}"} for number in range(16)]}
    return pl(*[stage(f"s{number}", healthCheck=health) for number in range(stages)])


def asking(name: str, expression: str, length: int) -> Json:
    return {"name": name, "http": {**ASKS["http"], "healthyWhen": f"{expression:<{length}}"}}


CHECKED = checked(ASKS, LOOKS, sustainedFor="30s", onExecute=True)
BROKEN_PEM = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"

CASES = [
    Case("P1", 'at least one stage is required', create(plan_json() | {"spec": {"stages": []}}), PERFECT),
    Case("P2", "stage[1]: duplicate stage name 's'", pl(stage(), stage()), pl(stage(), stage("t"))),
    Case("P3", 'stage[0]: name is required', pl(stage("")), PERFECT),
    Case("P4", "stage[0] 's': at least one workflow is required", create(plan_json({"name": "s", "workflows": []})), PERFECT),
    Case("P5", "stage[0] 's' workflow[0]: workflowRef.name is required", pl(stage("s", "")), PERFECT),
    Case("P6", "stage[0] 's' workflow[1]: workflow default/gone not found", pl(stage("s", "w", "gone")), pl(stage("s", "w", "w"))),
    Case("P7", "stage[1] 't': depends on non-existent stage 'u'", pl(stage(), stage("t", dependsOn=["u"])), pl(stage(), stage("t", dependsOn=["s"]))),
    Case("P7", "stage[1] 'switch': depends on non-existent stage 'drian'; did you mean 'drain'?", pl(stage("drain"), stage("switch", dependsOn=["drian"])), pl(stage("drain"), stage("switch", dependsOn=["drain"]))),
    Case("P8", "stage[1] 'c': cannot depend on itself", pl(stage("a"), stage("c", dependsOn=["c"])), pl(stage("a"), stage("c", dependsOn=["a"]))),
    Case("P9", 'cycle detected in stage dependencies: [x a b a]', pl(stage("x", dependsOn=["a"]), stage("a", dependsOn=["b"]), stage("b", dependsOn=["a"])), pl(stage("x", dependsOn=["a"]), stage("a", dependsOn=["b"]), stage("b"))),
    Case("P10", 'globalParams[0]: name is required', given({"name": "", "value": "1"}), given(VALUE)),
    Case("P11", "globalParams[1]: duplicate parameter name 'x'", given(VALUE, VALUE), given(VALUE, {"name": "y"})),
    Case("P12", "stage[0] 's' workflow[0]: params[0]: name is required", pl(stage("s", use("w", {"name": ""}))), pl(stage("s", use("w", VALUE)))),
    Case("P13", "stage[0] 's' workflow[0]: params[1]: duplicate parameter name 'x'", pl(stage("s", use("w", VALUE, VALUE))), pl(stage("s", use("w", VALUE), use("w", VALUE)))),
    Case("P14", 'globalParams[0]: parameter name "a.b" must match [a-zA-Z][a-zA-Z0-9_-]*', given({"name": "a.b"}), given({"name": "a_b"})),
    Case("P15", 'globalParams[0]: parameter name "mode" is reserved; use spec.mode of the execution instead', given({"name": "mode"}), given({"name": "modes"})),
    Case("P16", 'globalParams[0](n).value: must be a decimal number, because the type is number; found "x"', given({"name": "n", "type": "number", "value": "x"}), given({"name": "n", "type": "number", "value": "7"})),
    Case("P17", 'globalParams[0](n).valueFrom.manifestRef: apiVersion is required', given({"name": "n", "valueFrom": {"manifestRef": {**SOURCE["manifestRef"], "apiVersion": ""}}}), given({"name": "n", "valueFrom": SOURCE})),
    Case("P18", "stage[0] 's' workflow[0]: user \"jane\" may not use workflow other/w (no rule allows it); a plan may only reference workflows of other namespaces that its author may use: give a Role in namespace other the rule {apiGroups: [\"dr.bkbcs.tencent.com\"], resources: [drworkflows], resourceNames: [w], verbs: [use]} and bind it to user \"jane\"", pl(stage("s", FAR), known=(FAR_W,), forbidden=[("other", "w")]), pl(stage("s", FAR), known=(FAR_W,))),
    Case("P19", "the status of a run of plan p is estimated at 1707 KiB even with all texts shortened, more than the 1024 KiB that fit: split the plan into several", pl(*[stage(f"s{number:02}") for number in range(12)], known=(LARGE,)), pl(known=(LARGE,))),
    Case("P20", 'stage[0] \'s\' workflow[0]: the value of parameter \'count\' of workflow default/w must be a decimal number, because the type is number; found "many"', pl(stage("s", use("w", {"name": "count", "value": "many"})), known=(COUNT,)), pl(stage("s", use("w", {"name": "count", "value": "3"})), known=(COUNT,))),
    Case("P21", "globalParams[0](n).valueFrom.manifestRef: $(params.n) in name cannot be resolved: it stands for the very value that is to be read", given(read("n", name="$(params.n)")), given(read("n", name="$(params.x)"), VALUE)),
    Case("P21", "stage[0] 's' workflow[0]: params[0](n).valueFrom.manifestRef: $(params.v) in apiVersion is not replaced: only namespace, name and labelSelector take placeholders", pl(stage("s", use("w", read("n", apiVersion="apps/$(params.v)")))), pl(stage("s", use("w", read("n", apiVersion="apps/v1"))))),
    Case("P45", 'stage[0] \'s\' workflow[0]: action \'a\' of workflow default/w: Job: namespace must consist of lower case letters, digits and \'-\', and have at most 63 characters, found "a/b", by the values of its parameters', pl(known=(JOB_IN_N,), globalParams=[{"name": "n", "value": "a/b"}]), pl(known=(JOB_IN_N,), globalParams=[{"name": "n", "value": "a"}])),
    Case("P45", 'globalParams[0](x).valueFrom.manifestRef: name must not be \'.\' or \'..\', or have \'/\' or \'%\' in it, found "../y", by the values of its parameters', pl(globalParams=[read("x", name="$(params.y)"), {"name": "y", "value": "../y"}]), pl(globalParams=[read("x", name="$(params.y)"), {"name": "y", "value": "y"}])),
    Case("P46", "stage[0] 's' workflow[0]: action 'a' of workflow default/w: Job: Job is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace, by the values of its parameters", pl(stage("s", use("w", {"name": "n", "value": "drplan-system"})), known=(JOB_IN_N,)), pl(stage("s", use("w", {"name": "n", "value": "drplan"})), known=(JOB_IN_N,))),
    Case("P60", "healthCheck.checks[0] 'db': a check has either http or resources, none is given", checked({"name": "db"}), CHECKED),
    Case("P60", "stage[0] 's': healthCheck.checks[1] 'web': a check has either http or resources, both are given", checked(LOOKS, ASKS | LOOKS | {"name": "web"}, onStage=True), checked(LOOKS, ASKS, onStage=True)),
    Case("P60", "healthCheck.checks[1] 'web': duplicate name of a check", checked(ASKS, ASKS), checked(ASKS, LOOKS)),
    Case("P60", "healthCheck: at most 16 checks, found 17", checked(*[ASKS | {"name": f"c{n}"} for n in range(17)]), checked(*[ASKS | {"name": f"c{n}"} for n in range(16)])),
    Case("P60", "healthCheck.checks[0] 'db': at most 50 resources, found 51", checked(LOOKS | {"resources": LOOKS["resources"] * 51}), checked(LOOKS | {"resources": LOOKS["resources"] * 50})),
    Case("P60", "healthCheck: at most 200 checks of a plan and its stages, found 208", gates(13), gates(12)),
    Case("P62", "healthCheck: the expressions of all checks have 16416 characters, more than 16384", checked(*[asking(f"c{n}", f"status == {n + 100}", 1026) for n in range(16)]), checked(*[asking(f"c{n}", f"status == {n + 100}", 1000) for n in range(16)])),
    Case("P61", "healthCheck.checks[0] 'web': interval must be from 1s to 10m, found 10ms", checked(ASKS | {"interval": "10ms"}), checked(ASKS | {"interval": "1s"})),
    Case("P61", "healthCheck.checks[0] 'web': interval must be from 1s to 10m, found 0s", checked(ASKS | {"interval": "0s"}), checked(ASKS | {"interval": "10m"})),
    Case("P61", "healthCheck.checks[0] 'web': timeout must be from 1ms to 5m, found 6m", checked(ASKS | {"timeout": "6m"}), checked(ASKS | {"timeout": "5m"})),
    Case("P61", "healthCheck.checks[0] 'web': timeout must be from 1ms to 5m, found -1s", checked(ASKS | {"timeout": "-1s"}), checked(ASKS | {"timeout": "1.5s"})),
    Case("P61", "healthCheck: sustainedFor must be more than nothing and at most 1h, found 0s", checked(ASKS, sustainedFor="0s"), checked(ASKS, sustainedFor="1h")),
    Case("P61", "stage[0] 's': healthCheck: sustainedFor must be more than nothing and at most 1h, found 61m", checked(ASKS, sustainedFor="61m", onStage=True), checked(ASKS, sustainedFor="60m", onStage=True)),
    Case("P61", 'healthCheck: sustainedFor cannot be read: time: invalid duration "soon" (write a duration such as 90s, 5m or 1h30m)', checked(ASKS, sustainedFor="soon"), checked(ASKS, sustainedFor="1m30s")),
    Case("P62", "healthCheck.checks[0] 'web': HTTP.URL must begin with http:// or https://, found no scheme", asks(url="web.invalid"), asks(url="http://web.invalid")),
    Case("P62", "healthCheck.checks[0] 'web': HTTP.URL is required", asks(url=""), CHECKED),
    Case("P62", "healthCheck.checks[0] 'web': HTTP.SuccessCodes[1] must be an HTTP status code (100 to 599), found 20", asks(successCodes=[200, 20]), asks(successCodes=[200, 204])),
    Case("P62", "healthCheck.checks[0] 'web': HTTP.Body has no effect on GET: use method POST, or remove it", asks(body="x"), asks(body="x", method="POST")),
    Case("P62", "healthCheck.checks[0] 'web': HTTP.CABundle must be PEM certificates (-----BEGIN CERTIFICATE-----)", asks(caBundle=BROKEN_PEM), CHECKED),
    Case("P62", "healthCheck.checks[0] 'web': HTTP.Headers: 'host' belongs to the connection, which the controller makes: leave it out", asks(headers={"host": "x"}), asks(headers={"x-host": "x"})),
    Case("P62", 'healthCheck.checks[0] \'web\': invalid healthyWhen "body": it must give bool: compare what it names with a value, such as == true', asks(healthyWhen="body"), asks(healthyWhen="body.ok == true")),
    Case("P62", 'healthCheck.checks[0] \'web\': invalid healthyWhen "code == 200": column 1: "code" is not known; variables are status, headers, body, text', asks(healthyWhen="code == 200"), asks(healthyWhen="status == 200")),
    Case("P62", 'healthCheck.checks[0] \'db\': resources[0]: kind must be a word of letters and digits, as ConfigMap, found "Stateful Set"', looks(kind="Stateful Set"), looks(kind="Deployment")),
    Case("P62", "healthCheck.checks[0] 'db': resources[0]: ConfigMap drplan-system/c is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace", looks(kind="ConfigMap", apiVersion="v1", namespace="drplan-system", name="c"), looks(kind="ConfigMap", apiVersion="v1", namespace="other", name="c")),
    Case("P62", 'healthCheck.checks[0] \'db\': resources[0]: invalid readyWhen "objekt.x == 1": column 7: "objekt.x" is not known; the only variable is object; it may name a condition, or be a CEL expression over object', looks(readyWhen="objekt.x == 1"), looks(readyWhen="object.x == 1")),
    Case("P63", "healthCheck.checks[0] 'web': $(params.host) in http.url cannot be resolved: spec.globalParams gives no parameter 'host' a value", checked({"name": "web", "http": {"url": "https://$(params.host)/"}}), asks(url="https://$(params.host)/$(planName)/$(executionName)/$(mode)")),
    Case("P63", "healthCheck.checks[0] 'web': $(params.hots) in http.headers.x cannot be resolved: spec.globalParams gives no parameter 'hots' a value; did you mean 'host'?", asks(headers={"x": "$(params.hots)"}), asks(headers={"x": "$(params.host) $$(params.no)"})),
    Case("P63", "healthCheck.checks[0] 'web': $(outputs.a.uid) in http.url cannot be resolved: a health check sees no outputs of actions", asks(url="https://x.invalid/$(outputs.a.uid)"), CHECKED),
    Case("P63", "healthCheck.checks[0] 'db': resources[0]: name has a placeholder; a health check names its objects as they are", looks(name="$(params.host)"), looks(name="host")),
    Case("A2", "health check 'db' resources[0]: this belongs to Leases (API group coordination.k8s.io); actions, rollbacks and parameters may not touch it (docs/security.md has the list)", looks(apiVersion="coordination.k8s.io/v1", kind="Lease"), looks(apiVersion="example.com/v1", kind="Lease")),
    Case("A2", 'globalParams[0](n).valueFrom.manifestRef: this belongs to Leases (API group coordination.k8s.io); actions, rollbacks and parameters may not touch it (docs/security.md has the list)', pl(globalParams=[read("n", apiVersion="coordination.k8s.io/v1", kind="Lease", name="l")]), pl(globalParams=[read("n", apiVersion="example.com/v1", kind="Lease", name="l")])),
    Case("DP1", 'cannot delete plan with running execution: default/run-1', delete(LOCKED, executions=[RUNNING]), delete(LOCKED, executions=[ENDED])),
    Case("DP2", 'cannot delete DRPlan default/p: has running executions: [default/a (phase=Running)]', delete(plan_json(), executions=[execution_json("a", status={"phase": "Running"})]), delete(plan_json(), executions=[execution_json("a", status={"phase": "Succeeded"})])),
    Case("N6", "stage[0] 's': parallel=true with only one workflow, consider setting parallel=false", pl(stage(parallel=True)), pl(stage("s", "w", "w", parallel=True))),
    Case("N7", "stage[0] 's' workflow[0]: workflow default/w is not ready (phase=Invalid)", pl(known=(INVALID,)), PERFECT),
    Case("N8", "stage[0] 's' workflow[0]: parameter 'site' of workflow default/w is required and has no value; every execution must give one", pl(known=(SITE,)), pl(known=(SITE,), globalParams=[{"name": "site", "value": "b"}])),
    Case("N8", "stage[0] 's' workflow[0]: parameter 'site' of workflow default/w is required and has no value; every execution must give one; 'sitte' is given and not declared, did you mean 'site'?", pl(known=(SITE,), globalParams=[{"name": "sitte", "value": "b"}]), pl(known=(SITE,), globalParams=[{"name": "site", "value": "b"}])),
    Case("N8", "globalParams[0](n) uses $(params.sitte) in valueFrom.manifestRef.name, which has no value; every execution must give one; did you mean 'site'?", given(read("n", name="$(params.sitte)"), {"name": "site", "value": "b"}), given(read("n", name="$(params.site)"), {"name": "site", "value": "b"})),
    Case("N8", "globalParams[0](n) uses $(params.m) in valueFrom.manifestRef.namespace, which has no value but one that is read no sooner than this one; every execution must give one", given(read("n", namespace="$(params.m)"), read("m")), given(read("n", namespace="$(params.m)"), {"name": "m", "default": "b"})),
    Case("N8", "stage[0] 's' workflow[0]: params[0](n) uses $(params.m) in valueFrom.manifestRef.name, which has no value but one in a Secret, and references cannot take those; every execution must give one", pl(stage("s", use("w", read("n", name="$(params.m)"))), globalParams=[read("m", kind="Secret")]), pl(stage("s", use("w", read("n", name="$(params.m)"))), globalParams=[read("m")])),
    Case("N8", "stage[0] 's' workflow[0]: parameter 'n' of workflow default/w uses $(params.m) in valueFrom.manifestRef.name, which has no value but one that is read no sooner than this one; every execution must give one", pl(stage("s", use("w", read("m"))), known=(READS_M,)), pl(known=(READS_M,), globalParams=[read("m")])),
    Case("N17", "globalParams[0]: no workflow takes parameter 'sitte'; did you mean 'site'?", pl(known=(SITE_B,), globalParams=[{"name": "sitte", "value": "c"}]), pl(known=(SITE_B,), globalParams=[{"name": "site", "value": "c"}])),
    Case("N17", "stage[0] 's' workflow[0]: params[0]: no workflow takes parameter 'sitte'; did you mean 'site'?", pl(stage("s", use("w", {"name": "sitte", "value": "c"})), known=(SITE_B,)), pl(stage("s", use("w", {"name": "site", "value": "c"})), known=(SITE_B,))),
    Case("N9", "stage[0] 's' workflow[0]: the rollback of action 'b' of workflow default/w uses $(params.undo), which has no value; the execution must give one, or its Revert", pl(known=(UNDO,)), pl(known=(UNDO,), globalParams=[{"name": "undo", "value": "b"}])),
    Case("N15", 'Plan is currently being executed, changes may not take effect until next execution', update({**LOCKED, "spec": plan_json(stage("t"))["spec"]}, LOCKED, stored_workflows=[W]), update(plan_json(stage("t")), plan_json(), stored_workflows=[W])),
]  # fmt: skip
