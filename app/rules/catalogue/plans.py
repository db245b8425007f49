"""The rules of DRPlans, in the order of their numbers."""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.rule import PLAN, Checked, Rule

_USE: Final = "stage[0] 's' workflow[0]: "
_NUMBER: Final = 'must be a decimal number, because the type is number; found "many"'
_MODE: Final = 'parameter name "mode" is reserved; use spec.mode of the execution instead'
_PATTERN: Final = "must match [a-zA-Z][a-zA-Z0-9_-]*"
_CLUSTER: Final = Checked.CLUSTER


def _plan(id_: str, checks: str, example: str, checked: Checked = Checked.EVERYWHERE) -> Rule:
    return Rule(id_, PLAN, checks, example, checked=checked)


PLANS: Final[tuple[Rule, ...]] = (
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
        "`valueFrom.manifestRef` is complete, with possible names; its JSONPath and label selector can be parsed.",
        "globalParams[0](n).valueFrom.manifestRef: apiVersion is required",
    ),
    _plan(
        "P18",
        "Whoever writes the plan may `use` the workflows of other namespaces that it references.",
        f'{_USE}user "jane" may not use workflow other/w (no rule allows it); a plan may only reference workflows of '
        "other namespaces that its author may use: give a Role in namespace other the rule {apiGroups: "
        '["dr.bkbcs.tencent.com"], resources: [drworkflows], resourceNames: [w], verbs: [use]} and bind it to user '
        '"jane"',
        checked=_CLUSTER,
    ),
    _plan(
        "P19",
        "The status of a run fits into an object.",
        "the status of a run of plan p is estimated at 1707 KiB even with all texts shortened, more than the 1024 KiB "
        "that fit: split the plan into several",
    ),
    _plan(
        "P20",
        "Values are of the type that the workflow declares.",
        f"{_USE}the value of parameter 'count' of workflow default/w {_NUMBER}",
    ),
    _plan(
        "P21",
        "Placeholders of a manifestRef can be resolved before the first action.",
        "globalParams[0](n).valueFrom.manifestRef: $(params.n) in name cannot be resolved: it stands for the very "
        "value that is to be read",
    ),
    _plan(
        "P45",
        "The values of a plan make no name, of what is touched or read, that objects cannot have.",
        f"{_USE}action 'a' of workflow default/w: Job: namespace must consist of lower case letters, digits and '-', "
        'and have at most 63 characters, found "a/b", by the values of its parameters',
    ),
    _plan(
        "P46",
        "The values of a plan lead no action to what is out of bounds (docs/security.md).",
        f"{_USE}action 'a' of workflow default/w: Job: Job is refused: namespace drplan-system is the controller's "
        "own, actions may not write to it, nor they or parameters read it; use another namespace, by the values of its "
        "parameters",
    ),
    _plan(
        "P60",
        "A health check is complete: it has a name of its own, and either `http` or `resources`.",
        "healthCheck.checks[0] 'db': a check has either http or resources, none is given",
    ),
    _plan(
        "P61",
        "Numbers and times of health checks are within bounds.",
        "healthCheck.checks[0] 'web': interval must be from 1s to 10m, found 10ms",
    ),
    _plan(
        "P62",
        "What a health check asks or looks at can be asked and looked at; its expressions can be read.",
        "healthCheck.checks[0] 'web': HTTP.URL must begin with http:// or https://, found no scheme",
    ),
    _plan(
        "P63",
        "Placeholders of health checks have a value in every run; objects are named without any.",
        "healthCheck.checks[0] 'web': $(params.host) in http.url cannot be resolved: spec.globalParams gives no "
        "parameter 'host' a value",
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
