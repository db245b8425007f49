"""Parameters of every level: names, reserved words, duplicates, literal values, sources (decision P8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.gotext import quote
from app.engine.templates import PARAM_NAME, placeholders
from app.engine.text import short
from app.models.common import Parameter, ParameterType
from app.rules.findings import Spot
from app.rules.parameters.references import ReferenceRules, Taken, check_reference, taken_by

RESERVED = "mode"
"""The run's mode: carried beside the parameters, so no parameter may have its name."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class ParameterRules:
    """The rule ids and texts of one level; `name`, `index` and `label` are filled in."""

    label: str
    """What messages call the list, such as `globalParams`."""
    empty: tuple[str, str]
    duplicate: tuple[str, str]
    pattern: str
    reserved: tuple[str, str]
    type: str
    reference: ReferenceRules
    skip_empty: bool = False
    """True: an item without name gets no other finding."""
    exclusive: str = ""
    """Rule that forbids `value` together with `valueFrom`; empty: `value` wins (decision P8)."""
    tolerated: bool = False
    """True: the Go operator did not look at these parameters at all, so stored ones stay runnable."""


def _reference_rules(one: str, placeholders: str) -> ReferenceRules:
    """Rules of a level that tells all but the placeholders by one id."""
    return ReferenceRules(one, one, one, exclusive=one, syntax=one, names=one, placeholders=placeholders)


_ELSEWHERE = 'parameter name "mode" is reserved; use spec.mode of the execution instead'

WORKFLOW_RULES = ParameterRules(
    label="parameter",
    empty=("W21", "name is required"),
    duplicate=("W22", "duplicate parameter name '{name}'"),
    pattern="W30",
    reserved=("W31", _ELSEWHERE),
    type="W32",
    reference=_reference_rules("W33", "W40"),
)
GLOBAL_RULES = ParameterRules(
    label="globalParams",
    empty=("P10", "name is required"),
    duplicate=("P11", "duplicate parameter name '{name}'"),
    pattern="P14",
    reserved=("P15", _ELSEWHERE),
    type="P16",
    reference=_reference_rules("P17", "P21"),
)
STAGE_RULES = ParameterRules(
    label="params",
    empty=("P12", "name is required"),
    duplicate=("P13", "duplicate parameter name '{name}'"),
    pattern="P14",
    reserved=("P15", _ELSEWHERE),
    type="P16",
    reference=_reference_rules("P17", "P21"),
    tolerated=True,
)
EXECUTION_RULES = ParameterRules(
    label="params",
    empty=("E9", "name must not be empty"),
    duplicate=("E12", "duplicate parameter name {quoted}"),
    pattern="E10",
    reserved=("E11", 'parameter name "mode" is reserved; use spec.mode field instead'),
    type="E22",
    reference=ReferenceRules("E14", "E15", "E16", exclusive="E17", syntax="E19", names="E27", placeholders="E26"),
    skip_empty=True,
    exclusive="E13",
)


def check_parameters(spot: Spot, params: Sequence[Parameter], rules: ParameterRules) -> None:
    """Check one list of parameters. `spot` is the list.

    Values and their sources are checked again when they are resolved, and only those that win; so what is wrong with
    them here does not keep a stored object from running.
    """
    seen: set[str] = set()
    for index, parameter in enumerate(params):
        item = spot.below(f"[{index}]", f"{rules.label}[{index}]", runnable=rules.tolerated)
        _check_name(item, parameter.name, rules, seen)
        seen.add(parameter.name)
        if parameter.name or not rules.skip_empty:
            named = item.below("", f"({parameter.name})", runnable=True)
            _check_source(named, parameter, rules)
            _check_literals(named, parameter, rules)


def _check_name(item: Spot, name: str, rules: ParameterRules, seen: set[str]) -> None:
    if not name:
        item.error(rules.empty[0], f": {rules.empty[1]}", "name")
    elif name == RESERVED:
        item.error(rules.reserved[0], f": {rules.reserved[1]}", "name", found=name, runnable=True)
    elif not PARAM_NAME.fullmatch(name):
        text = f": parameter name {quote(short(name))} must match [a-zA-Z][a-zA-Z0-9_-]*"
        item.error(rules.pattern, text, "name", found=name, runnable=True)
    if name in seen and (name or not rules.skip_empty):
        text = rules.duplicate[1].format(name=short(name), quoted=quote(short(name)))
        item.error(rules.duplicate[0], f": {text}", "name", found=name)


