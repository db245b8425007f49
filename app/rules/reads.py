"""What an object makes the controller read from the cluster, and so what its author needs the right to read.

The controller reads with rights of its own. So whoever writes a reference needs the right to read what it names; and
whoever gives a value that a placeholder of a reference takes decides what is read, so they need the right as well:
the author of a plan for the references of its workflows, the creator of an execution for those of plan and workflows.
A text with a placeholder whose value is not known yet may become anything, so the right to everything is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from app.engine.bounds import kind_refusal, namespace_refusal
from app.engine.templates import Scope, UnresolvedPlaceholdersError, paths_in, render
from app.engine.text import short
from app.models.actions import ActionBody
from app.models.common import ManifestRef, Parameter
from app.models.execution import DRPlanExecution
from app.models.phases import Operation
from app.models.plan import DRPlan
from app.models.workflow import DRWorkflow
from app.rules.actions.templated import may_hold
from app.rules.findings import join
from app.rules.health import blocks_of
from app.rules.parameters.declared import RESERVED, Level, literal, values_given
from app.rules.parameters.references import LONGEST, TEMPLATED, open_members, taken_by
from app.rules.run import Use, Workflows, uses

_MANIFEST_REF: Final = "valueFrom.manifestRef"

Values = Mapping[str, Parameter]
"""The parameters that give a value, by name."""


@dataclass(frozen=True, slots=True)
class Read:
    """One object, or one collection, that is read for somebody."""

    path: str
    """Field path of what names it, or of what gives the value that its name takes."""
    prefix: str
    """What messages about it begin with."""
    reference: ManifestRef
    """As far as it is known; a text that may become anything still holds its placeholder."""
    decided_by: tuple[tuple[str, str], ...] = field(default=())
    """The values of this object that its placeholders take, by name: with another value it is another read."""


def new_reads(reads: Iterable[Read], stored: Iterable[Read]) -> list[Read]:
    """Those that the stored object did not have, wherever they stand in it (decision W7)."""
    known = {(read.reference, read.decided_by) for read in stored}
    return [read for read in reads if (read.reference, read.decided_by) not in known]


def out_of_bounds(read: Read, own_namespace: str) -> str:
    """Why nobody has this read (rule A2), as far as the reference is known; the controller looks again when it reads.

    `own_namespace` is the controller's.
    """
    reference = read.reference
    group, _, _ = reference.api_version.rpartition("/")
    name = reference.name if "name" not in open_members(reference) else ""
    return kind_refusal(group, kind=reference.kind, name=name) or namespace_refusal(
        own_namespace, reference.namespace, group=group, kind=reference.kind, name=name
    )


def reads_of_workflow(workflow: DRWorkflow) -> Iterator[Read]:
    """What the parameters of a workflow and the Secrets of its actions read."""
    params = workflow.spec.parameters
    yield from _own(params, "spec.parameters", "parameter", values_given(params))
    for index, action in enumerate(workflow.spec.actions):
        path, prefix = f"spec.actions[{index}]", f"action '{short(action.name)}'"
        yield from _secrets(action, path, prefix, workflow.metadata.namespace)
        try:
            rollback = action.custom_rollback()
        except ValidationError:
            continue
        if rollback is not None:
            yield from _secrets(rollback, join(path, "rollback"), f"{prefix} rollback", workflow.metadata.namespace)


def reads_of_plan(plan: DRPlan, workflows: Workflows) -> Iterator[Read]:
    """What a plan's parameters and health checks read, and workflows whose references take a value of the plan."""
    params = plan.spec.global_params
    yield from _of_checks(plan)
    yield from _own(params, "spec.globalParams", "globalParams", values_given(params))
    for use in uses(plan):
        given = values_given(params, use.reference.params)
        yield from _own(use.reference.params, f"spec.{use.path}.params", f"{use.prefix}: params", given)
        workflow = workflows.get(use.key)
        if workflow is not None:
            yield from _of_workflow(plan, use, workflow, given)


