"""`readyWhen`: the author's own word for when an object is ready, a condition's name or a CEL expression over it.

An expression sees one variable, `object`: the object as the API server has it, of a Secret only which keys there are.
It must give a bool. A member that is
not there yet makes the object not ready; so does a status of an older generation, whatever the expression says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import orjson

from app.cel.cost import sizes_of, steps_of
from app.cel.language import LONGEST, NotInstalledError, runtime
from app.cel.messages import compile_problem, missing_key, plain
from app.cel.tree import Call, Group, Loop, Member, Node, tree_of
from app.engine.gotext import quote
from app.engine.readiness import Readiness, is_current, meets_condition
from app.engine.when import MOST_STEPS, WhenError, shown

_NOTHING = Group()
LARGEST_OBJECT = 256 * 1024
"""Bytes of JSON that an object may have for an expression to look at it."""
CACHED = 512

_CONDITION = re.compile(r"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
"""What the API allows as the type of a condition: a name, perhaps behind a domain and a slash."""


class ReadyWhenError(WhenError):
    """The text cannot be understood; the message names it and says why."""

    _form = "invalid readyWhen {}: {}"


@dataclass(frozen=True, slots=True)
class ReadyWhen:
    """What `readyWhen` says. Exactly one of `condition` and `program` is set."""

    text: str
    condition: str = ""
    program: Any = None
    tree: Node = _NOTHING
    """Of the program."""

    def judge(self, obj: Mapping[str, Any]) -> Readiness:
        """Whether the object is ready by these words."""
        if self.condition:
            return meets_condition(obj, self.condition)
        current = is_current(obj)
        return current if not current.ready else self._evaluated(obj)

    def _evaluated(self, obj: Mapping[str, Any]) -> Readiness:
        try:
            size = len(orjson.dumps(obj))
        except TypeError:
            return Readiness(ready=False, failed=True, reason="readyWhen cannot look at it: it is nested too deeply")
        if size > LARGEST_OBJECT:
            return Readiness(
                ready=False,
                failed=True,
                reason=f"readyWhen looks at objects of at most {LARGEST_OBJECT} bytes, this one has {size}",
            )
        steps = steps_of(self.tree, sizes_of(obj, size))
        if steps > MOST_STEPS:
            told = f"readyWhen may take {steps} steps with an object of {size} bytes, more than {MOST_STEPS}"
            return Readiness(ready=False, failed=True, reason=f"{told}: use a simpler expression")
        try:
            value = self.program.eval(data={"object": dict(obj)}).value()
        except (RuntimeError, TypeError, ValueError) as error:
            value = str(error)
        if value is True:
            return Readiness(ready=True)
        why = "is false" if value is False else self._missing(str(value))
        return Readiness(ready=False, reason=f"readyWhen {quote(shown(self.text))} {why}")

    def _missing(self, raised: str) -> str:
        key = missing_key(raised)
        if key is None:
            return f"cannot be evaluated yet: {plain(raised)}"
        told = quote(key) if key in self.text else "entry of the name that it computes"
        return f"cannot be evaluated yet: there is no {told}"


def compile_ready_when(text: str) -> ReadyWhen:
    """Compile what `readyWhen` says, or take it from those compiled lately. Raises `ReadyWhenError`."""
    if len(text) > LONGEST:
        raise ReadyWhenError(shown(text), f"it has {len(text)} characters, more than {LONGEST}")
    compiled = _compiled(text)
    if isinstance(compiled, str):
        raise ReadyWhenError(shown(text), compiled)
    return compiled


@lru_cache(maxsize=CACHED)
def _compiled(text: str) -> ReadyWhen | str:
    text = text.strip()
    if not text:
        return "it is empty: name a condition, such as Ready, or write a CEL expression over object"
    if _CONDITION.fullmatch(text) and not text.startswith("object.") and text not in ("object", "true", "false"):
        return ReadyWhen(text, condition=text)
    try:
        program = _environment().compile(text)
    except NotInstalledError as error:
        return str(error)
    except TypeError:
        return "it is no valid Unicode"
    except RuntimeError as error:
        problem = compile_problem(str(error), text, ("object",))
        return f"{problem}; it may name a condition, or be a CEL expression over object"
    gives = program.return_type().name()
    if gives == "DYN":
        return "it must give bool: compare what it names with a value, such as == true"
    if gives != "BOOL":
        return f"it gives {gives.lower()}, and must give bool"
    tree = tree_of(program.serialize())
    return _too_dear(tree) or ReadyWhen(text, program=program, tree=tree)


def _too_dear(tree: Node) -> str:
    """Say what could take long about an expression that is evaluated at every change of an object."""
    pending: list[tuple[Node, int]] = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        match node:
            case Member():
                pending.append((node.operand, depth))
            case Call():
                if node.function == "matches":
                    return "matches is not allowed here: compare texts by ==, startsWith, endsWith or contains"
                pending += [(argument, depth) for argument in node.arguments]
            case Loop():
                if depth:
                    return "loops (all, exists, exists_one, map, filter) must not stand in each other"
                pending.append((node.items, depth))
                pending += [(part, depth + 1) for part in node.parts]
            case Group():
                pending += [(child, depth) for child in node.children]
            case _:
                pass
    return ""


@cache
def _environment() -> Any:  # noqa: ANN401 - the package has no types
    return runtime().NewEnv(variables={"object": runtime().Type.DYN})