def _check_source(item: Spot, parameter: Parameter, rules: ParameterRules) -> None:
    source = parameter.value_from
    if source is None:
        return
    if _text(parameter, parameter.value) and source.manifest_ref is not None and rules.exclusive:
        item.error(rules.exclusive, ": value and valueFrom are mutually exclusive")
    if source.manifest_ref is not None:
        spot = item.below("valueFrom.manifestRef", ".valueFrom.manifestRef: ")
        check_reference(spot, parameter.name, source.manifest_ref, rules.reference)
    elif not gives_value(parameter):
        text = ".valueFrom: only valueFrom.manifestRef is supported yet; this parameter gets no value here"
        item.warn("N3", text, "valueFrom")


def _check_literals(item: Spot, parameter: Parameter, rules: ParameterRules) -> None:
    for member, value in (("value", parameter.value), ("default", parameter.default)):
        problem = type_problem(parameter.type, _text(parameter, value))
        if problem:
            item.error(rules.type, f".{member}: {problem}", member)
        if value and (found := placeholders(value)):
            text = f".{member}: {found[0].text} stays as it is, because values are never expanded: write it where"
            item.warn("N23", f"{text} '{short(parameter.name)}' is used", member)
        if value is not None and _text(parameter, value) is None:
            why = "its value is read from the cluster" if _reads_cluster(parameter) else f"its type is {parameter.type}"
            item.warn("N20", f".{member}: an empty text counts as none, because {why}; leave it out", member)


def type_problem(type_: ParameterType, value: str | None, *, hidden: bool = False) -> str:
    """What keeps `value`, if any, from being of `type_`; empty when nothing does. A `hidden` value is not told."""
    if value is None:
        return ""
    found = "" if hidden else f"; found {_shown(value)}"
    if type_ is ParameterType.NUMBER and not _NUMBER.fullmatch(value):
        return f"must be a decimal number, because the type is number{found}"
    if type_ is ParameterType.BOOLEAN and value not in ("true", "false"):
        return f'must be "true" or "false", because the type is boolean{found}'
    return ""


def _shown(value: str) -> str:
    return quote(value if len(value) <= 40 else value[:40] + "...")


def gives_value(parameter: Parameter) -> bool:
    """True when the parameter gives a value at its level: by `value`, `valueFrom` or `default` (decision P8)."""
    texts = (_text(parameter, parameter.value), _text(parameter, parameter.default))
    return _reads_cluster(parameter) or any(text is not None for text in texts)


def _reads_cluster(parameter: Parameter) -> bool:
    return parameter.value_from is not None and parameter.value_from.manifest_ref is not None


def _text(parameter: Parameter, text: str | None) -> str | None:
    """A value or default as it counts. An empty one is no number and no boolean, and stands for nothing beside a
    reference: there it counts as absent, as all empty ones did for the Go operator.
    """
    is_none = text == "" and (parameter.type is not ParameterType.STRING or _reads_cluster(parameter))
    return None if is_none else text


def reads_secret(parameter: Parameter) -> bool:
    """True when the value is read from a Secret of any API, so that it may not be stored (decision P9)."""
    reference = parameter.value_from.manifest_ref if parameter.value_from and literal(parameter) is None else None
    return reference is not None and reference.kind == "Secret"


def literal(parameter: Parameter) -> str | None:
    """The value as far as it is known without reading the cluster; None when it is not."""
    if (value := _text(parameter, parameter.value)) is not None:
        return value
    return None if _reads_cluster(parameter) else _text(parameter, parameter.default)


def values_given(*levels: Sequence[Parameter]) -> dict[str, Parameter]:
    """The parameters that give a value, by name; later levels win."""
    return {parameter.name: parameter for level in levels for parameter in level if gives_value(parameter)}


class Level:
    """The parameters of one level; what many uses ask of them is worked out once."""

    def __init__(self, params: Sequence[Parameter]) -> None:
        self.params = params
        self.values = values_given(params)
        """Those that give a value, by name."""
        self.names = frozenset(parameter.name for parameter in params)
        self.required = tuple(dict.fromkeys(parameter.name for parameter in params if parameter.required))
        self.takes = {name: taken for name, parameter in self.values.items() if (taken := _taken(parameter))}
        """What the references of those that are read from the cluster take, by name of the parameter."""
        self.taken_names = frozenset(each.name for taken in self.takes.values() for each in taken)


def _taken(parameter: Parameter) -> tuple[Taken, ...]:
    """What the reference takes of other parameters; nothing when the value is known without it."""
    reference = parameter.value_from.manifest_ref if parameter.value_from and literal(parameter) is None else None
    return tuple(each for each in taken_by(reference) if each.name != parameter.name) if reference else ()
