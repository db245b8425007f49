"""The texts of an action that are templated when it runs, and the placeholders in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

from app.engine.templates import Placeholder, placeholders
from app.engine.text import short
from app.models.actions import (
    BLOCK_MEMBER,
    ActionBody,
    ActionType,
    GlobalizationAction,
    HelmChartAction,
    HttpAction,
    JobAction,
    LocalizationAction,
    ResourceAction,
    SubscriptionAction,
    block_of,
)
from app.models.base import ApiModel
from app.rules.findings import join
from app.rules.remember import remembered

_Trail = tuple[Any, str | int]
"""Where a value stands: the trail of what it is in, and its key or index there."""


class TemplatedText(NamedTuple):
    """One templated text."""

    trail: _Trail
    """Where it stands below the action."""
    text: str
    """The text as written."""

    @property
    def path(self) -> str:
        """Field path below the action; made up when asked for, because few texts have anything to say about."""
        return _path(self.trail)


SHORT = 512
"""Characters of texts whose placeholders are remembered."""


def templated_texts(body: ActionBody, type_: ActionType) -> list[TemplatedText]:
    """The texts of the block of `type_` that are templated and may hold a placeholder.

    Which are templated: contract: actions 8; contract: clusternet 2 and 3.
    """
    block = block_of(body, type_)
    if block is None:
        return []
    return [TemplatedText(trail, text) for trail, text in _texts(block, BLOCK_MEMBER[type_]) if may_hold(text)]


def placeholders_in(body: ActionBody, type_: ActionType) -> list[Placeholder]:
    """Every placeholder of the block of `type_`, in order."""
    return [found for text in templated_texts(body, type_) for found in placeholders_of(text.text)]


@remembered(SHORT)
def placeholders_of(text: str) -> tuple[Placeholder, ...]:
    """Every placeholder in a text, in order, escaped ones left out."""
    return placeholders(text)


def may_hold(text: str) -> bool:
    """Tell by a first look whether a text may hold a placeholder, of ours or of the older form."""
    return "$(" in text or "{{" in text


def has_placeholder(text: str) -> bool:
    """Tell whether a text holds a placeholder."""
    return may_hold(text) and bool(placeholders_of(text))


def _texts(block: ApiModel, member: str) -> Iterator[tuple[_Trail, str]]:
    match block:
        case HttpAction():
            yield (None, "http.url"), block.url
            yield (None, "http.body"), block.body
            for name, value in block.headers.items():
                yield (None, f"http.headers.{name}"), value
        case JobAction():
            yield (None, "job.namespace"), block.namespace
            yield from _leaves("job.template.spec", block.template.spec)
        case ResourceAction():
            yield (None, "resource.manifest"), block.manifest
        case SubscriptionAction():
            yield (None, "subscription.name"), block.name
            yield (None, "subscription.namespace"), block.namespace
            if block.spec is not None:
                yield from _leaves("subscription.spec", block.spec.written())
        case LocalizationAction() | GlobalizationAction() | HelmChartAction():
            yield (None, f"{member}.name"), block.name
            yield (None, f"{member}.namespace"), getattr(block, "namespace", "")
            spec: ApiModel | None = block.spec
            if spec is not None:
                yield from _leaves(f"{member}.spec", spec.written())


def _leaves(path: str, value: object) -> Iterator[tuple[_Trail, str]]:
    """The texts and keys inside a JSON value that may hold a placeholder, in order.

    Without recursion, because nesting is the user's choice.
    """
    pending: list[tuple[_Trail, Any]] = [((None, path), value)]
    while pending:
        trail, node = pending.pop()
        if isinstance(node, str):
            yield trail, node
            continue
        if isinstance(node, dict):
            yield from (((trail, key), key) for key in node if may_hold(key))
        members = reversed(node.items()) if isinstance(node, dict) else reversed([*enumerate(node)])
        for step, member in members:
            if isinstance(member, dict | list) or (isinstance(member, str) and may_hold(member)):
                pending.append(((trail, step), member))


def _path(trail: _Trail) -> str:
    """The field path that a trail stands for."""
    steps: list[str] = []
    rest: _Trail | None = trail
    while rest is not None:
        rest, step = rest
        steps.append(f"[{step}]" if isinstance(step, int) else short(step))
    return reduce(join, reversed(steps))
