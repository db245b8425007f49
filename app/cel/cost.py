"""What evaluating an expression takes at most, from its tree and the size of the values that it reads.

A step is about a nanosecond. Nothing is evaluated that may take more steps than there are to give, so that no condition
holds up a process; and since only sizes count, the same values always give the same answer, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.cel.patterns import program_size
from app.cel.tree import Call, Group, Loop, Member, Name, Node, Text, Value

_NODE = 300
"""Steps of a node, whatever it is."""
_LOOK_UP = 1_000
"""Steps to get an entry of `params` or `outputs`, which are Python's."""
_APPENDED = 30
"""Steps for each entry that is copied when a list grows by one."""
_STATE = 100
"""Steps to make a part of a pattern's program."""
_LAST = 32
"""Characters of a number, a bool or a time."""
_DEPTHS = {"params": 1, "outputs": 2, "object": 100, "headers": 1, "body": 100}
"""How many collections stand in each other in a variable, at most."""
_RESULT = "@result"
"""The variable in which a loop gathers."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the values that an expression reads."""

    characters: int
    """Of all names and texts together."""
    entries: int
    """Of the largest collection."""

    def __le__(self, other: Sizes) -> bool:
        return self.characters <= other.characters and self.entries <= other.entries


TYPICAL = Sizes(4096, 64)
"""What most runs stay below: for these the steps are counted once."""


def sizes_of(value: object, characters: int) -> Sizes:
    """Return the sizes of a JSON value that has so many characters."""
    largest, pending = 0, [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict | list):
            largest = max(largest, len(node))
            pending.extend(node.values() if isinstance(node, dict) else node)
    return Sizes(characters, largest)


EMPTY = Sizes(0, 0)
"""What an expression takes at least."""


@dataclass(frozen=True, slots=True)
class _Cost:
    """Steps to get a value, how many characters it has at most, and if it is a collection how many entries."""

    steps: int
    size: int = _LAST
    depth: int = 0
    """How many collections stand in each other: 0 for a text or number."""
    entries: int = 0
    spread: int = 1
    """Over how many rounds of a loop the whole is spread: `size` is that of one on average."""


_Bound = Mapping[str, _Cost]
"""Variables of loops."""


def steps_of(tree: Node, sizes: Sizes) -> int:
    """Return how many steps an expression takes at most."""
    return _cost(tree, sizes, {}).steps


def has_computed_pattern(tree: Node) -> bool:
    """Tell whether a pattern of `matches` is computed, so that nobody can tell how large it becomes."""
    if isinstance(tree, Call) and tree.function == "matches" and not isinstance(tree.arguments[-1], Text):
        return True
    return any(map(has_computed_pattern, _children(tree)))


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Member(operand=operand):
            return (operand,)
        case Call(arguments=children) | Group(children=children):
            return children
        case Loop(items=items, parts=parts):
            return (items, *parts)
        case _:
            return ()


def _cost(node: Node, sizes: Sizes, bound: _Bound) -> _Cost:
    match node:
        case Text(value=value):
            return _Cost(_NODE, len(value))
        case Value():
            return _Cost(_NODE)
        case Name(name=name):
            return bound.get(name) or _variable(name.removeprefix("."), sizes)
        case Member(operand=operand):
            return _entry(_cost(operand, sizes, bound))
        case Group(children=children):
            return _group([_cost(child, sizes, bound) for child in children])
        case Loop():
            return _loop(node, sizes, bound)
        case Call():
            return _call(node, [_cost(argument, sizes, bound) for argument in node.arguments])


def _variable(name: str, sizes: Sizes) -> _Cost:
    depth = _DEPTHS.get(name, 0)
    return _Cost(_NODE, sizes.characters, depth, sizes.entries if depth else 0)


def _entry(whole: _Cost, steps: int = 0) -> _Cost:
    """Get an entry of a collection."""
    depth = max(0, whole.depth - 1)
    return _Cost(whole.steps + steps + _LOOK_UP, whole.size, depth, whole.entries if depth else 0)


def _spread(item: _Cost, rounds: int) -> _Cost:
    """Return what one round of a loop sees of something that is divided among all."""
    return replace(item, steps=_NODE, size=item.size // max(1, rounds) + 1, spread=max(1, rounds))


def _group(costs: list[_Cost]) -> _Cost:
    return _Cost(
        steps=sum(cost.steps for cost in costs) + _NODE,
        size=sum(cost.size for cost in costs) + _LAST,
        depth=1 + max((cost.depth for cost in costs), default=0),
        entries=max(len(costs), *(cost.entries for cost in costs), 0),
    )


def _loop(node: Loop, sizes: Sizes, bound: _Bound) -> _Cost:
    """Return what a loop costs: it goes through its items, and a list that it gathers is copied whenever it grows."""
    items = _cost(node.items, sizes, bound)
    gathers = Group() in node.parts
    item = _entry(items)
    gathered = _Cost(_NODE, items.size, 1, items.entries) if gathers else _Cost(_NODE)
    inside = {**bound, **dict.fromkeys(node.variables, _spread(item, items.entries)), _RESULT: gathered}
    parts = [_cost(part, sizes, inside) for part in node.parts]
    once = sum(part.steps for part in parts) + _LOOK_UP
    grows = _APPENDED * items.entries**2 // 2 if gathers else 0
    size = items.entries * max(part.size for part in parts)
    return _Cost(items.steps + items.entries * once + grows, size, items.depth, items.entries)


def _call(node: Call, costs: list[_Cost]) -> _Cost:
    steps = sum(cost.steps for cost in costs) + _NODE
    size = sum(cost.size for cost in costs)
    entries = sum(cost.entries for cost in costs)
    depth = max((cost.depth for cost in costs), default=0)
    match node.function:
        case "matches" if isinstance(node.arguments[-1], Text):
            return _Cost(steps + program_size(node.arguments[-1].value) * (costs[0].size + _STATE))
        case "contains" | "endsWith" | "startsWith":
            looked_for = costs[-1].size * costs[-1].spread
            return _Cost(steps + costs[0].size * costs[0].spread * (1 + looked_for // 32))
        case "_[_]":
            found = _entry(costs[0], steps - costs[0].steps)
            return replace(_spread(found, costs[1].spread), steps=found.steps) if costs[1].spread > 1 else found
        case "@in" | "_==_" | "_!=_":
            return _Cost(steps + size // 16 + entries * _LOOK_UP)
        case "size" if depth:
            return _Cost(steps)
        case "_+_":
            return _Cost(steps + size // 8 + entries * _APPENDED, size, depth, entries)
        case "_-_" | "_*_" | "_/_" | "_%_" | "-_" | "_<_" | "_<=_" | "_>_" | "_>=_":
            return _Cost(steps + size // 16)
        case "_&&_" | "_||_" | "!_" | "@not_strictly_false":
            return _Cost(steps)
        case "_?_:_":
            return _Cost(steps, size, depth, entries)
        case _:
            return _Cost(steps + 10 * size, size, depth, entries)
