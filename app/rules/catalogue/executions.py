"""The rules of DRPlanExecutions, in the order of their numbers."""

from __future__ import annotations

from typing import Final

from app.rules.catalogue.rule import EXECUTION, Checked, Rule

_USE: Final = "stage[0] 's' workflow[0]: "
_NUMBER: Final = 'must be a decimal number, because the type is number; found "many"'
_PATTERN: Final = "must match [a-zA-Z][a-zA-Z0-9_-]*"
_CLUSTER: Final = Checked.CLUSTER


def _execution(id_: str, checks: str, example: str, checked: Checked = Checked.EVERYWHERE) -> Rule:
    return Rule(id_, EXECUTION, checks, example, checked=checked)


EXECUTIONS: Final[tuple[Rule, ...]] = (
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
        "Required parameters, and what manifestRefs and the actions that take part name in placeholders and `when`, "
        "have a value.",
        f"{_USE}parameter 'site' of workflow default/w is required and has no value; give one in spec.params",
    ),
    _execution(
        "E25",
        "The status of the run fits into an object.",
        "the status of a run of plan p is estimated at 1707 KiB even with all texts shortened, more than the 1024 KiB "
        "that fit: split the plan into several",
    ),
    _execution(
        "E26",
        "Placeholders of a manifestRef can be resolved before the first action.",
        "params[0](x).valueFrom.manifestRef: $(params.k) in kind is not replaced: only namespace, name and "
        "labelSelector take placeholders",
    ),
    _execution(
        "E27",
        "A manifestRef has names that objects can have, and a label selector that can be parsed.",
        "params[0](x).valueFrom.manifestRef: namespace is required, because a ConfigMap is namespaced",
    ),
    _execution(
        "E45",
        "The values of a run make no name, of what is touched or read, that objects cannot have.",
        f"{_USE}action 'a' of workflow default/w: Job: namespace must consist of lower case letters, digits and '-', "
        'and have at most 63 characters, found "..", by the values of its parameters',
    ),
    _execution(
        "E46",
        "The values of a run lead no action to what is out of bounds (docs/security.md).",
        f"{_USE}action 'a' of workflow default/w: Job: Job is refused: namespace drplan-system is the controller's "
        "own, actions may not write to it, nor they or parameters read it; use another namespace, by the values of its "
        "parameters",
    ),
    _execution("E30", "The spec of an execution never changes.", "cannot modify spec after creation", checked=_CLUSTER),
    _execution(
        "R1",
        "What is taken back was not taken back before.",
        "execution default/t was already reverted by r0",
        checked=_CLUSTER,
    ),
    _execution(
        "R2",
        "What is taken back was recorded at its end, or the user may delete and change all that its status names.",
        'execution default/t has no outcome record, and user "jane" may not delete and change all that its status '
        "names: ConfigMap default/c (may not delete or patch it); let somebody revert it who may, or undo it by hand",
        checked=_CLUSTER,
    ),
    _execution(
        "U6",
        "`mode: Delete` takes workflows with explicit deletes in this release.",
        "mode Delete is not supported yet for workflow default/w, because it has no explicit Delete action: add "
        'actions with operation Delete (and when: mode == "delete"), or run it without mode Delete',
    ),
)
