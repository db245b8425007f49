"""Placeholders in the texts of actions: `$(params.x)` and the older `{{ .params.x }}`.

Known placeholders are

- `$(params.NAME)`, `$(params.mode)`, `$(planName)`, `$(executionName)`, `$(mode)`,
- `$(outputs.ACTION.FIELD)`, where FIELD may have dots,
- `{{ .params.NAME }}`, `{{ .planName }}`, `{{ .outputs.ACTION.FIELD }}`.

Both notations are replaced in one pass, so a value is never expanded again. As in Kubernetes, two dollars before a
placeholder of the first notation stand for one: `$$(params.x)` is the text `$(params.x)`, and `$$$(params.x)` a dollar
and the value. Whatever else looks similar (`$(HOSTNAME)`, `$(date +%s)`, `$$(HOSTNAME)`,
`{{ .Values.x }}`) belongs to somebody else and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, cast

from app.engine.gotext import quote

PARAM_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
"""What a parameter may be called; use `fullmatch`."""

MOST_RENDERED = 3 * 1024 * 1024
"""Characters that what is rendered together may have: no request to an API server has more bytes."""

_Json = TypeVar("_Json")

_PARAMS = r"params(?:\.[a-zA-Z][a-zA-Z0-9_-]*)+"
_OUTPUTS = r"outputs(?:\.[a-zA-Z0-9_-]+)+"
_PLACEHOLDER = re.compile(
    rf"(?<!\$)(?P<dollars>\$++)\((?P<path>planName|executionName|mode|{_PARAMS}|{_OUTPUTS})\)"
    rf"|\{{\{{\s*\.(?P<legacy>planName|{_PARAMS}|{_OUTPUTS})\s*\}}\}}"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The values that placeholders of one workflow run stand for."""

    params: Mapping[str, str]
    plan_name: str = ""
    execution_name: str = ""
    mode: str = ""
    """The run's mode in lower case; it also is `params.mode`, whatever `params` says."""
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Fields of finished actions of the same workflow run, by action name."""
    secrets: frozenset[str] = frozenset()
    """Names of parameters whose values must not be shown."""
    conditions: int = 1
    """How many conditions the run has that name more than modes: each gets a share of the time."""


class Placeholder(NamedTuple):
    """One placeholder as found in a text."""

    text: str
    """As written, for example `$(params.x)`."""
    root: str
    """`params`, `outputs`, `planName`, `executionName` or `mode`."""
    path: tuple[str, ...]
    """The names after the root."""


class UnresolvedPlaceholdersError(ValueError):
    """Some placeholders have no value; the message lists each once, in text order."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        """`problems` maps the text of each placeholder to what is wrong with it."""
        self.names = tuple(problems)
        """The placeholders as written."""
        self.problems = dict(problems)
        super().__init__("; ".join(f"failed to resolve {quote(text)}: {why}" for text, why in problems.items()))


class RenderedTooLargeError(UnresolvedPlaceholdersError):
    """A text would become larger than any request may be; the message says how large."""

    def __init__(self, characters: int) -> None:
        super().__init__({})
        self.args = (
            f"with placeholders replaced it would have at least {characters} characters, more than {MOST_RENDERED}: "
            "use fewer placeholders or shorter values",
        )


class RenderBudget:
    """Counts the characters that texts of one request get, before they are put together."""

    def __init__(self) -> None:
        self._used = 0

    def take(self, characters: int) -> None:
        """Count so many more. Raises `RenderedTooLargeError`."""
        self._used += characters
        if self._used > MOST_RENDERED:
            raise RenderedTooLargeError(self._used)


class _UnresolvedError(Exception):
    """Why a single placeholder has no value."""


def placeholders(text: str) -> tuple[Placeholder, ...]:
    """Every placeholder of ours in `text`, in order, escaped ones left out."""
    return tuple(_placeholder(match) for match in _PLACEHOLDER.finditer(text) if not _is_escaped(match["dollars"]))


def paths_in(text: str) -> list[str]:
    """Return what our placeholders in `text` stand for, as `params.x`: each once, in order; escaped ones left out."""
    found = _PLACEHOLDER.findall(text)
    return list(dict.fromkeys(path or legacy for dollars, path, legacy in found if not _is_escaped(dollars)))


def render(text: str, scope: Scope, budget: RenderBudget | None = None) -> str:
    """`text` with its placeholders replaced; raises `UnresolvedPlaceholdersError` naming all that have no value.

    Raises `RenderedTooLargeError` before a text of more than MOST_RENDERED characters is put together; with a `budget`,
    one that would have more together with those rendered before.
    """
    problems: dict[str, str] = {}
    rendered = _render(text, scope, problems, budget or RenderBudget())
    if problems:
        raise UnresolvedPlaceholdersError(problems)
    return rendered


def render_leaves(value: _Json, scope: Scope) -> _Json:
    """Return a copy of a JSON-like value with every string in it rendered, keys too; other values stay as they are.

    Raises `UnresolvedPlaceholdersError` for all of them together, and `RenderedTooLargeError` when they would get more
    than MOST_RENDERED characters together.
    """
    problems: dict[str, str] = {}
    rendered = _render_leaves(value, scope, problems, RenderBudget())
    if problems:
        raise UnresolvedPlaceholdersError(problems)
    return cast(_Json, rendered)


def secret_values(scope: Scope) -> frozenset[str]:
    """Return the values that must not be shown, for `app.engine.text.redact`."""
    return frozenset(value for name in scope.secrets if (value := scope.params.get(name)))


def _is_escaped(dollars: str | None) -> bool:
    """Tell whether the dollars before a placeholder keep it from being one: an even number of them does."""
    return bool(dollars) and len(dollars or "") % 2 == 0


def _placeholder(match: re.Match[str]) -> Placeholder:
    root, *path = (match["path"] or match["legacy"]).split(".")
    text = f"$({match['path']})" if match["path"] else match[0]
    return Placeholder(text, root, tuple(path))


def _render(text: str, scope: Scope, problems: dict[str, str], budget: RenderBudget) -> str:
    budget.take(len(text))

    def replacement(match: re.Match[str]) -> str:
        dollars = "$" * (len(match["dollars"] or "") // 2)
        if _is_escaped(match["dollars"]):
            return f"{dollars}({match['path']})"
        found = _placeholder(match)
        try:
            value = _resolve(found, scope)
        except _UnresolvedError as why:
            problems.setdefault(found.text, str(why))
            return ""
        budget.take(len(value))
        return dollars + value

    return _PLACEHOLDER.sub(replacement, text)


def _render_leaves(value: object, scope: Scope, problems: dict[str, str], budget: RenderBudget) -> object:
    if isinstance(value, str):
        return _render(value, scope, problems, budget)
    if isinstance(value, dict):
        return _render_members(value, scope, problems, budget)
    if isinstance(value, list):
        return [_render_leaves(item, scope, problems, budget) for item in value]
    return value


def _render_members(
    value: Mapping[str, object], scope: Scope, problems: dict[str, str], budget: RenderBudget
) -> dict[str, object]:
    rendered: dict[str, object] = {}
    for key, member in value.items():
        name = _render(key, scope, problems, budget)
        if name in rendered:
            problems.setdefault(key, f"there is another key {quote(name)} beside it")
        rendered[name] = _render_leaves(member, scope, problems, budget)
    return rendered


def _resolve(placeholder: Placeholder, scope: Scope) -> str:
    match placeholder.root:
        case "planName":
            return scope.plan_name
        case "executionName":
            return scope.execution_name
        case "mode":
            return scope.mode
        case "params":
            return _parameter(placeholder.path, scope)
        case _:
            return _output(placeholder.path, scope.outputs)


def _parameter(path: tuple[str, ...], scope: Scope) -> str:
    name, *rest = path
    if name != "mode" and name not in scope.params:
        raise _not_found(name)
    if rest:
        raise _UnresolvedError(f"key {quote(name)} is not a map, cannot resolve {quote('.'.join(rest))}")
    return scope.mode if name == "mode" else scope.params[name]


def _output(path: tuple[str, ...], outputs: Mapping[str, Mapping[str, str]]) -> str:
    """Return the field of an action; an action name may itself have dots, the shortest that fits is taken."""
    actions = [(".".join(path[:n]), ".".join(path[n:])) for n in range(1, len(path) + 1)]
    known = [(action, name) for action, name in actions if action in outputs]
    for action, name in known:
        if name in outputs[action]:
            return outputs[action][name]
    if not known:
        raise _not_found(path[0])
    action, name = known[0]
    if not name:
        raise _UnresolvedError(f"key {quote(action)} is an action, one of its fields must follow")
    raise _not_found(name)


def _not_found(name: str) -> _UnresolvedError:
    return _UnresolvedError(f"key {quote(name)} not found")
