"""The texts of an action that are templated when it runs, and the placeholders in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

from app.engine.templates import Placeholder, placeholders
from app.models.actions import (
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
from app.rules.blocks import BLOCK_MEMBER
from app.rules.findings import join
from app.rules.remember import remembered

_Trail = tuple[Any, str | int]
"""Where a value stands: the trail of what it is in, and its key or index there."""


class Text(NamedTuple):
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


def templated_texts(body: ActionBody, type_: ActionType) -> list[Text]:
    """The texts of the block of `type_` that are templated and may hold a placeholder.

    Which are templated: contract: actions, section 8; clusternet, 2 and 3.
    """
    block = block_of(body, type_)
    return [] if block is None else [text for text in _texts(block, BLOCK_MEMBER[type_]) if _may_hold(text.text)]


def placeholders_in(body: ActionBody, type_: ActionType) -> list[Placeholder]:
    """Every placeholder of the block of `type_`, in order."""
    return [found for text in templated_texts(body, type_) for found in placeholders_of(text.text)]


@remembered(SHORT)
def placeholders_of(text: str) -> tuple[Placeholder, ...]:
    """Every placeholder in a text, in order, escaped ones left out."""
    return placeholders(text)


def _may_hold(text: str) -> bool:
    return "$(" in text or "{{" in text


def _texts(block: ApiModel, member: str) -> Iterator[Text]:
    match block:
        case HttpAction():
            yield Text((None, "http.url"), block.url)
            yield Text((None, "http.body"), block.body)
            for name, value in block.headers.items():
                yield Text((None, f"http.headers.{name}"), value)
        case JobAction():
            yield Text((None, "job.namespace"), block.namespace)
            yield from _leaves("job.template.spec", block.template.spec)
        case ResourceAction():
            yield Text((None, "resource.manifest"), block.manifest)
        case SubscriptionAction():
            yield Text((None, "subscription.name"), block.name)
            yield Text((None, "subscription.namespace"), block.namespace)
            if block.spec is not None:
                yield Text((None, "subscription.spec.schedulerName"), block.spec.scheduler_name or "")
                for index, feed in enumerate(block.spec.feeds):
                    yield from _leaves(f"subscription.spec.feeds[{index}]", feed.written())
        case LocalizationAction() | GlobalizationAction() | HelmChartAction():
            yield Text((None, f"{member}.name"), block.name)
            yield Text((None, f"{member}.namespace"), getattr(block, "namespace", ""))
            spec: ApiModel | None = block.spec
            if spec is not None:
                yield from _leaves(f"{member}.spec", spec.written())


def _leaves(path: str, value: object) -> Iterator[Text]:
    """The texts inside a JSON value that may hold a placeholder, in order.

    Without recursion, because nesting is the user's choice. Where they stand is a trail.
    """
    pending: list[tuple[_Trail, object]] = [((None, path), value)]
    while pending:
        trail, node = pending.pop()
        if isinstance(node, str):
            if _may_hold(node):
                yield Text(trail, node)
        elif isinstance(node, dict):
            pending += [((trail, key), member) for key, member in reversed(node.items())]
        elif isinstance(node, list):
            pending += [((trail, index), node[index]) for index in range(len(node) - 1, -1, -1)]


def _path(trail: _Trail) -> str:
    """The field path that a trail stands for."""
    steps: list[str] = []
    rest: _Trail | None = trail
    while rest is not None:
        rest, step = rest
        steps.append(f"[{step}]" if isinstance(step, int) else step)
    return reduce(join, reversed(steps))
