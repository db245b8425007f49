"""The texts of an action that are templated when it runs, and the placeholders in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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


class Text(NamedTuple):
    """One templated text."""

    path: str
    """Field path below the action."""
    text: str
    """The text as written."""


class PlaceholderUse(NamedTuple):
    """One use of a placeholder."""

    path: str
    """Field path below the action."""
    placeholder: Placeholder
    """What is used."""


def templated_texts(body: ActionBody, type_: ActionType) -> list[Text]:
    """The texts of the block of `type_` that are templated and may hold a placeholder.

    Which are templated: contract: actions, section 8; clusternet, 2 and 3.
    """
    block = block_of(body, type_)
    return [] if block is None else [text for text in _texts(block, BLOCK_MEMBER[type_]) if _may_hold(text.text)]


def placeholder_uses(body: ActionBody, type_: ActionType) -> list[PlaceholderUse]:
    """Every placeholder of the block of `type_`, each with where it stands."""
    return [
        PlaceholderUse(text.path, found) for text in templated_texts(body, type_) for found in placeholders(text.text)
    ]


def _may_hold(text: str) -> bool:
    return "$(" in text or "{{" in text


def _texts(block: ApiModel, member: str) -> Iterator[Text]:
    match block:
        case HttpAction():
            yield Text("http.url", block.url)
            yield Text("http.body", block.body)
            for name, value in block.headers.items():
                yield Text(f"http.headers.{name}", value)
        case JobAction():
            yield Text("job.namespace", block.namespace)
            yield from _leaves("job.template.spec", block.template.spec)
        case ResourceAction():
            yield Text("resource.manifest", block.manifest)
        case SubscriptionAction():
            yield Text("subscription.name", block.name)
            yield Text("subscription.namespace", block.namespace)
            if block.spec is not None:
                yield Text("subscription.spec.schedulerName", block.spec.scheduler_name or "")
                for index, feed in enumerate(block.spec.feeds):
                    yield from _leaves(f"subscription.spec.feeds[{index}]", feed.written())
        case LocalizationAction() | GlobalizationAction() | HelmChartAction():
            yield Text(f"{member}.name", block.name)
            yield Text(f"{member}.namespace", getattr(block, "namespace", ""))
            spec: ApiModel | None = block.spec
            if spec is not None:
                yield from _leaves(f"{member}.spec", spec.written())


def _leaves(path: str, value: object) -> Iterator[Text]:
    """The texts inside a JSON value, in order; without recursion, because nesting is the user's choice."""
    if not _any_may_hold(value):
        return
    pending = [(path, value)]
    while pending:
        where, node = pending.pop()
        if isinstance(node, str):
            yield Text(where, node)
        elif isinstance(node, dict):
            pending += [(join(where, str(key)), member) for key, member in reversed(node.items())]
        elif isinstance(node, list):
            pending += [(f"{where}[{index}]", item) for index, item in reversed(list(enumerate(node)))]


def _any_may_hold(value: object) -> bool:
    """Whether any text inside may hold a placeholder: most have none, and then no path needs to be made up."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            if _may_hold(node):
                return True
        elif isinstance(node, dict):
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    return False
