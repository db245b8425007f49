"""The rule table, executions: E1 to E30, R1, U6 and the notices about executions."""

# ruff: noqa: E501 - one case is one line

from __future__ import annotations

from typing import Any

from app.engine.record import claims_digest
from app.engine.unrecorded import stamp_of
from app.models.names import FINALIZER, START_RESTORED_ANNOTATION, UNRECORDED_ANNOTATION
from tests.unit.rules.builders import execution_json, http, plan_json, stage, workflow_json
from tests.unit.rules.cases_plans import ASKS, JOB_IN_N, LARGE, SITE, SITE_B, SOURCE, W, with_url
from tests.unit.rules.rule_table import Case, Review, create, delete, unchecked, update

Json = dict[str, Any]


def ex(*stored: Json, plan: Json | None = None, known: Json = W, **spec: Any) -> Review:
    """The creation of an execution of plan `p`."""
    return start(execution_json(**spec), *stored, plan=plan, known=known)


def start(new: Json, *stored: Json, plan: Json | None = None, known: Json = W) -> Review:
    return create(new, stored_plans=[plan or plan_json()], stored_workflows=[known], executions=list(stored))


def annotated(**wishes: str) -> Review:
    """An execution that somebody annotates."""
    new = execution_json(status={"phase": "Running"})
    new["metadata"]["annotations"] = {f"dr.bkbcs.tencent.com/{name}": value for name, value in wishes.items()}
    return update(new, execution_json(status={"phase": "Running"}))


LACKING = (
    'The controller may not: patch configmaps "c" in namespace default (needed by workflow default/w, action a); '
    "grant it (docs/security.md, What the controller may do)"
)


def authorized(status: str, generation: int) -> Json:
    """Plan `p` in generation 1, with what the controller found out about its rights for a generation."""
    plan = plan_json()
    plan["metadata"]["generation"] = 1
    condition = {
        "type": "Authorized",
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "RightsLacking",
        "message": LACKING,
    }
    return {**plan, "status": {**plan.get("status", {}), "conditions": [condition], "observedGeneration": 1}}


def revert(target: Json | None = None, **spec: Any) -> Review:
    wanted: Json = {"operationType": "Revert", "revertExecutionRef": "t", **spec}
    return ex(*([target] if target else []), **wanted)


NAMES_C: Json = {
    "phase": "Succeeded",
    "stageStatuses": [
        {
            "name": "s",
            "phase": "Succeeded",
            "workflowExecutions": [
                {
                    "workflowRef": {"name": "w"},
                    "phase": "Succeeded",
                    "actionStatuses": [
                        {
                            "name": "a",
                            "phase": "Succeeded",
                            "outputs": {
                                "resourceRef": {
                                    "apiVersion": "v1",
                                    "kind": "ConfigMap",
                                    "namespace": "default",
                                    "name": "c",
                                }
                            },
                        }
                    ],
                }
            ],
        }
    ],
}


def unrecorded(untouchable: set[tuple[str, str]]) -> Review:
    """A Revert, stamped as the mutating webhook does, of a run that nothing but its status tells of."""
    stamp = stamp_of(claims_digest("uid-t", NAMES_C))
    target = execution_json("t", status=NAMES_C)
    target["metadata"]["uid"] = "uid-t"
    asked = revert(target)
    new = {
        **(asked.new or {}),
        "metadata": {**(asked.new or {})["metadata"], "annotations": {UNRECORDED_ANNOTATION: stamp}},
    }
    return Review("CREATE", new, None, {**asked.cluster, "unrecorded": {"t"}, "forbidden": untouchable})


def param(name: str = "x", **members: Any) -> Review:
    return ex(params=[{"name": name, **members}])


def source(**members: Any) -> Review:
    return param(valueFrom={"manifestRef": {**SOURCE["manifestRef"], **members}})


def reads(**members: str) -> Json:
    return {"manifestRef": {**SOURCE["manifestRef"], **members}}


def restored(**annotations: str) -> Json:
    meta = {"name": "e", "namespace": "default", "finalizers": [FINALIZER], "annotations": annotations}
    return {**execution_json(), "metadata": meta}


