"""What draws no more than a warning at admission, whatever kind it is about."""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.rule import ANY, EXECUTION, PLAN, WORKFLOW, Checked, Rule, Severity

_A: Final = "action[0] 'a': "
_USE: Final = "stage[0] 's' workflow[0]: "
_CLUSTER: Final = Checked.CLUSTER


def _notice(id_: str, kind: str, checks: str, example: str, checked: Checked = Checked.EVERYWHERE) -> Rule:
    return Rule(id_, kind, checks, example, Severity.WARNING, checked)


NOTICES: Final[tuple[Rule, ...]] = (
    _notice(
        "N1",
        WORKFLOW,
        "An action has no rollback of its own: a Revert deletes what it made.",
        f"{_A}no custom rollback defined, will use automatic rollback (delete resource)",
    ),
    _notice(
        "N2",
        WORKFLOW,
        "A manifest is incomplete as written, but a placeholder that stands alone on a line may complete it.",
        f"{_A}KubernetesResource.Manifest: apiVersion, kind are required",
    ),
    _notice(
        "N3",
        ANY,
        "A `valueFrom` has no manifestRef, so it gives no value.",
        "params[0](y).valueFrom: only valueFrom.manifestRef is supported yet; this parameter gets no value here",
    ),
    _notice(
        "N4",
        EXECUTION,
        "An execution comes from a backup; it does not start by itself.",
        "the finalizer dr.bkbcs.tencent.com/execution-finalizer says that this execution was restored from a backup: "
        'it will not be run, unless it is created with the annotation dr.bkbcs.tencent.com/start-restored: "true"',
    ),
    _notice(
        "N6",
        PLAN,
        "`parallel` has no effect on a single workflow.",
        "stage[0] 's': parallel=true with only one workflow, consider setting parallel=false",
    ),
    _notice(
        "N7",
        PLAN,
        "A referenced workflow is known to be Invalid; so is the plan then.",
        f"{_USE}workflow default/w is not ready (phase=Invalid)",
        _CLUSTER,
    ),
    _notice(
        "N8",
        PLAN,
        "A parameter that a workflow or a manifestRef takes has no value in the plan: every execution must give one.",
        f"{_USE}parameter 'site' of workflow default/w is required and has no value; every execution must give one",
    ),
    _notice(
        "N9",
        PLAN,
        "A parameter that only rollbacks take has no value in the plan; a Revert has its execution's and its own.",
        f"{_USE}the rollback of action 'b' of workflow default/w uses $(params.undo), which has no value; the "
        "execution must give one, or its Revert",
    ),
    _notice(
        "N10",
        ANY,
        "Something looks like a placeholder but is none.",
        f"{_A}$(param.host) in http.url is no placeholder and stays as it is; did you mean '$(params.host)'?",
    ),
    _notice(
        "N11",
        WORKFLOW,
        "A Job has a restartPolicy that the API server refuses.",
        f"{_A}Job restartPolicy must be Never or OnFailure, found none: the API server will refuse the Job",
    ),
    _notice(
        "N12",
        WORKFLOW,
        "`clusterExecutionMode` matters to Subscriptions only.",
        f"{_A}clusterExecutionMode PerCluster has no effect on HTTP actions",
    ),
    _notice(
        "N13",
        WORKFLOW,
        "`hookCleanup` matters to Subscriptions only.",
        f"{_A}hookCleanup has no effect on HTTP actions",
    ),
    _notice(
        "N14",
        EXECUTION,
        "A running execution is deleted, which cancels it.",
        "Deleting a running execution may leave resources in inconsistent state",
        _CLUSTER,
    ),
    _notice(
        "N15",
        PLAN,
        "A plan changes while it runs.",
        "Plan is currently being executed, changes may not take effect until next execution",
        _CLUSTER,
    ),
    _notice(
        "N16",
        WORKFLOW,
        "A rollback has a field that is not known; it is ignored.",
        f"{_A}rollback: unknown field 'tiemout', it is ignored; did you mean 'timeout'?",
    ),
    _notice(
        "N17",
        ANY,
        "A parameter that nothing takes has nearly the name of one whose value it does not replace.",
        "globalParams[0]: no workflow takes parameter 'sitte'; did you mean 'site'?",
    ),
    _notice(
        "N18",
        ANY,
        "A JSONPath gives a fixed text: it has no braces, or a placeholder, which nothing replaces there.",
        "params[0](x).valueFrom.manifestRef: jsonPath has no braces, so the value is this very text; did you mean "
        "'{.data.site}'?",
    ),
    _notice(
        "N19",
        EXECUTION,
        "An annotation that asks for something has a name, a value or a place in which it has no effect.",
        'metadata.annotations[dr.bkbcs.tencent.com/cancel] has the value "ture", which has no effect: write "true"',
        _CLUSTER,
    ),
    _notice(
        "N20",
        ANY,
        "No parameter is given an empty text where that counts as none: as a number, a boolean, or beside a reference.",
        "parameter[0](replicas).value: an empty text counts as none, because its type is number; leave it out",
    ),
    _notice(
        "N21",
        WORKFLOW,
        "A retry interval is not shorter than the shortest delay between two attempts.",
        "action[0] 'a': retryPolicy.interval 0s is shorter than the shortest delay, 100ms, which counts",
    ),
    _notice(
        "N22",
        WORKFLOW,
        "A retry limit is not negative.",
        "action[0] 'a': retryPolicy.limit -1 counts as 3, the default: write 0 for no retries",
    ),
    _notice(
        "N23",
        ANY,
        "The value of a parameter has no placeholder in it.",
        "params[0](url).value: $(params.host) stays as it is, because values are never expanded: write it where 'url' "
        "is used",
    ),
    _notice(
        "N24",
        EXECUTION,
        "The controller lacks rights that the plan's actions or their rollbacks need, as the plan's condition "
        "`Authorized` says.",
        'plan p: The controller may not: patch configmaps "c" in namespace default (needed by workflow default/w, '
        "action a); grant it (docs/security.md, What the controller may do)",
        _CLUSTER,
    ),
    _notice(
        "N25",
        EXECUTION,
        "The plan of a Revert has no health check, so that it ends without proof that the system works.",
        "plan p has no healthCheck, so this Revert ends without proof that the system works: add spec.healthCheck to "
        "the plan (docs/health-checks.md)",
        _CLUSTER,
    ),
)
