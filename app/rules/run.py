"""What a run would need: values for parameters, of the right type, and room for its status.

An execution may bring any parameter, declared or not. So for a plan alone, what has no value yet is a warning; for an
execution, when all levels are known, it is an error before the first action instead of a failure in the middle of a
failover. Placeholders in rollback blocks only warn, because a Revert may bring parameters of its own, and actions whose
`when` surely keeps them out of the run need nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from app.models.actions import rollback_type
from app.models.common import Parameter
from app.models.phases import Mode
from app.models.plan import DRPlan, WorkflowReference
from app.models.workflow import DRWorkflow
from app.rules.conditions import missing_for_condition, takes_part
from app.rules.estimate import MAX_STATUS_BYTES, WorkflowKey, estimate_status_bytes
from app.rules.findings import Spot
from app.rules.parameters import RESERVED, literal, type_problem, values_given
from app.rules.texts import PlaceholderUse, placeholder_uses

Workflows = Mapping[WorkflowKey, DRWorkflow | None]
"""Workflows by namespace and name. None: does not exist. A key that is missing: not known, so nothing is said of it."""


Levels = Sequence[Sequence[Parameter]]
"""Parameter lists, from the lowest level on."""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a workflow in a plan."""

    stage: int
    index: int
    stage_name: str
    key: WorkflowKey
    reference: WorkflowReference

    @property
    def prefix(self) -> str:
        """What messages about it begin with."""
        return f"stage[{self.stage}] '{self.stage_name}' workflow[{self.index}]"

    @property
    def path(self) -> str:
        """Its field path below `spec`."""
        return f"stages[{self.stage}].workflows[{self.index}]"


def uses(plan: DRPlan) -> Iterator[Use]:
    """Every use of a workflow, in order; a reference without namespace means the plan's."""
    for stage_index, stage in enumerate(plan.spec.stages):
        for index, reference in enumerate(stage.workflows):
            target = reference.workflow_ref
            key = (target.namespace or plan.metadata.namespace, target.name)
            yield Use(stage_index, index, stage.name, key, reference)


def missing_values(use: Use, workflow: DRWorkflow, levels: Levels, mode: Mode | None) -> list[str]:
    """What one use of a workflow needs and no level gives: required parameters, then placeholders.

    `mode` None stands for any mode.
    """
    given = values_given(*levels)
    modes = tuple(Mode) if mode is None else (mode,)
    name = "/".join(use.key)
    missing = [
        f"{use.prefix}: parameter '{parameter.name}' of workflow {name} is required and has no value"
        for parameter in {parameter.name: parameter for level in levels for parameter in level}.values()
        if parameter.name not in given and _is_required(parameter.name, levels)
    ]
    for action in workflow.spec.actions:
        texts = _without_value(placeholder_uses(action, action.type), given)
        found = [*missing_for_condition(action, given), *(f"{text}, which has no value" for text in texts)]
        if found and any(takes_part(action, each, given) for each in modes):
            where = f"{use.prefix}: action '{action.name}' of workflow {name}"
            missing += [f"{where} uses {text}" for text in found]
    return missing


def missing_in_rollbacks(use: Use, workflow: DRWorkflow, levels: Levels) -> list[str]:
    """Placeholders of rollback blocks that no level gives a value."""
    given = values_given(*levels)
    missing = []
    for action in workflow.spec.actions:
        try:
            rollback = action.custom_rollback()
        except ValidationError:
            continue
        if rollback is None:
            continue
        where = f"{use.prefix}: the rollback of action '{action.name}' of workflow {'/'.join(use.key)}"
        texts = _without_value(placeholder_uses(rollback, rollback_type(rollback, action.type)), given)
        missing += [f"{where} uses {text}, which has no value; a Revert must give one" for text in texts]
    return missing


def _without_value(found: list[PlaceholderUse], given: Mapping[str, Parameter]) -> list[str]:
    """The placeholders of parameters that have no value, each once."""
    missing = (
        use.placeholder.text
        for use in found
        if use.placeholder.root == "params" and use.placeholder.path[0] not in (*given, RESERVED)
    )
    return list(dict.fromkeys(missing))


def _is_required(name: str, levels: Levels) -> bool:
    return any(parameter.required and parameter.name == name for level in levels for parameter in level)


def check_declared_types(spot: Spot, rule: str, use: Use, workflow: DRWorkflow, levels: Levels) -> None:
    """The value that wins for a parameter is of the type that the workflow declares. `spot` is the use or the spec."""
    given = values_given(*levels)
    for declared in workflow.spec.parameters:
        winner = given.get(declared.name)
        problem = type_problem(declared.type, literal(winner)) if winner is not None else ""
        if problem and winner is not declared:
            text = f"{use.prefix}: the value of parameter '{declared.name}' of workflow {'/'.join(use.key)} {problem}"
            spot.error(rule, text, found=declared.name, runnable=True)


def check_size(spot: Spot, rule: str, plan: DRPlan, workflows: Workflows) -> None:
    """The status of a run fits (decision D6). `spot` is the member that leads to the plan."""
    estimate = estimate_status_bytes(plan, workflows)
    if estimate > MAX_STATUS_BYTES:
        text = (
            f"the status of a run of plan {plan.metadata.name} is estimated at {estimate / 1024:.0f} KiB even with all "
            f"texts shortened, more than the {MAX_STATUS_BYTES // 1024} KiB that fit: split the plan into several"
        )
        spot.error(rule, text)