DONE = execution_json("t", status={"phase": "Succeeded"})
PERFECT = ex()
GOOD_REVERT = revert(DONE)
INVALID = {**plan_json(), "status": {"phase": "Invalid", "observedGeneration": 1}}
SITTE = with_url("$(params.sitte)")
NUMBER = workflow_json(parameters=[{"name": "site", "type": "number"}])
LONG = plan_json(*[stage(f"s{number:02}") for number in range(12)])
OTHER_SPEC = execution_json(mode="Upgrade")

READS_Y = plan_json(globalParams=[{"name": "y", "valueFrom": SOURCE}])
READS_Z = plan_json(globalParams=[{"name": "y", "valueFrom": reads(name="$(params.z)")}])
SELECTS_Z = workflow_json(parameters=[{"name": "x", "valueFrom": reads(labelSelector="$(params.z)")}])

CASES = [
    Case("E1", 'planRef is required', ex(planRef=""), PERFECT),
    Case("E2", 'plan x not found: drplans.dr.bkbcs.tencent.com "x" not found', ex(planRef="x"), PERFECT),
    Case("E3", 'plan p is not ready (phase=Invalid)', ex(plan=INVALID), PERFECT),
    Case("E4", 'revertExecutionRef is required for Revert operation', revert(revertExecutionRef=""), GOOD_REVERT),
    Case("E5", 'referenced execution t not found: drplanexecutions.dr.bkbcs.tencent.com "t" not found', revert(), GOOD_REVERT),
    Case("N25", "plan p has no healthCheck, so this Revert ends without proof that the system works: add spec.healthCheck to the plan (docs/health-checks.md)", GOOD_REVERT, ex(DONE, plan=plan_json(healthCheck={"checks": [ASKS]}), operationType="Revert", revertExecutionRef="t")),
    Case("E6", 'referenced execution t must be an Execute operation, got Revert', revert(execution_json("t", status={"phase": "Succeeded"}, operationType="Revert")), GOOD_REVERT),
    Case("E7", 'referenced execution t must be in a terminal phase (Succeeded, Failed or Cancelled), got Running', revert(execution_json("t", status={"phase": "Running"})), GOOD_REVERT),
    Case("E8", 'referenced execution t must belong to the same plan (expected p, got other)', revert(execution_json("t", status={"phase": "Succeeded"}, planRef="other")), GOOD_REVERT),
    Case("E9", 'params[0]: name must not be empty', param(""), param()),
    Case("E10", 'params[0]: parameter name "a.b" must match [a-zA-Z][a-zA-Z0-9_-]*', param("a.b"), param("a_b")),
    Case("E11", 'params[0]: parameter name "mode" is reserved; use spec.mode field instead', param("mode"), param("modes")),
    Case("E12", 'params[1]: duplicate parameter name "x"', ex(params=[{"name": "x"}, {"name": "x"}]), ex(params=[{"name": "x"}, {"name": "y"}])),
    Case("E13", 'params[0](x): value and valueFrom are mutually exclusive', param(value="v", valueFrom=SOURCE), param(valueFrom=SOURCE)),
    Case("E14", 'params[0](x).valueFrom.manifestRef: apiVersion is required', source(apiVersion=""), source()),
    Case("E15", 'params[0](x).valueFrom.manifestRef: kind is required', source(kind=""), source()),
    Case("E16", 'params[0](x).valueFrom.manifestRef: jsonPath is required', source(jsonPath=""), source()),
    Case("E17", 'params[0](x).valueFrom.manifestRef: name and labelSelector are mutually exclusive', source(name="n", labelSelector="l=1"), source(name="n")),
    Case("E18", 'params[0](x).valueFrom.manifestRef: select must be one of Last/First/Single/Any, got "Frist"; did you mean \'First\'?', source(select="Frist"), source(select="First")),
    Case("E19", 'params[0](x).valueFrom.manifestRef: invalid jsonPath expression "{.a": unclosed action', source(jsonPath="{.a"), source(jsonPath="{.a}")),
    Case("E20", 'plan p already has a running execution: default/b', ex(execution_json("b", status={"phase": "Running"})), ex(execution_json("b", status={"phase": "Failed"}))),
    Case("E22", 'params[0](x).value: must be "true" or "false", because the type is boolean; found "1"', param(type="boolean", value="1"), param(type="boolean", value="true")),
    Case("E23", 'stage[0] \'s\' workflow[0]: the value of parameter \'site\' of workflow default/w must be a decimal number, because the type is number; found "many"', ex(known=NUMBER, params=[{"name": "site", "value": "many"}]), ex(known=NUMBER, params=[{"name": "site", "value": "3"}])),
    Case("E24", "stage[0] 's' workflow[0]: parameter 'site' of workflow default/w is required and has no value; give one in spec.params", ex(known=SITE), ex(known=SITE, params=[{"name": "site", "value": "b"}])),
    Case("E24", "stage[0] 's' workflow[0]: action 'a' of workflow default/w uses $(params.sitte), which has no value; give one in spec.params; did you mean 'site'?", ex(known=SITTE, params=[{"name": "site", "value": "b"}]), ex(known=SITTE, params=[{"name": "sitte", "value": "b"}])),
    Case("N17", "params[0]: no workflow takes parameter 'sitte'; did you mean 'site'?", ex(known=SITE_B, params=[{"name": "sitte", "value": "c"}]), ex(known=SITE_B, params=[{"name": "site", "value": "c"}])),
    Case("E25", "the status of a run of plan p is estimated at 1707 KiB even with all texts shortened, more than the 1024 KiB that fit: split the plan into several", ex(plan=LONG, known=LARGE), ex(known=LARGE)),
    Case("E24", "params[0](x) uses $(params.y) in valueFrom.manifestRef.name, which has no value; give one in spec.params", unchecked(source(name="$(params.y)")), unchecked(ex(params=[{"name": "x", "valueFrom": reads(name="$(params.y)")}, {"name": "y", "value": "b"}]))),
    Case("E24", "params[0](x) uses $(params.y) in valueFrom.manifestRef.name, which has no value but one that is read no sooner than this one; give one in spec.params", unchecked(ex(params=[{"name": "x", "valueFrom": reads(name="$(params.y)")}, {"name": "y", "valueFrom": SOURCE}])), unchecked(ex(plan=READS_Y, params=[{"name": "x", "valueFrom": reads(name="$(params.y)")}]))),
    Case("E24", "globalParams[0](y) uses $(params.z) in valueFrom.manifestRef.name, which has no value; give one in spec.params", ex(plan=READS_Z), ex(plan=READS_Z, params=[{"name": "y", "value": "b"}])),
    Case("E24", "stage[0] 's' workflow[0]: parameter 'x' of workflow default/w uses $(params.z) in valueFrom.manifestRef.labelSelector, which has no value; give one in spec.params", ex(known=SELECTS_Z), ex(known=SELECTS_Z, params=[{"name": "z", "value": "a=b"}])),
    Case("E24", "params[0](x) uses $(params.y) in valueFrom.manifestRef.name, which has no value; give one in spec.params", unchecked(revert(DONE, params=[{"name": "x", "valueFrom": reads(name="$(params.y)")}])), unchecked(revert({**DONE, "spec": {**DONE["spec"], "params": [{"name": "y", "value": "b"}]}}, params=[{"name": "x", "valueFrom": reads(name="$(params.y)")}]))),
    Case("E26", "params[0](x).valueFrom.manifestRef: $(params.k) in kind is not replaced: only namespace, name and labelSelector take placeholders", source(kind="$(params.k)"), source(kind="Node")),
    Case("E27", "params[0](x).valueFrom.manifestRef: namespace is required, because a ConfigMap is namespaced", source(kind="ConfigMap", name="c"), source(kind="ConfigMap", name="c", namespace="n")),
    Case("E27", "params[0](x).valueFrom.manifestRef: namespace must consist of lower case letters, digits and '-', and have at most 63 characters", source(namespace="site.a"), source(namespace="site-a")),
    Case("E27", "params[0](x).valueFrom.manifestRef: name must not be '.' or '..', or have '/' or '%' in it", source(name="a/b"), source(name="system:node")),
    Case("N18", "params[0](x).valueFrom.manifestRef: jsonPath has no braces, so the value is this very text; did you mean '{.data.site}'?", source(jsonPath=".data.site"), source(jsonPath="{.data.site}")),
    Case("N20", "params[0](x).value: an empty text counts as none, because its value is read from the cluster; leave it out", param(value="", valueFrom=SOURCE), param(value="v")),
    Case("N23", "params[0](url).value: $(params.host) stays as it is, because values are never expanded: write it where 'url' is used", param("url", value="http://$(params.host)/"), param("url", value="http://a/")),
    Case("N23", "params[0](x).value: $(params.y) stays as it is, because values are never expanded: write it where 'x' is used", param(value="a$(params.y)"), param(value="a$(HOST) $$(params.y) $(params.y")),
    Case("N18", "params[0](x).valueFrom.manifestRef: $(params.y) in jsonPath is not replaced: only namespace, name and labelSelector take placeholders", source(jsonPath="{.a}$(params.y)"), source(jsonPath="{.a}$")),
    Case("E45", 'stage[0] \'s\' workflow[0]: action \'a\' of workflow default/w: Job: namespace must consist of lower case letters, digits and \'-\', and have at most 63 characters, found "..", by the values of its parameters', ex(known=JOB_IN_N, params=[{"name": "n", "value": ".."}]), ex(known=JOB_IN_N, params=[{"name": "n", "value": "a"}])),
    Case("E46", "stage[0] 's' workflow[0]: action 'a' of workflow default/w: Job: Job is refused: namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; use another namespace, by the values of its parameters", ex(known=JOB_IN_N, params=[{"name": "n", "value": "drplan-system"}]), ex(known=JOB_IN_N, params=[{"name": "n", "value": "shop"}])),
    Case("A2", "params[0](x).valueFrom.manifestRef: this belongs to drplan's own kinds (API group dr.bkbcs.tencent.com); actions, rollbacks and parameters may not touch it (docs/security.md has the list)", source(apiVersion="dr.bkbcs.tencent.com/v1alpha1", kind="DRPlan", name="p", namespace="default"), source(kind="DRPlan", name="p", namespace="default")),
    Case("E30", 'cannot modify spec after creation', update(OTHER_SPEC, execution_json()), update({**execution_json(), "metadata": {**execution_json()["metadata"], "labels": {"a": "b"}}}, execution_json())),
    Case("R1", 'execution default/t was already reverted by r0', revert(execution_json("t", status={"phase": "Succeeded", "revertedBy": "r0"})), GOOD_REVERT),
    Case("R2", 'execution default/t has no outcome record, and user "jane" may not delete and change all that its status names: ConfigMap default/c (may not delete or patch it); let somebody revert it who may, or undo it by hand', unrecorded({("default", "c")}), unrecorded(set())),
    Case("U6", 'mode Delete is not supported yet for workflow default/w, because it has no explicit Delete action: add actions with operation Delete (and when: mode == "delete"), or run it without mode Delete', ex(mode="Delete"), ex(mode="Delete", known=workflow_json(http(when='mode == "delete"')))),
    Case("N3", 'params[0](y).valueFrom: only valueFrom.manifestRef is supported yet; this parameter gets no value here', param("y", valueFrom={}), param("y", valueFrom=SOURCE)),
    Case("N4", 'the finalizer dr.bkbcs.tencent.com/execution-finalizer says that this execution was restored from a backup: it will not be run, unless it is created with the annotation dr.bkbcs.tencent.com/start-restored: "true"', start(restored()), start(restored(**{START_RESTORED_ANNOTATION: "true"}))),
    Case("N19", 'metadata.annotations[dr.bkbcs.tencent.com/cancel] has the value "ture", which has no effect: write "true"', annotated(cancel="ture"), annotated(cancel="Yes")),
    Case("N19", "metadata.annotations[dr.bkbcs.tencent.com/cancle] is not known and has no effect; did you mean dr.bkbcs.tencent.com/cancel?", annotated(cancle="true"), annotated(cancel="1")),
    Case("N24", f"plan p: {LACKING}", ex(plan=authorized("False", 1)), ex(plan=authorized("True", 1))),
    Case("N24", f"plan p: {LACKING}", ex(plan=authorized("False", 1)), ex(plan=authorized("False", 0))),
    Case("N19", 'metadata.annotations[dr.bkbcs.tencent.com/resume] has the value "maybe", which has no effect: write "true" or "done"', annotated(resume="maybe"), annotated(resume="Done")),
    Case("N14", 'Deleting a running execution may leave resources in inconsistent state', delete(execution_json(status={"phase": "Running"})), delete(execution_json(status={"phase": "Succeeded"}))),
]  # fmt: skip
