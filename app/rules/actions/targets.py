"""What actions touch: names that objects can have, within bounds (rules W45, W46, P45, P46, E45 and E46).

The client that carries an action out decides, after everything is rendered. Here the same is said as early as it is
known: of what an action says by itself, and of what the values of parameters make of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from app.engine.bounds import content_refusal, kind_refusal, namespace_refusal
from app.engine.object_names import api_version_problem, found, kind_problem, name_problem, namespace_problem
from app.engine.templates import Scope, UnresolvedPlaceholdersError, paths_in, render
from app.rules.actions.templated import has_placeholder, may_hold, placeholders_of
from app.rules.findings import Spot

_ENCLOSED: Final = re.compile(r"\$\([^$()]*\)|\{\{[^{}]*\}\}")
"""What may be a placeholder."""
LONGEST: Final = 4096
"""Characters of a templated name that is looked at."""


class TargetObject(NamedTuple):
    """An object that an action touches, as far as it is known; its texts may hold placeholders."""

    member: str
    """The member that names it, below the action."""
    label: str
    """What messages about it begin with."""
    api_version: str
    kind: str
    namespace: str
    """Empty: that of the run, or none."""
    name: str | None
    """None: made up when the action runs."""
    type: str = ""
    in_manifest: bool = True
    """False: `member` has members `namespace` and `name`."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything of it that may hold a placeholder."""
        return self.api_version, self.kind, self.namespace, self.name or "", self.type

    def label_of(self, part: str) -> str:
        """What messages call a part of it."""
        return f"metadata.{part}" if self.in_manifest and part in ("name", "namespace") else part

    def path(self, part: str) -> str:
        """The field path of its name or namespace, below the action."""
        return self.member if self.in_manifest else f"{self.member}.{part}"


class Problem(NamedTuple):
    """Why an action cannot touch an object."""

    out_of_bounds: bool
    """False: nothing can be called so."""
    part: str
    """What is wrong: `apiVersion`, `kind`, `namespace` or `name`."""
    text: str


@dataclass(frozen=True, slots=True)
class Known:
    """The values that placeholders have, as far as they are known before the run."""

    params: Mapping[str, str] = field(default_factory=dict)
    plan_name: str = ""
    execution_name: str = ""
    mode: str = ""
    """In lower case."""

    def rendered(self, target: TargetObject) -> TargetObject:
        """The target with the texts rendered whose values are all known; the others stay as they are."""
        name = None if target.name is None else self._text(target.name)
        return target._replace(
            api_version=self._text(target.api_version),
            kind=self._text(target.kind),
            namespace=self._text(target.namespace),
            name=name,
            type=self._text(target.type),
        )

    def _text(self, text: str) -> str:
        if not may_hold(text) or len(text) > LONGEST:
            return text
        own = {"planName": self.plan_name, "executionName": self.execution_name}
        own |= {"mode": self.mode, "params.mode": self.mode}
        if any(not own.get(path, "?") for path in paths_in(text)):
            return text
        try:
            return render(text, Scope(self.params, self.plan_name, self.execution_name, self.mode))
        except UnresolvedPlaceholdersError:
            return text


def takes_values(target: TargetObject) -> bool:
    """Tell whether parameters, or other values of the run, are part of what names a target."""
    return any(
        may_hold(text) and any(found.root != "outputs" for found in placeholders_of(text)) for text in target.texts
    )


def check_target(spot: Spot, target: TargetObject) -> None:
    """Rules W45 and W46, of what an action says by itself. `spot` is the action or rollback."""
    for problem in problems_of(target, spot.findings.own_namespace):
        rule = "W46" if problem.out_of_bounds else "W45"
        spot.error(rule, f"{target.label}{problem.text}", target.path(problem.part))


def problems_of(target: TargetObject, own_namespace: str) -> Iterator[Problem]:
    """What is wrong with a target, whatever its open placeholders will stand for."""
    illegal = [
        ("apiVersion", target.api_version, api_version_problem(_stood_in(target.api_version))),
        ("kind", target.kind, kind_problem(_stood_in(target.kind))),
        ("namespace", target.namespace, namespace_problem(_stood_in(target.namespace) or "x")),
        ("name", target.name or "", name_problem("x" if target.name is None else _stood_in(target.name))),
    ]
    for part, text, problem in illegal:
        if problem:
            yield Problem(False, part, f"{target.label_of(part)} {problem}{found(text)}")
    if refusal := _refusal(target, own_namespace):
        where = "/".join(part for part in (target.namespace, target.name) if part) if target.name else ""
        part = "namespace" if target.namespace == own_namespace else "name"
        yield Problem(True, part, f"{f'{target.kind} {where}'.strip()} is refused: {refusal}")


def _refusal(target: TargetObject, own: str) -> str:
    if has_placeholder(target.api_version):
        return namespace_refusal(own, target.namespace)
    group = target.api_version.rpartition("/")[0]
    name = target.name or ""
    return (
        kind_refusal(group, kind=target.kind, name=name)
        or namespace_refusal(own, target.namespace, group=group, kind=target.kind, name=name)
        or content_refusal(group, target.kind, target.type)
    )


def _stood_in(text: str) -> str:
    """The text with the shortest legal thing in place of each placeholder: what is wrong then always is."""
    if not may_hold(text) or len(text) > LONGEST:
        return text
    written = {placeholder.text for placeholder in placeholders_of(text)}
    return _ENCLOSED.sub(lambda found: "x" if found[0] in written else found[0], text)
