"""What the values of parameters make of the names of objects that are touched or read.

Rules W45, W46, P45, P46, E45 and E46, as in `app.rules.actions.targets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from app.engine.text import short
from app.models.actions import Action
from app.models.common import Parameter
from app.models.phases import Mode
from app.models.workflow import DRWorkflow
from app.rules.actions.conditions import takes_part
from app.rules.actions.targets import Known, Problem, TargetObject, problems_of
from app.rules.actions.touched import open_targets
from app.rules.findings import Spot
from app.rules.parameters.declared import RESERVED, literal, values_given
from app.rules.run import Given

MOST_VALUES: Final = 20_000
"""Values that are read in the manifests of a workflow to look at its defaults."""
_LONGEST: Final = 512
"""Characters of a target and of all values that are remembered together with what comes of them."""
_ENTRIES: Final = 2048
"""Targets whose problems are remembered."""


def literals(values: Mapping[str, Parameter]) -> dict[str, str]:
    """The values that are known before the run, by name."""
    found = {name: literal(parameter) for name, parameter in values.items()}
    return {name: value for name, value in found.items() if value is not None and name != RESERVED}


def check_defaults(spec: Spot, workflow: DRWorkflow) -> None:
    """Rules W45 and W46 of what the workflow's own values and defaults make of names.

    They count where no plan or execution gives another, so a stored workflow runs all the same. An empty one is taken
    for one that has to be given.
    """
    known = Known(literals(values_given(workflow.spec.parameters)))
    left = MOST_VALUES
    for index, action in enumerate(workflow.spec.actions):
        if not known.params:
            return
        targets, read = open_targets(action, action.type, left)
        left -= read
        inner = spec.below(f"actions[{index}]", f"action[{index}] '{action.name}': ", runnable=True)
        for target in targets:
            for problem in _by_defaults(target, known, spec.findings.own_namespace):
                rule = "W46" if problem.out_of_bounds else "W45"
                text = f"{target.label}{problem.text}, by the values of its parameters"
                inner.error(rule, text, target.path(problem.part))


def _by_defaults(target: TargetObject, known: Known, own_namespace: str) -> Iterable[Problem]:
    """What defaults make of a target; remembered, because the same workflows come again and again."""
    size = sum(map(len, target.texts)) + sum(len(name) + len(value) for name, value in known.params.items())
    if size > _LONGEST:
        return _new_problems(target, known, own_namespace, empty=False)
    return _known_by_defaults(target, tuple(known.params.items()), own_namespace)


@lru_cache(_ENTRIES)
def _known_by_defaults(
    target: TargetObject, params: tuple[tuple[str, str], ...], own_namespace: str
) -> tuple[Problem, ...]:
    return tuple(_new_problems(target, Known(dict(params)), own_namespace, empty=False))


def unusable(given: Given, known: Known, mode: Mode | None, own_namespace: str) -> Iterator[Problem]:
    """What the values of one use of a workflow make of names, of actions that take part; texts tell whose they are.

    `mode` None stands for any mode.
    """
    modes = tuple(Mode) if mode is None else (mode,)
    for each in given.needs.actions:
        if not each.targets or not _takes_part(each.action, modes, given):
            continue
        start = f"{given.use.prefix}: action '{short(each.action.name)}' of workflow {given.workflow}: "
        for target in each.targets:
            for problem in _new_problems(target, known, own_namespace, empty=mode is not None):
                yield problem._replace(text=f"{start}{target.label}{problem.text}, by the values of its parameters")


def unreadable_names(
    params: Sequence[Parameter], values: Mapping[str, Parameter], known: Known
) -> Iterator[tuple[str, Problem]]:
    """What values make of the references among `params`, those that are read, with the path below the list.

    `values` are the parameters that count, by name. What is out of bounds is rule A2's.
    """
    for index, parameter in enumerate(params):
        reference = parameter.value_from.manifest_ref if parameter.value_from is not None else None
        read = values.get(parameter.name) is parameter and literal(parameter) is None
        if reference is None or not read or parameter.name == RESERVED:
            continue
        member = f"[{index}].valueFrom.manifestRef"
        name = reference.name or None
        target = TargetObject(
            member, "", reference.api_version, reference.kind, reference.namespace, name, in_manifest=False
        )
        for problem in _new_problems(target, known, "", empty=True):
            text = f"({short(parameter.name)}).valueFrom.manifestRef: {problem.text}, by the values of its parameters"
            yield target.path(problem.part), problem._replace(text=f"[{index}]{text}")


def _takes_part(action: Action, modes: Iterable[Mode], given: Given) -> bool:
    return any(takes_part(action, mode, given.values) for mode in modes)


def _new_problems(target: TargetObject, known: Known, own_namespace: str, *, empty: bool) -> Iterator[Problem]:
    """What is wrong with a target only once values are known; with `empty` also names that are empty then."""
    rendered = known.rendered(target)
    if rendered == target or (not empty and "" in (rendered.api_version, rendered.kind, rendered.name)):
        return
    before = {(problem.out_of_bounds, problem.part) for problem in problems_of(target, own_namespace)}
    for problem in problems_of(rendered, own_namespace):
        if (problem.out_of_bounds, problem.part) not in before:
            yield problem