def reads_of_execution(
    execution: DRPlanExecution, plan: DRPlan | None, workflows: Workflows, target: DRPlanExecution | None
) -> Iterator[Read]:
    """What an execution's own parameters read, and what else is read whose name takes a value of the execution."""
    params = execution.spec.params
    yield from _own(params, "spec.params", "params", values_given(params))
    if execution.spec.operation_type is Operation.REVERT:
        inherited = target.spec.params if target is not None else ()
        label = "parameter '{}' of the execution that is reverted"
        yield from _swayed(label, inherited, [inherited], execution)
    elif plan is not None:
        yield from _of_plan(execution, plan, workflows)


def _of_plan(execution: DRPlanExecution, plan: DRPlan, workflows: Workflows) -> Iterator[Read]:
    name, params = plan.metadata.name, plan.spec.global_params
    yield from _swayed("globalParams({})", params, [params], execution, name)
    for use in uses(plan):
        workflow = workflows.get(use.key)
        declared = workflow.spec.parameters if workflow is not None else ()
        levels = [declared, params, use.reference.params]
        where = f"{use.prefix}: parameter '{{}}'"
        yield from _swayed(where, use.reference.params, levels, execution, name)
        above = {parameter.name for parameter in (*params, *use.reference.params) if _gives(parameter)}
        left = [parameter for parameter in declared if parameter.name not in above]
        yield from _swayed(f"{where} of workflow {'/'.join(use.key)}", left, levels, execution, name)


def _own(params: Sequence[Parameter], path: str, label: str, given: Values) -> Iterator[Read]:
    """The references of one list of parameters; `given` are the values of the object that has it."""
    for index, parameter in enumerate(params):
        reference = _reference(parameter)
        if reference is not None:
            prefix = f"{label}[{index}]({short(parameter.name)}).{_MANIFEST_REF}: "
            yield Read(f"{path}[{index}].{_MANIFEST_REF}", prefix, reference, _decided(reference, given))


def _of_workflow(plan: DRPlan, use: Use, workflow: DRWorkflow, given: Values) -> Iterator[Read]:
    """References of a workflow that take a value of the plan, or its name."""
    templated = _templated(workflow.spec.parameters, given)
    if not templated:
        return
    scope = _Scope({**values_given(workflow.spec.parameters), **given}, plan.metadata.name)
    for name, reference in templated:
        decided = _decided(reference, given)
        if decided or "planName" in _paths(reference):
            prefix = f"{use.prefix}: parameter '{short(name)}' of workflow {'/'.join(use.key)}: "
            yield Read(f"spec.{use.path}", prefix, scope.narrowed(reference), decided)


def _swayed(
    label: str,
    params: Sequence[Parameter],
    levels: Sequence[Sequence[Parameter]],
    execution: DRPlanExecution,
    plan_name: str = "",
) -> Iterator[Read]:
    """References of others that take a value of the execution, or its name; `levels` are those below its own.

    A value that was itself read from what the execution chose counts as the execution's.
    """
    own = values_given(execution.spec.params)
    templated = _templated(params, own)
    if not templated:
        return
    scope = _Scope(values_given(*levels, execution.spec.params), plan_name, execution.metadata.name)
    swayed = _swayed_names(own, scope.values)
    for name, reference in templated:
        taken = any(each.name in swayed for each in taken_by(reference))
        if taken or "executionName" in _paths(reference):
            where = "spec.params" if taken else "metadata.name"
            yield Read(where, f"{label.format(short(name))}: ", scope.narrowed(reference))


