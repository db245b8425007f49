"""What an expression looks at: parameters, outputs and the mode, as far as its text alone tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.cel.tree import Call, Group, Loop, Member, Name, Node, Text
from app.engine.when import Reads

_COMPARISONS = ("_==_", "_!=_", "@in")


@dataclass(slots=True)
class Looks:
    """Collects what a tree looks at, node by node."""

    mode: bool = False
    plan_name: bool = False
    params: set[str] = field(default_factory=set)
    asked_params: set[str] = field(default_factory=set)
    any_param: bool = False
    outputs: set[tuple[str, str]] = field(default_factory=set)
    asked_outputs: set[tuple[str, str]] = field(default_factory=set)
    any_output: bool = False
    modes: list[str] = field(default_factory=list)
    """Texts that the mode is compared with."""
    loops: int = 0
    """How deep loops stand in each other."""

    def reads(self) -> Reads:
        """Return the same for users of the expression."""
        return Reads(
            mode=self.mode or "mode" in self.params,
            plan_name=self.plan_name,
            params=frozenset(self.params),
            asked_params=frozenset(self.asked_params),
            any_param=self.any_param,
            outputs=frozenset(self.outputs),
            asked_outputs=frozenset(self.asked_outputs),
            any_output=self.any_output,
            loops=self.loops > 0,
        )


def looks_of(tree: Node) -> Looks:
    """Return what `tree` looks at."""
    looks = Looks()
    _walk(tree, looks, frozenset(), 0)
    return looks


def _walk(node: Node, looks: Looks, bound: frozenset[str], depth: int) -> None:
    path = _path(node, bound)
    if path is not None:
        _note(looks, *path)
        return
    match node:
        case Member():
            _walk(node.operand, looks, bound, depth)
        case Call():
            _note_modes(looks, node, bound)
            for child in node.arguments:
                _walk(child, looks, bound, depth)
        case Group():
            for child in node.children:
                _walk(child, looks, bound, depth)
        case Loop():
            looks.loops = max(looks.loops, depth + 1)
            _walk(node.items, looks, bound, depth)
            for part in node.parts:
                _walk(part, looks, bound | set(node.variables), depth + 1)


def _path(node: Node, bound: frozenset[str]) -> tuple[tuple[str, ...], bool] | None:
    """Return the variable and the fixed names after it that a node is, and whether it asks if that is there."""
    match node:
        case Name(name=name):
            return None if name in bound else ((name.removeprefix("."),), False)
        case Member(operand=operand, field=name, asked=asked):
            return _longer(operand, name, bound, asked=asked)
        case Call(function="_[_]", arguments=(operand, Text(value=name))):
            return _longer(operand, name, bound, asked=False)
        case Call(function="@in", arguments=(Text(value=name), operand)):
            return _longer(operand, name, bound, asked=True)
        case _:
            return None


def _longer(node: Node, name: str, bound: frozenset[str], *, asked: bool) -> tuple[tuple[str, ...], bool] | None:
    path = _path(node, bound)
    return None if path is None or path[1] else ((*path[0], name), asked)


def _note(looks: Looks, path: tuple[str, ...], asked: bool) -> None:
    match path:
        case ("mode", *_):
            looks.mode = True
        case ("planName", *_):
            looks.plan_name = True
        case ("params",):
            looks.any_param = True
        case ("params", name, *_):
            (looks.asked_params if asked else looks.params).add(name)
        case ("outputs",):
            looks.any_output = True
        case ("outputs", action):
            (looks.asked_outputs if asked else looks.outputs).add((action, ""))
        case ("outputs", action, name, *_):
            if asked:
                looks.outputs.add((action, ""))
            (looks.asked_outputs if asked else looks.outputs).add((action, name))


def _note_modes(looks: Looks, call: Call, bound: frozenset[str]) -> None:
    """Note the texts that a call compares the mode with."""
    if call.function not in _COMPARISONS or len(call.arguments) != 2:
        return
    left, right = call.arguments
    if _is_mode(right, bound):
        left, right = right, left
    if not _is_mode(left, bound):
        return
    texts = right.children if isinstance(right, Group) else (right,)
    looks.modes += [text.value for text in texts if isinstance(text, Text)]


def _is_mode(node: Node, bound: frozenset[str]) -> bool:
    return _path(node, bound) in ((("mode",), False), (("params", "mode"), False))
