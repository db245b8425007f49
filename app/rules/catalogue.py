"""Every rule that is checked anywhere, with its id: what admission, reconcilers and `drplan lint` may complain about.

`docs/rules.md` is generated from this list, and tests compare it with the ids that the code raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """What a finding means."""

    ERROR = "error"
    """The object is refused."""
    WARNING = "warning"
    """The user is told, nothing is refused."""


class Checked(StrEnum):
    """Who can check a rule."""

    EVERYWHERE = "admission, lint"
    CLUSTER = "admission"
    """It takes the state of the cluster."""
    FILES = "lint"
    """The API server itself takes care of it, before or instead of admission, or it is about files."""


WORKFLOW: Final = "DRWorkflow"
PLAN: Final = "DRPlan"
EXECUTION: Final = "DRPlanExecution"
ANY: Final = "all kinds"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    id: str
    """Stable; never given to another rule."""
    kind: str
    """What it is about."""
    checks: str
    """What must hold (errors), or what is noticed (warnings)."""
    example: str
    """A message as users see it."""
    severity: Severity = Severity.ERROR
    checked: Checked = Checked.EVERYWHERE


def _workflow(id_: str, checks: str, example: str) -> Rule:
    return Rule(id_, WORKFLOW, checks, example)


def _plan(id_: str, checks: str, example: str, checked: Checked = Checked.EVERYWHERE) -> Rule:
    return Rule(id_, PLAN, checks, example, checked=checked)


def _execution(id_: str, checks: str, example: str, checked: Checked = Checked.EVERYWHERE) -> Rule:
    return Rule(id_, EXECUTION, checks, example, checked=checked)


def _notice(id_: str, kind: str, checks: str, example: str, checked: Checked = Checked.EVERYWHERE) -> Rule:
    return Rule(id_, kind, checks, example, Severity.WARNING, checked)


def _file(id_: str, checks: str, example: str, severity: Severity = Severity.ERROR) -> Rule:
    return Rule(id_, ANY, checks, example, severity, Checked.FILES)


_A: Final = "action[0] 'a': "
_USE: Final = "stage[0] 's' workflow[0]: "
_NUMBER: Final = 'must be a decimal number, because the type is number; found "many"'
_MODE: Final = 'parameter name "mode" is reserved; use spec.mode of the execution instead'
_PATTERN: Final = "must match [a-zA-Z][a-zA-Z0-9_-]*"
_CLUSTER: Final = Checked.CLUSTER

_WORKFLOWS: Final = (
    _workflow("W1", "There is at least one action.", "at least one action is required"),
    _workflow("W2", "Names of actions are unique.", "action[1]: duplicate action name 'a'"),
    _workflow("W3", "Every action has a name.", "action[0]: name is required"),
    _workflow("W4", "An HTTP action has its block `http`.", f"{_A}HTTP configuration is required"),
    _workflow("W5", "An HTTP action has a URL.", f"{_A}HTTP.URL is required"),
    _workflow("W6", "A Job action has its block `job`.", f"{_A}Job configuration is required"),
    _workflow("W7", "A Localization action has its block.", f"{_A}Localization configuration is required"),
    _workflow("W8", "A Localization has name and namespace.", f"{_A}Localization.Name is required"),
    _workflow(
        "W9",
        "A Localization has a spec, unless it is deleted.",
        f"{_A}Localization.Spec is required when operation=Create",
    ),
    _workflow(
        "W10",
        "A Localization that is created or applied says what it overrides.",
        f"{_A}Localization.Spec.Feed (apiVersion, kind, name) is required when operation=Apply",
    ),
    _workflow(
        "W11",
        "A Globalization has its block, a name, and, unless it is deleted, a spec with a feed.",
        f"{_A}Globalization.Name is required",
    ),
    _workflow("W12", "A HelmChart has its block, name and namespace.", f"{_A}HelmChart.Namespace is required"),
    _workflow(
        "W13", "A HelmChart has a spec, unless it is deleted.", f"{_A}HelmChart.Spec is required when operation=Create"
    ),
    _workflow(
        "W14",
        "A HelmChart that is created or applied has repo, chart and targetNamespace.",
        f"{_A}HelmChart.Spec.Repo is required when operation=Create",
    ),
    _workflow("W15", "A Subscription has its block and a name.", f"{_A}Subscription.Name is required"),
    _workflow(
        "W16",
        "A Subscription that is created has a spec (others: W34).",
        f"{_A}Subscription.Spec is required when operation=Create",
    ),
    _workflow(
        "W17",
        "A Subscription that is created has feeds and subscribers.",
        f"{_A}Subscription.Spec.Feeds is required (at least one feed)",
    ),
    _workflow(
        "W18",
        "A KubernetesResource action has its block `resource` and a manifest.",
        f"{_A}KubernetesResource.Manifest is required",
    ),
    _workflow("W19", "The type of an action is known.", f"{_A}unsupported action type 'SSH'"),
    _workflow(
        "W20",
        "A Patch comes with a rollback, because nothing can be derived.",
        f"{_A}rollback is required for KubernetesResource Patch operation",
    ),
    _workflow("W21", "A parameter has a name.", "parameter[0]: name is required"),
    _workflow("W22", "Names of parameters are unique.", "parameter[1]: duplicate parameter name ''"),
    _workflow(
        "W23",
        "`dependsOn` of actions names actions of the workflow, and there is no cycle.",
        'unknown action "drains" in dependsOn of action "a"; did you mean \'drain\'?',
    ),
    _workflow(
        "W24",
        "`when` can be read as a whole, names known modes, and gives a bool if it is a CEL expression.",
        f'{_A}invalid when expression "mode == install || mode == nope": unsupported mode value "nope" in when',
    ),
    _workflow("W25", "`timeout` is a positive duration.", f"{_A}invalid timeout 0s: timeout must be positive"),
    _workflow(
        "W26",
        "`retryPolicy` has a duration as interval and a multiplier of at least 1.0.",
        f"{_A}invalid retry policy: backoff multiplier must be >= 1.0, got 0.500000",
    ),
    _workflow(
        "W27",
        "Every document of a manifest is YAML with apiVersion, kind and metadata.name.",
        f"{_A}KubernetesResource.Manifest: apiVersion, metadata.name are required",
    ),
    _workflow("W28", "A rollback block can be decoded.", f"{_A}rollback: timeout must be text, found 5"),
    _workflow(
        "W29",
        "Placeholders of outputs name an action that has certainly ended before; those of parameters have one name.",
        f"{_A}$(outputs.b.body) cannot be resolved: the workflow has no action 'b'",
    ),
    _workflow("W30", "Names of parameters have the form of one.", f'parameter[0]: parameter name "1x" {_PATTERN}'),
    _workflow("W31", "No parameter is called `mode`.", f"parameter[0]: {_MODE}"),
    _workflow("W32", "Values and defaults are of the parameter's type.", f"parameter[0](x).default: {_NUMBER}"),
    _workflow(
        "W33",
        "`valueFrom.manifestRef` is complete, with a JSONPath that can be parsed.",
        "parameter[0](x).valueFrom.manifestRef: kind is required",
    ),
    _workflow(
        "W34",
        "A Subscription that is applied, patched or replaced has a spec.",
        f"{_A}Subscription.Spec is required when operation=Apply",
    ),
    _workflow(
        "W35",
        "Numbers are in their range: status codes 100 to 599, no negative lifetime.",
        f"{_A}Job.TTLSecondsAfterFinished must not be negative, found -1",
    ),
    _workflow(
        "W36",
        "Placeholders of outputs name a field that the action's type has.",
        "action[1] 'c': $(outputs.b.bdy) cannot be resolved: action 'b' of type HTTP has no output 'bdy', only "
        "statusCode, body; did you mean 'body'?",
    ),
    _workflow(
        "W37",
        "Placeholders of outputs name an action that runs in one of the same modes.",
        "action[1] 'c': $(outputs.b.body) cannot be resolved: action 'b' never runs when this one does, because of "
        "their conditions (when)",
    ),
    _workflow(
        "W38",
        "`when` names outputs only of actions that have certainly ended before, and only fields that they have.",
        "action[1] 'b': outputs.drains in when can never be there: the workflow has no action 'drains'; did you mean 'drain'?",
    ),
    _workflow(
        "U1",
        "`waitReady` of Subscriptions does not work in this release.",
        f"{_A}waitReady of Subscription actions is not supported yet: remove it, the action then succeeds once the "
        "Subscription is stored",
    ),
    _workflow(
        "U2",
        "`clusterExecutionMode: PerCluster` does not work in this release.",
        f"{_A}clusterExecutionMode PerCluster is not supported yet: use Global, or leave it out",
    ),
    _workflow(
        "U3",
        "Rollback hooks do not work in this release.",
        f"{_A}hookType pre-rollback is not supported yet: put what it does into the rollback of an action",
    ),
    _workflow(
        "U4",
        "`hookCleanup` of Subscriptions does not work in this release.",
        f"{_A}hookCleanup (onSuccess) is not supported yet: delete the Subscription by an action of its own",
    ),
    _workflow(
        "U5",
        "Only the native engine runs workflows.",
        "executor.type Argo is not supported yet: use Native, or leave executor out",
    ),
    Rule(
        "DW1",
        WORKFLOW,
        "A workflow is not deleted while a plan of any namespace references it.",
        "cannot delete DRWorkflow default/nginx-workflow: referenced by DRPlan(s): [default/nginx-plan]",
        checked=_CLUSTER,
    ),
)

_PLANS: Final = (
    _plan("P1", "There is at least one stage.", "at least one stage is required"),
    _plan("P2", "Names of stages are unique.", "stage[1]: duplicate stage name 's'"),
    _plan("P3", "Every stage has a name.", "stage[0]: name is required"),
    _plan("P4", "Every stage has a workflow.", "stage[0] 's': at least one workflow is required"),
    _plan("P5", "A reference names a workflow.", f"{_USE}workflowRef.name is required"),
    _plan(
        "P6",
        "The referenced workflow exists.",
        "stage[0] 's' workflow[1]: workflow default/gone not found",
        checked=_CLUSTER,
    ),
    _plan("P7", "`dependsOn` names stages of the plan.", "stage[1] 't': depends on non-existent stage 'u'"),
    _plan("P8", "No stage depends on itself.", "stage[1] 'c': cannot depend on itself"),
    _plan("P9", "The dependencies of stages have no cycle.", "cycle detected in stage dependencies: [x a b a]"),
    _plan("P10", "A global parameter has a name.", "globalParams[0]: name is required"),
    _plan("P11", "Names of global parameters are unique.", "globalParams[1]: duplicate parameter name 'x'"),
    _plan("P12", "A parameter of a stage has a name.", f"{_USE}params[0]: name is required"),
    _plan("P13", "Names of a stage's parameters are unique.", f"{_USE}params[1]: duplicate parameter name 'x'"),
    _plan("P14", "Names of parameters have the form of one.", f'globalParams[0]: parameter name "a.b" {_PATTERN}'),
    _plan("P15", "No parameter is called `mode`.", f"globalParams[0]: {_MODE}"),
    _plan(
        "P16",
        "Values and defaults are of the parameter's type.",
        'globalParams[0](n).value: must be a decimal number, because the type is number; found "x"',
    ),
    _plan(
        "P17",
        "`valueFrom.manifestRef` is complete, with a JSONPath that can be parsed.",
        "globalParams[0](n).valueFrom.manifestRef: apiVersion is required",
    ),
    _plan(
        "P18",
        "Whoever writes the plan may read the workflows of other namespaces that it references.",
        f'{_USE}user "jane" may not get workflow other/w; a plan may only reference workflows that its author may read',
        checked=_CLUSTER,
    ),
    _plan(
        "P19",
        "The status of a run fits into an object.",
        "the status of a run of plan p is estimated at 1419 KiB even with all texts shortened, more than the 1024 KiB "
        "that fit: split the plan into several",
    ),
    _plan(
        "P20",
        "Values are of the type that the workflow declares.",
        f"{_USE}the value of parameter 'count' of workflow default/w {_NUMBER}",
    ),
    _plan(
        "DP1",
        "A plan is not deleted while the execution that holds it is unfinished.",
        "cannot delete plan with running execution: default/run-1",
        checked=_CLUSTER,
    ),
    _plan(
        "DP2",
        "A plan is not deleted while any of its executions is unfinished.",
        "cannot delete DRPlan default/p: has running executions: [default/a (phase=Running)]",
        checked=_CLUSTER,
    ),
)

_EXECUTIONS: Final = (
    _execution("E1", "An execution names a plan.", "planRef is required"),
    _execution(
        "E2", "The plan exists.", 'plan x not found: drplans.dr.bkbcs.tencent.com "x" not found', checked=_CLUSTER
    ),
    _execution("E3", "The plan is not known to be Invalid.", "plan p is not ready (phase=Invalid)", checked=_CLUSTER),
    _execution("E4", "A Revert names what it takes back.", "revertExecutionRef is required for Revert operation"),
    _execution(
        "E5",
        "The execution to take back exists.",
        'referenced execution t not found: drplanexecutions.dr.bkbcs.tencent.com "t" not found',
        checked=_CLUSTER,
    ),
    _execution(
        "E6", "What is taken back is an Execute.", "referenced execution t must be an Execute operation, got Revert"
    ),
    _execution(
        "E7",
        "What is taken back has ended.",
        "referenced execution t must be in a terminal phase (Succeeded, Failed or Cancelled), got Running",
        checked=_CLUSTER,
    ),
    _execution(
        "E8",
        "What is taken back is a run of the same plan.",
        "referenced execution t must belong to the same plan (expected p, got other)",
    ),
    _execution("E9", "A parameter has a name.", "params[0]: name must not be empty"),
    _execution("E10", "Names of parameters have the form of one.", f'params[0]: parameter name "a.b" {_PATTERN}'),
    _execution(
        "E11",
        "No parameter is called `mode`.",
        'params[0]: parameter name "mode" is reserved; use spec.mode field instead',
    ),
    _execution("E12", "Names of parameters are unique.", 'params[1]: duplicate parameter name "x"'),
    _execution(
        "E13",
        "A parameter has a value or a source, not both.",
        "params[0](x): value and valueFrom are mutually exclusive",
    ),
    _execution("E14", "A manifestRef has an apiVersion.", "params[0](x).valueFrom.manifestRef: apiVersion is required"),
    _execution("E15", "A manifestRef has a kind.", "params[0](x).valueFrom.manifestRef: kind is required"),
    _execution("E16", "A manifestRef has a JSONPath.", "params[0](x).valueFrom.manifestRef: jsonPath is required"),
    _execution(
        "E17",
        "A manifestRef has a name or a label selector, not both.",
        "params[0](x).valueFrom.manifestRef: name and labelSelector are mutually exclusive",
    ),
    _execution(
        "E18",
        "The select of a manifestRef is a known word.",
        'params[0](x).valueFrom.manifestRef: select must be one of Last/First/Single/Any, got "Frist"; did you mean '
        "'First'?",
    ),
    _execution(
        "E19",
        "The JSONPath of a manifestRef can be parsed.",
        'params[0](x).valueFrom.manifestRef: invalid jsonPath expression "{.a": unclosed action',
    ),
    _execution(
        "E20",
        "No other execution of the plan is unfinished.",
        "plan p already has a running execution: default/b",
        checked=_CLUSTER,
    ),
    _execution(
        "E22",
        "Values and defaults are of the parameter's type.",
        'params[0](x).value: must be "true" or "false", because the type is boolean; found "1"',
    ),
    _execution(
        "E23",
        "Values are of the type that the workflow declares.",
        f"{_USE}the value of parameter 'site' of workflow default/w {_NUMBER}",
    ),
    _execution(
        "E24",
        "Required parameters, and what placeholders and `when` of the actions that take part name, have a value.",
        f"{_USE}parameter 'site' of workflow default/w is required and has no value; give one in spec.params",
    ),
    _execution(
        "E25",
        "The status of the run fits into an object.",
        "the status of a run of plan p is estimated at 1419 KiB even with all texts shortened, more than the 1024 KiB "
        "that fit: split the plan into several",
    ),
    _execution("E30", "The spec of an execution never changes.", "cannot modify spec after creation", checked=_CLUSTER),
    _execution(
        "R1",
        "What is taken back was not taken back before.",
        "execution default/t was already reverted by r0",
        checked=_CLUSTER,
    ),
    _execution(
        "U6",
        "`mode: Delete` takes workflows with explicit deletes in this release.",
        "mode Delete is not supported yet for workflow default/w, because it has no explicit Delete action: add "
        'actions with operation Delete (and when: mode == "delete"), or run it without mode Delete',
    ),
)

_NOTICES: Final = (
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
        "Something has no value in the plan, so every execution must give one.",
        f"{_USE}parameter 'site' of workflow default/w is required and has no value; every execution must give one",
    ),
    _notice(
        "N9",
        PLAN,
        "A placeholder of a rollback has no value in the plan.",
        f"{_USE}the rollback of action 'b' of workflow default/w uses $(params.undo), which has no value; a Revert "
        "must give one",
    ),
    _notice(
        "N10",
        WORKFLOW,
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
)

_SCHEMA: Final = (
    Rule(
        "S1",
        ANY,
        "Every member has the type, value and size that the schema demands, and required ones are there.",
        "spec.stages[0].parallel must be true or false, found 'yes please'",
    ),
    _file(
        "S2",
        "A field is not known; the API server drops it.",
        "unknown field, the API server drops it; did you mean 'dependsOn'?",
        Severity.WARNING,
    ),
    _file(
        "S3",
        "A key stands in the same mapping twice.",
        "key 'timeout' is repeated, only its last value counts",
        Severity.WARNING,
    ),
    _file(
        "S4",
        "A kind or version of this API is not known.",
        "kind 'DRPlam' is not known in dr.bkbcs.tencent.com/v1alpha1; did you mean 'DRPlan'?",
    ),
    _file(
        "S5",
        "An object has a name that the API server accepts.",
        "name 'Site Failover' must consist of lower case letters, digits, '-' and '.', begin and end with a letter or "
        "digit, and have at most 253 characters",
    ),
    _file(
        "S6",
        "An object is given twice.",
        "DRPlan default/site-failover is also at plans/all.yaml:3:1, the last one counts",
        Severity.WARNING,
    ),
    _file(
        "S7",
        "A reference names no object of the files, but nearly one of them.",
        "workflow default/switch-ovr is not among the files; did you mean default/switch-over?",
        Severity.WARNING,
    ),
)

CATALOGUE: Final[tuple[Rule, ...]] = (*_WORKFLOWS, *_PLANS, *_EXECUTIONS, *_NOTICES, *_SCHEMA)
"""All rules, grouped and in the order of their numbers."""

RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in CATALOGUE}
"""The rules by id."""
