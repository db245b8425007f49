"""References of parameters to objects of the cluster (`valueFrom.manifestRef`), as they are written.

`namespace`, `name` and `labelSelector` are templated when a run starts, before its first action (contract: actions 8).
What can never be read, whatever the cluster holds, is found here. Which parameters have a value by then is
`app.rules.parameters.sources`' business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from app.engine.jsonpath import JsonPathError, check_syntax
from app.engine.object_names import api_version_problem, kind_problem, name_problem, namespace_problem
from app.engine.templates import paths_in
from app.engine.text import short
from app.models.common import ManifestRef
from app.rules.actions.lookalikes import check_lookalikes
from app.rules.actions.templated import SHORT, TemplatedText, may_hold, placeholders_of
from app.rules.findings import Spot
from app.rules.parameters.label_selector import selector_problem

NAMESPACED: Final = {
    "v1": ("ConfigMap", "Secret", "Service", "Pod", "PersistentVolumeClaim", "ServiceAccount", "Endpoints"),
    "apps/v1": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
    "batch/v1": ("Job", "CronJob"),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
}
"""Kinds by apiVersion of which it is known that they are namespaced, and that their names are domain names."""

TEMPLATED: Final = (("namespace", "namespace"), ("name", "name"), ("labelSelector", "label_selector"))
"""Members of a reference that take placeholders: their wire names, and what the model calls them."""

LONGEST: Final = 4096
"""Characters of a templated text at most. No name is longer than 253, and no sensible selector comes near it."""

_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """The rule ids of one level."""

    api_version: str
    kind: str
    json_path: str
    exclusive: str
    syntax: str
    """JSONPath that cannot be parsed."""
    names: str
    """Names, namespaces and selectors that no object can have."""
    placeholders: str
    """Placeholders that can never be resolved."""


def check_reference(spot: Spot, parameter: str, reference: ManifestRef, rules: ReferenceRules) -> None:
    """Check the reference of a parameter, given by its name. `spot` is the reference."""
    required = (
        (rules.api_version, "apiVersion", reference.api_version),
        (rules.kind, "kind", reference.kind),
        (rules.json_path, "jsonPath", reference.json_path),
    )
    for rule, member, value in required:
        if not value:
            spot.error(rule, f"{member} is required", member)
    if reference.name and reference.label_selector:
        spot.error(rules.exclusive, "name and labelSelector are mutually exclusive", "labelSelector")
    for member, text in _templated(reference):
        if len(text) > LONGEST:
            spot.error(rules.names, f"{member} has more than {LONGEST} characters", member)
            continue
        for path in paths_in(text):
            _check_placeholder(spot, member, path, parameter, rules.placeholders)
        if len(text) <= SHORT:
            check_lookalikes(spot, TemplatedText((None, member), text), placeholders_of(text))
    _check_fixed(spot, reference, rules.placeholders)
    _check_json_path(spot, reference.json_path, rules.syntax)
    for member, problem in _names(reference):
        spot.error(rules.names, f"{member} {problem}", member)


def _templated(reference: ManifestRef) -> list[tuple[str, str]]:
    """The texts of a reference that are rendered when a run starts and may hold a placeholder."""
    members = ((wire, getattr(reference, member)) for wire, member in TEMPLATED)
    return [(wire, text) for wire, text in members if may_hold(text)]


def open_members(reference: ManifestRef) -> tuple[str, ...]:
    """Members, by wire name, that have a placeholder and so may become anything."""
    return tuple(wire for wire, text in _templated(reference) if len(text) > LONGEST or paths_in(text))


class Taken(NamedTuple):
    """A parameter that a reference takes."""

    member: str
    """Where in the reference."""
    name: str


def taken_by(reference: ManifestRef) -> list[Taken]:
    """The parameters that a reference takes, by placeholders that can be resolved; the mode of the run is none."""
    return [
        Taken(member, path[len("params.") :])
        for member, text in _templated(reference)
        if len(text) <= LONGEST
        for path in paths_in(text)
        if path.startswith("params.") and path.count(".") == 1 and path != "params.mode"
    ]


def _check_placeholder(spot: Spot, member: str, path: str, parameter: str, rule: str) -> None:
    """`path` is what the placeholder stands for, `parameter` the name of the one that is to be read."""
    root, *names = path.split(".")
    if root == "outputs":
        why = "references are read before the first action, when there are no outputs"
    elif len(names) > 1:
        why = f"parameters are texts, write $(params.{short(names[0])})"
    elif names == [parameter]:
        why = "it stands for the very value that is to be read"
    else:
        return
    told = f"$({short(path)})"
    spot.error(rule, f"{told} in {member} cannot be resolved: {why}", member, found=told)


def _check_fixed(spot: Spot, reference: ManifestRef, rule: str) -> None:
    """Placeholders where none are replaced, so that no kind of that name is found."""
    for member, text in (("apiVersion", reference.api_version), ("kind", reference.kind)):
        for path in paths_in(text) if may_hold(text) else ():
            told = f"$({short(path)})"
            why = "only namespace, name and labelSelector take placeholders"
            spot.error(rule, f"{told} in {member} is not replaced: {why}", member, found=told)


def _check_json_path(spot: Spot, text: str, rule: str) -> None:
    """Syntax; and rule N18, because a path without braces, or a placeholder outside of them, is a literal text."""
    if not text:
        return
    try:
        check_syntax(text)
    except JsonPathError as error:
        spot.error(rule, str(error), "jsonPath", found=text)
        return
    path = next(iter(paths_in(text)), "") if "$(" in text else ""
    if path:
        told = f"$({short(path)}) in jsonPath is not replaced: only namespace, name and labelSelector take"
        spot.warn("N18", f"{told} placeholders", "jsonPath")
    elif "{" not in text:
        meant = f"{{.{short(text.lstrip('$.'))}}}"
        told = f"jsonPath has no braces, so the value is this very text; did you mean '{meant}'?"
        spot.warn("N18", told, "jsonPath")


def _names(reference: ManifestRef) -> Iterator[tuple[str, str]]:
    """What no object can have or be found by, with what is wrong; templated texts are not known yet."""
    known_kind = reference.kind in NAMESPACED.get(reference.api_version, ())
    fixed_name = reference.name and not may_hold(reference.name)
    if reference.api_version and not may_hold(reference.api_version) and api_version_problem(reference.api_version):
        yield "apiVersion", api_version_problem(reference.api_version)
    if reference.kind and not may_hold(reference.kind) and kind_problem(reference.kind):
        yield "kind", kind_problem(reference.kind)
    if reference.namespace and not may_hold(reference.namespace) and namespace_problem(reference.namespace):
        yield "namespace", namespace_problem(reference.namespace)
    elif known_kind and fixed_name and not reference.namespace:
        yield "namespace", f"is required, because a {reference.kind} is namespaced"
    if fixed_name and name_problem(reference.name):
        yield "name", name_problem(reference.name)
    elif fixed_name and known_kind and not _DOMAIN.fullmatch(reference.name):
        yield "name", "must consist of lower case letters, digits, '-' and '.', and have at most 253 characters"
    if not may_hold(reference.label_selector):
        problem = selector_problem(reference.label_selector)
        if problem:
            yield "labelSelector", f"cannot be parsed: {problem}"
