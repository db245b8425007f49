"""The rules of DRWorkflows, in the order of their numbers."""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.rule import WORKFLOW, Checked, Rule

_A: Final = "action[0] 'a': "
_OWN: Final = (
    "namespace drplan-system is the controller's own, actions may not write to it, nor they or parameters read it; "
    "use another namespace"
)
_NUMBER: Final = 'must be a decimal number, because the type is number; found "many"'
_MODE: Final = 'parameter name "mode" is reserved; use spec.mode of the execution instead'
_PATTERN: Final = "must match [a-zA-Z][a-zA-Z0-9_-]*"
_CLUSTER: Final = Checked.CLUSTER


def _workflow(id_: str, checks: str, example: str) -> Rule:
    return Rule(id_, WORKFLOW, checks, example)


WORKFLOWS: Final[tuple[Rule, ...]] = (
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
        "A Patch comes with a `rollback`, or with `rollbackPolicy: Restore`.",
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
        "Every document of a manifest is YAML with apiVersion, kind and metadata.name; it has at most 1000 objects.",
        f"{_A}KubernetesResource.Manifest: apiVersion, metadata.name are required",
    ),
    _workflow("W28", "A rollback block can be decoded.", f'{_A}rollback: timeout must be text, found 5: write "5"'),
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
        "`valueFrom.manifestRef` is complete, with possible names; its JSONPath and label selector can be parsed.",
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
        "action[1] 'b': outputs.drains in when can never be there: the workflow has no action 'drains'; "
        "did you mean 'drain'?",
    ),
    _workflow(
        "W39",
        "An HTTP request can be sent: address, names and values of headers, certificates, time.",
        f"{_A}HTTP.URL must begin with http:// or https://, found 'htpp'; did you mean 'http'?",
    ),
    _workflow(
        "W40",
        "Placeholders of a manifestRef can be resolved before the first action.",
        "parameter[0](x).valueFrom.manifestRef: $(outputs.a.body) in name cannot be resolved: references are read "
        "before the first action, when there are no outputs",
    ),
    _workflow(
        "W60",
        "`readyWhen` is the name of a condition or a CEL expression over `object`, on a KubernetesResource action with "
        "`waitReady`.",
        f"{_A}readyWhen has no effect without waitReady: add waitReady: true, or remove readyWhen",
    ),
    _workflow(
        "W61",
        "An action can be taken back as its `rollbackPolicy` says, and has no `rollback` beside it.",
        f"{_A}rollbackPolicy Restore: the data of Secrets is not recorded, so Secret shop/db cannot be given back: "
        "give the action a rollback block, or rollbackPolicy: None",
    ),
    _workflow(
        "W45",
        "What an action touches or reads is called what objects can be called, also by the workflow's own values.",
        f"{_A}KubernetesResource.Manifest: metadata.name must not be '.' or '..', or have '/' or '%' in it, found "
        '"../x"',
    ),
    _workflow(
        "W46",
        "No action touches what is out of bounds (docs/security.md), also by the workflow's own values.",
        f"{_A}Job: Job is refused: {_OWN}",
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
