"""Decoding objects: what pydantic refuses, told with wire field paths and, where the contract has one, in its words.

The API server's schema refuses such objects before the webhooks see them. This stands for calls past it, for stored
objects of an older schema, and for the schemaless `rollback`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.engine.gotext import quote
from app.engine.graph import closest
from app.engine.text import short
from app.models.base import ApiModel
from app.rules.findings import MOST_FINDINGS, MOST_TOLD, Finding, Report, did_you_mean
from app.rules.levels import MOST_LEVELS, is_too_deep

M = TypeVar("M", bound=ApiModel)


class Problem(NamedTuple):
    """One member that cannot be decoded."""

    path: str
    """Field path, in wire names."""
    text: str
    """What is wrong, such as `must be a string, found a number`."""


class UndecodableError(ValueError):
    """An object that cannot be decoded; `problems` has every member that is wrong."""

    def __init__(self, kind: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        texts = "; ".join(f"{problem.path} {problem.text}" for problem in problems[:MOST_TOLD])
        if len(problems) > MOST_TOLD:
            texts += f"; and {len(problems) - MOST_TOLD} more"
        super().__init__(f"the {kind} cannot be decoded: {texts}")


_ABSENT = ("missing", "too_short", "string_too_short")

_SCHEMA_RULES: tuple[tuple[str, re.Pattern[str], tuple[str, ...], str], ...] = (
    ("W1", re.compile(r"spec\.actions"), _ABSENT, "at least one action is required"),
    ("W3", re.compile(r"spec\.actions\[(\d+)\]\.name"), _ABSENT, "action[{0}]: name is required"),
    (
        "W19",
        re.compile(r"spec\.actions\[(\d+)\]\.type"),
        ("enum",),
        "action[{0}] '{name}': unsupported action type '{found}'",
    ),
    ("P1", re.compile(r"spec\.stages"), _ABSENT, "at least one stage is required"),
    ("P3", re.compile(r"spec\.stages\[(\d+)\]\.name"), _ABSENT, "stage[{0}]: name is required"),
    (
        "P4",
        re.compile(r"spec\.stages\[(\d+)\]\.workflows"),
        _ABSENT,
        "stage[{0}] '{name}': at least one workflow is required",
    ),
    ("E1", re.compile(r"spec\.planRef"), _ABSENT, "planRef is required"),
    (
        "E18",
        re.compile(r"spec\.params\[(\d+)\]\.valueFrom\.manifestRef\.select"),
        ("enum",),
        "params[{0}]({name}).valueFrom.manifestRef: select must be one of Last/First/Single/Any, got {quoted}",
    ),
)
"""Rules of the contract that the schema enforces first: id, field, pydantic's error types, text."""

_TEXTS = {
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
}


def decode(model: type[M], data: Mapping[str, Any]) -> M | Report:
    """The decoded object, or the report that refuses it in the contract's words.

    Raises UndecodableError when the contract has no words for one of its problems.
    """
    if is_too_deep(data):
        raise UndecodableError(_kind(model), (Problem("spec", f"must have at most {MOST_LEVELS} levels of nesting"),))
    try:
        return model.from_wire(data)
    except ValidationError as error:
        findings = [_contract_finding(details, data) for details in details_of(error)]
        if all(finding is not None for finding in findings):
            return Report(errors=tuple(finding for finding in findings if finding is not None))
        raise UndecodableError(_kind(model), member_problems(error)) from error


def _kind(model: type[ApiModel]) -> str:
    return str(model.model_fields["kind"].default) if "kind" in model.model_fields else model.__name__


def member_problems(error: ValidationError) -> tuple[Problem, ...]:
    """What a ValidationError complains about, with field paths."""
    return tuple(Problem(_path(details), _text(details)) for details in details_of(error))


def details_of(error: ValidationError) -> list[ErrorDetails]:
    """The errors, without the "too short" that pydantic adds for a list whose items are wrong."""
    details = error.errors(include_url=False)[:MOST_FINDINGS]
    locations = [each["loc"] for each in details]
    return [
        each
        for each in details
        if each["type"] != "too_short"
        or not any(loc != each["loc"] and loc[: len(each["loc"])] == each["loc"] for loc in locations)
    ]


def _path(details: ErrorDetails) -> str:
    path = ""
    for part in details["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".")


def _text(details: ErrorDetails) -> str:
    text = _TEXTS.get(details["type"])
    expected = _expected(details)
    if expected:
        return f"must be {expected}, found {shown(details['input'])}{_suggestion(details)}"
    if text is None:
        message = details["msg"]
        text = f"is refused: {message[:1].lower()}{message[1:]}"
    if details["type"] == "missing":
        return text
    hint = in_quotes(details["input"]) if details["type"] == "string_type" else ""
    return f"{text}, found {shown(details['input'])}{hint}"


def _expected(details: ErrorDetails) -> str:
    """What is accepted, as `'Create' or 'Delete'`; empty where it is not one of a few words."""
    return str(details.get("ctx", {}).get("expected", "")) if details["type"] in ("enum", "literal_error") else ""


def _suggestion(details: ErrorDetails) -> str:
    found = details["input"]
    hint = closest(found, re.findall(r"'([^']+)'", _expected(details))) if isinstance(found, str) else None
    return did_you_mean(hint) if hint else ""


def in_quotes(value: object) -> str:
    """The end of a message that says how to write as text what was read as something else; empty for lists, objects."""
    match value:
        case bool():
            return f': write "{shown(value)}", or the word that stands there, in quotes'
        case int() | float():
            return f': write "{value}"'
        case None:
            return ': write "", or leave it out'
        case _:
            return ""


def shown(value: object) -> str:
    """A short form of what was found."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            return repr(value if len(value) <= 40 else value[:40] + "...")
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _contract_finding(details: ErrorDetails, data: Mapping[str, Any]) -> Finding | None:
    path = _path(details)
    for rule, pattern, types, template in _SCHEMA_RULES:
        match = pattern.fullmatch(path)
        if match is not None and details["type"] in types:
            name = short(_name_of_item(data, details["loc"]))
            found = short(str(details["input"]))
            text = template.format(*match.groups(), name=name, found=found, quoted=quote(found))
            text += _suggestion(details)
            return Finding(rule, path, text)
    return None


def _name_of_item(data: Mapping[str, Any], loc: tuple[int | str, ...]) -> str:
    """The name of the list item that an error is in; empty when it has none."""
    node: Any = data
    name = ""
    for part in loc:
        if isinstance(part, int):
            node = node[part] if isinstance(node, list) and part < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(part, int):
            name = str(node.get("name", ""))
    return name
