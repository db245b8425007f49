"""Compiling and evaluating expressions over JSON that comes from elsewhere: objects of the API server, HTTP answers.

They are evaluated again and again, so what could take long is refused when they are compiled, and an evaluation that
may take too many steps with what is there is not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.cel.cost import sizes_of, steps_of
from app.cel.language import NotInstalledError
from app.cel.messages import compile_problem, missing_key, plain
from app.cel.tree import Call, Group, Loop, Member, Node, tree_of
from app.engine.gotext import quote
from app.engine.when import MOST_STEPS

LARGEST = 256 * 1024
"""Bytes of JSON that an expression may look at."""


@dataclass(frozen=True, slots=True)
class JsonExpression:
    """A compiled expression that gives a bool."""

    text: str
    program: Any
    """The runtime's `Expression`; the package has no types."""
    tree: Node


class TooMuchError(ValueError):
    """There is too much to look at, so that waiting does not help; the message says what, without its subject."""


def compile_over_json(
    text: str, environment: Callable[[], Any], names: Sequence[str], also: str = ""
) -> JsonExpression | str:
    """Compile an expression, or say why it is none.

    `environment` returns the runtime's; `names` are its variables; `also` is what a text may be as well.
    """
    try:
        program = environment().compile(text)
    except NotInstalledError as error:
        return str(error)
    except TypeError:
        return "it is no valid Unicode"
    except RuntimeError as error:
        problem = compile_problem(str(error), text, tuple(names))
        return f"{problem}; it may {also}, or be a CEL expression over {', '.join(names)}" if also else problem
    gives = program.return_type().name()
    if gives == "DYN":
        return "it must give bool: compare what it names with a value, such as == true"
    if gives != "BOOL":
        return f"it gives {gives.lower()}, and must give bool"
    tree = tree_of(program.serialize())
    return too_dear(tree) or JsonExpression(text, program, tree)


def holds(expression: JsonExpression, data: Mapping[str, Any], what: str, *, waits: bool = True) -> bool | str:
    """Tell whether an expression is true of `data`, or why that cannot be told. Raises `TooMuchError`.

    `what` is what messages call the data, such as `object`; `waits`: one waits for it to change.
    """
    try:
        size = len(orjson.dumps(data))
    except TypeError:
        raise TooMuchError("cannot look at it: it is nested too deeply") from None
    if size > LARGEST:
        raise TooMuchError(f"looks at {what}s of at most {LARGEST} bytes, this one has {size}")
    steps = steps_of(expression.tree, sizes_of(data, size))
    if steps > MOST_STEPS:
        article = "an" if what[0] in "aeiou" else "a"
        told = f"may take {steps} steps with {article} {what} of {size} bytes, more than {MOST_STEPS}"
        raise TooMuchError(f"{told}: use a simpler expression")
    try:
        value = expression.program.eval(data=dict(data)).value()
    except (RuntimeError, TypeError, ValueError) as error:
        value = str(error)
    return value if isinstance(value, bool) else _missing(expression.text, str(value), waits=waits)


def _missing(text: str, raised: str, *, waits: bool) -> str:
    key = missing_key(raised)
    if key is None and "non-message type" in raised:
        why = "it looks for a member in what has none"
    elif key is None:
        why = plain(raised)
    else:
        why = f"there is no {quote(key) if key in text else 'entry of the name that it computes'}"
    return f"cannot be evaluated{' yet' if waits else ''}: {why}"


def too_dear(tree: Node) -> str:
    """Say what could take long about an expression that is evaluated again and again."""
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