def _swayed_names(own: Values, values: Values) -> set[str]:
    """Parameters that have a value of the execution, directly or by a reference whose placeholders take one."""
    swayed = set(own)
    takes = {name: {each.name for each in taken} for name, taken in Level(tuple(values.values())).takes.items()}
    while more := {name for name, taken in takes.items() if name not in swayed and taken & swayed}:
        swayed |= more
    return swayed


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is known of the values that references take, before the run."""

    values: Values
    plan_name: str = ""
    execution_name: str = ""

    def narrowed(self, reference: ManifestRef) -> ManifestRef:
        """The reference with the texts rendered whose values are all known."""
        texts = {member: self._text(getattr(reference, member)) for _, member in TEMPLATED}
        return reference.model_copy(update=texts)

    def _text(self, text: str) -> str:
        paths = paths_in(text) if may_hold(text) and len(text) <= LONGEST else []
        known = {"planName": self.plan_name, "executionName": self.execution_name}
        if "mode" in paths or "params.mode" in paths or any(not known.get(path, "?") for path in paths):
            return text
        literals = {name: value for name, each in self.values.items() if (value := literal(each)) is not None}
        literals.pop(RESERVED, None)
        try:
            return render(text, Scope(literals, self.plan_name, self.execution_name))
        except UnresolvedPlaceholdersError:
            return text


def _of_checks(plan: DRPlan) -> Iterator[Read]:
    """The objects that health checks look at, and the Secrets whose values they send."""
    home = plan.metadata.namespace
    for path, owner, block in blocks_of(plan.spec):
        for number, check in enumerate(block.checks):
            where, prefix = f"spec.{path}.checks[{number}]", f"{owner}health check '{short(check.name)}'"
            if check.http is not None:
                yield from _secrets(ActionBody(http=check.http.request()), where, prefix, home)
            for index, each in enumerate(check.resources):
                reference = ManifestRef(
                    api_version=each.api_version,
                    kind=each.kind,
                    namespace=each.namespace or home,
                    name=each.name,
                    json_path="{.status}",
                )
                yield Read(f"{where}.resources[{index}]", f"{prefix} resources[{index}]: ", reference)


def _secrets(body: ActionBody, path: str, prefix: str, namespace: str) -> Iterator[Read]:
    """Secrets whose values an HTTP action sends; they are of the workflow's own namespace."""
    if body.http is None:
        return
    for index, header in enumerate(body.http.headers_from):
        where = f"http.headersFrom[{index}].secretKeyRef"
        yield _secret(join(path, where), f"{prefix} {where}: ", namespace, header.secret_key_ref.name)
    if body.http.client_certificate_secret_ref is not None:
        where = "http.clientCertificateSecretRef"
        yield _secret(join(path, where), f"{prefix} {where}: ", namespace, body.http.client_certificate_secret_ref.name)


def _secret(path: str, prefix: str, namespace: str, name: str) -> Read:
    reference = ManifestRef(api_version="v1", kind="Secret", namespace=namespace, name=name, json_path="{.data}")
    return Read(path, prefix, reference)


def _reference(parameter: Parameter) -> ManifestRef | None:
    return parameter.value_from.manifest_ref if parameter.value_from is not None else None


def _gives(parameter: Parameter) -> bool:
    return bool(values_given([parameter]))


def _templated(params: Sequence[Parameter], shadowing: Values) -> list[tuple[str, ManifestRef]]:
    """The references among `params` that have a placeholder, by name; those that `shadowing` decides are not read."""
    read = (each for each in params if each.name not in shadowing and literal(each) is None)
    references = ((each.name, _reference(each)) for each in read)
    return [(name, reference) for name, reference in references if reference is not None and _paths(reference)]


def _decided(reference: ManifestRef, given: Values) -> tuple[tuple[str, str], ...]:
    """The values among `given` that the placeholders of a reference take; one that is read itself as its reference."""
    names = {each.name for each in taken_by(reference)}
    return tuple((name, _value(given[name])) for name in sorted(names & given.keys()))


def _value(parameter: Parameter) -> str:
    known = literal(parameter)
    reference = _reference(parameter)
    return known if known is not None else "" if reference is None else reference.model_dump_json()


def _paths(reference: ManifestRef) -> set[str]:
    texts = (getattr(reference, member) for _, member in TEMPLATED)
    return {path for text in texts if may_hold(text) and len(text) <= LONGEST for path in paths_in(text)}
