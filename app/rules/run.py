"""What a run would need: values for parameters, of the right type, and room for its status.

An execution may bring any parameter, declared or not. So for a plan alone, what has no value yet is a warning; for an
execution, when all levels are known, it is an error before the first action instead of a failure in the middle of a
failover. Placeholders in rollback blocks only warn, because a Revert may bring parameters of its own, and actions whose
`when` surely keeps them out of the run need nothing. `app.rules.parameters.gaps` finds what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.engine.text import short
from app.models.common import Parameter
from app.models.plan import DRPlan, WorkflowReference
from app.models.workflow import DRWorkflow
from app.rules.estimate import MAX_STATUS_BYTES, WorkflowKey, estimate_status_bytes
from app.rules.findings import Spot
from app.rules.parameters.declared import Level, literal, type_problem
from app.rules.parameters.needs import Needs

Workflows = Mapping[WorkflowKey, DRWorkflow | None]
"""Workflows by namespace and name. None: does not exist. A key that is missing: not known, so nothing is said of it."""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a workflow in a plan."""

    stage: int
    index: int
    stage_name: str
    """As messages tell it."""
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
    for index in range(len(plan.spec.stages)):
        yield from uses_of_stage(plan, index)


def uses_of_stage(plan: DRPlan, stage_index: int) -> Iterator[Use]:
    """Every use of a workflow in one stage."""
    stage = plan.spec.stages[stage_index]
    name = short(stage.name)
    for index, reference in enumerate(stage.workflows):
        key = reference.workflow_ref.key_in(plan.metadata.namespace)
        yield Use(stage_index, index, name, key, reference)


def levels_of_uses(plan: DRPlan) -> dict[tuple[int, int], Level]:
    """The parameters of each use that has some, by stage and index."""
    return {
        (stage_index, index): Level(reference.params)
        for stage_index, stage in enumerate(plan.spec.stages)
        for index, reference in enumerate(stage.workflows)
        if reference.params
    }


NO_PARAMETERS = Level(())


@dataclass(frozen=True, slots=True)
class Given:
    """What one use of a workflow needs, and what it is given."""

    use: Use
    needs: Needs
    levels: Sequence[Level]
    """From the lowest on."""
    values: Mapping[str, Parameter]
    """The parameters that give a value, by name."""

    @property
    def workflow(self) -> str:
        """Namespace and name of the workflow, as messages tell them."""
        return "/".join(self.use.key)


def given_to(use: Use, needs: Needs, *upper: Level) -> Given:
    """What a use of a workflow is given; `upper` are the levels above the workflow's own."""
    levels = (needs.level, *upper)
    values: dict[str, Parameter] = {}
    for level in levels:
        values |= level.values
    return Given(use, needs, levels, values)


def check_declared_types(spot: Spot, rule: str, given: Given) -> None:
    """The value that wins for a parameter is of the type that the workflow declares. `spot` is the use or the spec."""
    for declared in given.needs.workflow.spec.parameters:
        winner = given.values.get(declared.name)
        problem = type_problem(declared.type, literal(winner)) if winner is not None else ""
        if problem and winner is not declared:
            text = (
                f"{given.use.prefix}: the value of parameter '{short(declared.name)}' of workflow "
                f"{given.workflow} {problem}"
            )
            spot.error(rule, text, found=declared.name, runnable=True)


def is_too_large(plan: DRPlan) -> bool:
    """Tell whether a run of the plan cannot be recorded, whatever is in its workflows; so they need not be read."""
    return estimate_status_bytes(plan, {}) > MAX_STATUS_BYTES


def check_size(spot: Spot, rule: str, plan: DRPlan, workflows: Workflows) -> None:
    """The status of a run fits (decision D6). `spot` is the member that leads to the plan."""
    estimate = estimate_status_bytes(plan, workflows)
    if estimate > MAX_STATUS_BYTES:
        text = (
            f"the status of a run of plan {plan.metadata.name} is estimated at {estimate / 1024:.0f} KiB even with all "
            f"texts shortened, more than the {MAX_STATUS_BYTES // 1024} KiB that fit: split the plan into several"
        )
        spot.error(rule, text)
