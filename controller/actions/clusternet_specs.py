"""Specs of Clusternet objects: what must be given, what is rendered, what is defaulted (contract: clusternet 2 and 3).

What is sent is what the user wrote; defaults are added for objects that may come into being, never to a Patch
(decision W8). Placeholders are replaced in single texts, so that a value keeps its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.engine.gotext import quote
from app.engine.templates import RenderBudget, RenderedTooLargeError, Scope, UnresolvedPlaceholdersError, render
from app.models.actions import (
    GlobalizationAction,
    HelmChartAction,
    LocalizationAction,
    ResourceOperation,
    SubscriptionAction,
)
from app.models.clusternet import Feed, LocalizationSpec

JsonObject = dict[str, Any]
_Path = tuple[str | int, ...]

_OVERRIDE_DEFAULTS = {"overridePolicy": "ApplyLater", "priority": 500}
_HELM_CHART_DEFAULTS = {"createNamespace": True, "timeoutSeconds": 300}
_SUBSCRIPTION_DEFAULTS = {
    "schedulerName": "default",
    "schedulingStrategy": "Replication",
    "preemptionPolicy": "PreemptLowerPriority",
}


class SpecError(ValueError):
    """A spec cannot be made up; the message has all its problems."""


def localization_spec(block: LocalizationAction, operation: ResourceOperation, scope: Scope) -> JsonObject:
    """Return the Localization spec to send. Raises SpecError."""
    if block.spec is None:
        raise SpecError("Localization.Spec is required")
    _require_feed(block.spec, "Localization", operation)
    spec = _rendered(block.spec.written(), scope, lambda path: _override_label("Localization", path))
    return _with_defaults(spec, _OVERRIDE_DEFAULTS, operation)


def globalization_spec(block: GlobalizationAction, operation: ResourceOperation, scope: Scope) -> JsonObject:
    """Return the Globalization spec to send. Raises SpecError."""
    if block.spec is None:
        raise SpecError("Globalization.Spec is required")
    _require_feed(block.spec, "Globalization", operation)
    spec = _rendered(block.spec.written(), scope, lambda path: _override_label("Globalization", path))
    return _with_defaults(spec, _OVERRIDE_DEFAULTS, operation)


def helm_chart_spec(block: HelmChartAction, operation: ResourceOperation, scope: Scope) -> JsonObject:
    """Return the HelmChart spec to send. Raises SpecError."""
    if block.spec is None:
        raise SpecError("HelmChart.Spec is required")
    spec = _rendered(block.spec.written(), scope, lambda _: "HelmChart spec")
    if operation is not ResourceOperation.PATCH:
        for key, name in (("repo", "Repo"), ("chart", "Chart"), ("targetNamespace", "TargetNamespace")):
            if not spec.get(key):
                raise SpecError(f"HelmChart.Spec.{name} is required")
    return _with_defaults(spec, _HELM_CHART_DEFAULTS, operation)


def subscription_spec(block: SubscriptionAction, operation: ResourceOperation, scope: Scope) -> JsonObject:
    """Return the Subscription spec to send. Raises SpecError."""
    if block.spec is None:
        raise SpecError("Subscription.Spec is required")
    spec = _rendered(block.spec.written(), scope, _subscription_label)
    return _with_defaults(spec, _SUBSCRIPTION_DEFAULTS, operation)


def _require_feed(spec: LocalizationSpec, kind: str, operation: ResourceOperation) -> None:
    feed = spec.feed or Feed(api_version="", kind="", name="")
    if operation is not ResourceOperation.PATCH and not (feed.api_version and feed.kind and feed.name):
        raise SpecError(f"{kind}.Spec.Feed (apiVersion, kind, name) is required")


def _with_defaults(spec: JsonObject, defaults: Mapping[str, Any], operation: ResourceOperation) -> JsonObject:
    return spec if operation is ResourceOperation.PATCH else {**defaults, **spec}


def _override_label(kind: str, path: _Path) -> str:
    match path:
        case ("overrides", int(index), *rest):
            return f"override[{index}] {'.'.join(map(str, rest))}"
        case ("feed", member):
            return f"feed {member}"
        case (head, *_):
            return f"{kind} {head}"
    return kind


def _subscription_label(path: _Path) -> str:
    match path:
        case ("feeds", int(index), member):
            return f"feed[{index}] {member}"
        case ("subscribers", int(index), *rest):
            return f"subscriber[{index}] {'.'.join(map(str, rest))}"
        case ("schedulerName",):
            return "SchedulerName"
    return f"Subscription {'.'.join(map(str, path))}"


def _text(text: str, scope: Scope, what: str, budget: RenderBudget | None = None) -> str:
    try:
        return render(text, scope, budget)
    except UnresolvedPlaceholdersError as error:
        raise SpecError(f"failed to render {what}: {error}") from error


def _rendered(spec: JsonObject, scope: Scope, label: Callable[[_Path], str]) -> JsonObject:
    """Return `spec` with every text in it rendered, keys too. Raises SpecError naming each text that cannot be."""
    problems: list[str] = []
    budget = RenderBudget()

    def walk(value: Any, path: _Path) -> Any:  # noqa: ANN401 - decoded JSON
        if isinstance(value, dict):
            return members(value, path)
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        return text(value, path) if isinstance(value, str) else value

    def members(value: JsonObject, path: _Path) -> JsonObject:
        rendered: JsonObject = {}
        for key, member in value.items():
            name = text(key, path)
            if name in rendered:
                problems.append(f"failed to render {label(path)}: {quote(key)} and another key both give {quote(name)}")
            rendered[name] = walk(member, (*path, key))
        return rendered

    def text(value: str, path: _Path) -> str:
        try:
            return _text(value, scope, label(path), budget)
        except SpecError as error:
            if isinstance(error.__cause__, RenderedTooLargeError):
                raise
            problems.append(str(error))
            return value

    rendered: JsonObject = walk(spec, ())
    if problems:
        raise SpecError("; ".join(problems))
    return rendered
