"""The parameters of a run, resolved at its start (contract: actions 8; decisions P7, P8, P9).

Levels, from the lowest: the workflow's parameters, the plan's globalParams, the params of the workflow's use in a
stage, the execution's. At each level `value` wins over `valueFrom` over `default`; none of them leaves it to the level
below.
What a higher level decides is not read from the cluster: a failover must not fail for a value it does not use.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.engine.templates import Scope, UnresolvedPlaceholdersError, render
from app.engine.text import MASK, cut
from app.models.common import ManifestRef, Parameter
from app.models.execution import DRPlanExecution, ResolvedParam
from app.models.phases import Mode, Operation
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.parameters.declared import RESERVED, literal, type_problem, values_given
from app.rules.run import Use, uses
from controller.references import ManifestLookupError, ParameterError, Reader, Value, read_value


@dataclass(frozen=True, slots=True)
class SecretParam:
    """A parameter whose value is in a Secret: where to read it, never the value (invariant 11)."""

    manifest_ref: ManifestRef
    """Rendered."""


Values = Mapping[str, str | SecretParam]


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """All parameters of a run. `mode` is in none of the mappings: it cannot be overridden (decision P8)."""

    mode: str
    """Lower-case mode of the run."""
    mode_assumed: bool
    """True when the execution names no mode and install was taken (decision P7)."""
    run: Values
    """Of the plan and the execution."""
    workflows: Mapping[tuple[int, int], Values]
    """Of each use of a workflow, by index of its stage and index within the stage."""


def plain_values(values: Values) -> dict[str, str]:
    """Return the values that may be stored."""
    return {name: value for name, value in values.items() if isinstance(value, str)}


def secret_refs(values: Values) -> dict[str, ManifestRef]:
    """Return where the values are that may not be stored."""
    return {name: value.manifest_ref for name, value in values.items() if isinstance(value, SecretParam)}


def shown(values: Values) -> tuple[ResolvedParam, ...]:
    """Return `values` as a status shows them, secret ones masked and long ones cut (decisions D2 and D6)."""
    return tuple(
        ResolvedParam(name=name, value=MASK if isinstance(value, SecretParam) else cut(value))
        for name, value in sorted(values.items())
    )


async def resolve_run(
    plan: DRPlan,
    workflows: Mapping[tuple[str, str], DRWorkflow],
    execution: DRPlanExecution,
    reader: Reader,
    *,
    supplied: Collection[str] = (),
) -> ResolvedRun:
    """Resolve the parameters of a run; `workflows` has every workflow of the plan by namespace and name.

    `supplied` are names that somebody gives a value later, so that they may be required. Raises ParameterError with
    all problems together, and KubeError when the API server is away, so that the caller can try again.
    """
    return await _Resolution(plan, workflows, execution, reader, supplied).run()


class _Resolution:
    def __init__(
        self,
        plan: DRPlan,
        workflows: Mapping[tuple[str, str], DRWorkflow],
        execution: DRPlanExecution,
        reader: Reader,
        supplied: Collection[str],
    ) -> None:
        self._plan = plan
        self._workflows = workflows
        self._execution = execution
        self._own = execution.spec.params
        self._supplied = supplied
        self._reader = reader
        self._reverting = execution.spec.operation_type is Operation.REVERT
        self._read: dict[ManifestRef, Value] = {}
        self._problems: list[str] = []
        mode = Mode.ROLLBACK if self._reverting else execution.spec.mode
        self._assumed = mode is None
        self._mode = (mode or Mode.INSTALL).lower()

    async def run(self) -> ResolvedRun:
        plan_level, own_level = self._plan.spec.global_params, self._own
        given = _given(plan_level, own_level)
        values: dict[str, str | SecretParam] = {**_literals(given)}
        own = _given(own_level)
        await self._read_into(values, {n: p for n, p in given.items() if n not in own}, "plan global params")
        revert = "revert " if self._reverting else ""
        await self._read_into(values, own, f"{revert}execution params")
        found = {(use.stage, use.index): await self._of_use(use, values) for use in uses(self._plan)}
        if self._problems:
            raise ParameterError(list(dict.fromkeys(self._problems)))
        return ResolvedRun(self._mode, self._assumed, values, found)

    async def _of_use(self, use: Use, run: Values) -> Values:
        workflow = self._workflows[use.key]
        own = _given(self._own)
        stage = {n: p for n, p in _given(use.reference.params).items() if n not in own}
        above = {**_given(self._plan.spec.global_params), **stage, **own}
        declared = {n: p for n, p in _given(workflow.spec.parameters).items() if n not in above}
        values = {**run, **_literals(declared)}
        for name in stage:
            values.pop(name, None)
        values |= _literals(stage)
        name = "/".join(use.key)
        await self._read_into(values, declared, f"params of workflow {name}")
        await self._read_into(values, stage, f'params of workflow {name} in stage "{use.stage_name}"')
        levels = (workflow.spec.parameters, self._plan.spec.global_params, use.reference.params, self._own)
        await self._check(f'workflow {name} in stage "{use.stage_name}"', levels, values)
        return values

    async def _read_into(
        self, values: dict[str, str | SecretParam], given: Mapping[str, Parameter], level: str
    ) -> None:
        """Add what `given` reads from the cluster to `values`; their references see the values known before."""
        scope = self._scope(values)
        hidden = {name for name, value in values.items() if isinstance(value, SecretParam)}
        for name, parameter in given.items():
            if literal(parameter) is not None or parameter.value_from is None:
                continue
            written = parameter.value_from.manifest_ref
            if written is None:
                continue
            try:
                ref = _rendered(written, scope, hidden)
                value = await self._value(ref)
            except ManifestLookupError as error:
                self._problems.append(f'resolving {level}: resolving param "{name}": {error}')
            else:
                values[name] = SecretParam(ref) if value.secret else value.text

    async def _value(self, ref: ManifestRef) -> Value:
        if ref not in self._read:
            self._read[ref] = await read_value(ref, self._reader)
        return self._read[ref]

    def _scope(self, values: Values) -> Scope:
        return Scope(
            params=plain_values(values),
            plan_name=self._plan.metadata.name,
            execution_name=self._execution.metadata.name,
            mode=self._mode,
        )

    async def _check(self, where: str, levels: Sequence[Sequence[Parameter]], values: Values) -> None:
        """Enforce `required` and `type` as any level declares them."""
        failed = {name for name in _given(*levels) if name not in values}
        for parameter in (parameter for level in levels for parameter in level if parameter.name != RESERVED):
            name = parameter.name
            if name in failed:
                continue
            if name not in values:
                if parameter.required and name not in self._supplied:
                    self._problems.append(f'{where}: parameter "{name}" is required, and no level gives it a value')
                continue
            value = values[name]
            hidden = isinstance(value, SecretParam)
            text = (await self._value(value.manifest_ref)).text if isinstance(value, SecretParam) else value
            problem = type_problem(parameter.type, text, hidden=hidden)
            if problem:
                self._problems.append(f'{where}: parameter "{name}" {problem}')


def _given(*levels: Sequence[Parameter]) -> dict[str, Parameter]:
    return {name: parameter for name, parameter in values_given(*levels).items() if name != RESERVED}


def _literals(given: Mapping[str, Parameter]) -> dict[str, str]:
    found = {name: literal(parameter) for name, parameter in given.items()}
    return {name: value for name, value in found.items() if value is not None}


def _rendered(ref: ManifestRef, scope: Scope, hidden: set[str]) -> ManifestRef:
    """Return `ref` with its templated members rendered. Raises ManifestLookupError with all problems."""
    texts, problems = {}, []
    for member, label in (("namespace", "namespace"), ("name", "name"), ("label_selector", "labelSelector")):
        try:
            texts[member] = render(getattr(ref, member), scope)
        except UnresolvedPlaceholdersError as error:
            secret = [text for text in error.names if any(f"params.{name})" in text for name in hidden)]
            hint = " (its value is in a Secret and cannot be part of a reference)" if secret else ""
            problems.append(f"rendering {label}: {error}{hint}")
    if problems:
        raise ManifestLookupError("; ".join(problems))
    return ref.model_copy(update=texts)
