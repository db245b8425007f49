"""Dependency graphs: of the actions in a workflow and of the stages in a plan.

Nodes are given as a list of names and, beside it, a list of what each depends on. The checks return every problem with
the position it belongs to, so that callers can name a field path; the order helpers assume a graph without problems.
"""

from __future__ import annotations

import difflib
import heapq
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeVar

from app.engine.text import short

N = TypeVar("N", bound=Hashable)
"""What stands for a node."""


class Problem(StrEnum):
    """What can be wrong with a dependency graph."""

    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    SELF = "self"
    CYCLE = "cycle"


@dataclass(frozen=True, slots=True)
class GraphProblem:
    """One finding in a dependency graph."""

    problem: Problem
    message: str
    index: int
    """Position of the node that has the problem; for a cycle, of its first node."""
    dependency: int | None = None
    """Position in that node's list of dependencies; None where the problem is not a single entry."""
    path: tuple[str, ...] = ()
    """For a cycle: each name depends on the next, the last is the first again."""
    unknown: str = ""
    """The name that nothing has."""


_MOST_COMPARED = 200
_LONGEST_COMPARED = 80
_ALIKE = 0.7
"""The least similarity of a suggestion (difflib's ratio): at 0.6, its default, `nowhere` becomes `other`."""


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that `name` is probably a misspelling of; letter case matters least.

    Compares with the first 200 names of about that length, and no very long ones, because comparing takes time.
    """
    if len(name) > _LONGEST_COMPARED:
        return None
    near = max(2, len(name) // 2)
    alike = (known for known in names if known != name and abs(len(known) - len(name)) <= near)
    lowered = {known.lower(): known for known in islice(alike, _MOST_COMPARED)}
    matches = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=_ALIKE)
    return lowered[matches[0]] if matches else None


def dependencies(names: Sequence[str], depends_on: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return what each node depends on: names trimmed, blank and repeated ones left out, in the order written."""
    return {
        name.strip(): tuple(dict.fromkeys(dep.strip() for dep in deps if dep.strip()))
        for name, deps in zip(names, depends_on, strict=True)
    }


def check_graph(names: Sequence[str], depends_on: Sequence[Sequence[str]]) -> list[GraphProblem]:
    """Everything wrong with the `dependsOn` of a workflow's actions; empty when it can run."""
    trimmed = [name.strip() for name in names]
    first = {name: index for index, name in reversed(list(enumerate(trimmed)))}
    problems = [
        GraphProblem(Problem.DUPLICATE, f'duplicate action name "{short(name)}"', index)
        for index, name in enumerate(trimmed)
        if index != first[name]
    ]
    for index, position, name, dep in _entries(trimmed, depends_on):
        if dep == name:
            message = f'action "{short(name)}" depends on itself'
            problems.append(GraphProblem(Problem.SELF, message, index, position))
        elif dep not in first:
            message = f'unknown action "{short(dep)}" in dependsOn of action "{short(name)}"'
            problems.append(GraphProblem(Problem.UNKNOWN, message, index, position, unknown=dep))
    for path, size in _cycles(dependencies(names, depends_on)):
        message = f"cycle detected in action dependsOn graph ({size} actions in cycle): [{' '.join(map(short, path))}]"
        problems.append(GraphProblem(Problem.CYCLE, message, first[path[0]], path=path))
    return problems


def check_stage_graph(names: Sequence[str], depends_on: Sequence[Sequence[str]]) -> list[GraphProblem]:
    """Everything wrong with the `dependsOn` of a plan's stages, repeated stage names aside.

    Messages lack the `stage[i] 'name': ` that belongs in front of them, except that of a cycle, which stands alone.
    Only the first cycle is reported, in the words of the API (see `_walked_cycle`).
    """
    problems = []
    known = set(names)
    for index, position, name, dep in _entries(names, depends_on, trim=False):
        if dep not in known:
            message = f"depends on non-existent stage '{short(dep)}'"
            problems.append(GraphProblem(Problem.UNKNOWN, message, index, position, unknown=dep))
        elif dep == name:
            problems.append(GraphProblem(Problem.SELF, "cannot depend on itself", index, position))
    walked = _walked_cycle(dict(zip(names, depends_on, strict=True)))
    if walked:
        message = f"cycle detected in stage dependencies: [{' '.join(map(short, walked))}]"
        path = walked[walked.index(walked[-1]) :]
        problems.append(GraphProblem(Problem.CYCLE, message, list(names).index(path[0]), path=path))
    return problems


def topological_order(graph: Mapping[N, Sequence[N]]) -> list[N]:
    """All nodes, each after what it depends on, else in the order of `graph`; raises ValueError on a cycle."""
    names = list(graph)
    position = {name: index for index, name in enumerate(names)}
    missing = {name: len(set(deps)) for name, deps in graph.items()}
    dependants: dict[N, list[N]] = {name: [] for name in names}
    for name, deps in graph.items():
        for dep in set(deps):
            dependants[dep].append(name)
    ready = [position[name] for name, count in missing.items() if count == 0]
    order: list[N] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for dependant in dependants[name]:
            missing[dependant] -= 1
            if missing[dependant] == 0:
                heapq.heappush(ready, position[dependant])
    if len(order) < len(names):
        raise ValueError(
            f"no order exists, these depend on each other: {', '.join(sorted(map(str, set(names) - set(order))))}"
        )
    return order


def ancestors(graph: Mapping[N, Sequence[N]]) -> dict[N, int]:
    """Return what each node depends on, directly or through others, as bits by position in `graph`.

    A node has its own bit only if it is on a cycle. Names that `graph` lacks are left out. All at once, because one
    node after the other would take time by the square of their number.
    """
    known = {name: [dep for dep in deps if dep in graph] for name, deps in graph.items()}
    bits = {name: 1 << position for position, name in enumerate(graph)}
    knots = {name: knot for knot in _knots(known) for name in knot}
    unfinished = Counter(id(knot) for knot in knots.values())
    found: dict[N, int] = {}
    for name in _finishing_order(known):
        together = knots.get(name, {name})
        if name in knots:
            unfinished[id(together)] -= 1
            if unfinished[id(together)]:
                continue
        reached = 0
        for member in together:
            for dep in known[member]:
                reached |= bits[dep] | found.get(dep, 0)
        found.update(dict.fromkeys(together, reached))
    return found


def _entries(
    names: Sequence[str], depends_on: Sequence[Sequence[str]], *, trim: bool = True
) -> Iterator[tuple[int, int, str, str]]:
    """Each distinct dependency: node position, position in its list, node, name depended on."""
    for index, (name, deps) in enumerate(zip(names, depends_on, strict=True)):
        seen: set[str] = set()
        for position, written in enumerate(deps):
            dep = written.strip() if trim else written
            if dep in seen or (trim and not dep):
                continue
            seen.add(dep)
            yield index, position, name, dep


def _cycles(graph: Mapping[str, Sequence[str]]) -> Iterator[tuple[tuple[str, ...], int]]:
    """For each knot of cycles a shortest one through its first node, and how many nodes the knot has.

    Self-dependencies and unknown names, which are findings of their own, do not count.
    """
    known = {name: [dep for dep in deps if dep != name and dep in graph] for name, deps in graph.items()}
    position = {name: index for index, name in enumerate(graph)}
    for knot in _knots(known):
        first = min(knot, key=position.__getitem__)
        parents = _reachable({name: [dep for dep in known[name] if dep in knot] for name in knot}, first)
        path = [first, parents[first]]
        while path[-1] != first:
            path.append(parents[path[-1]])
        yield tuple(reversed(path)), len(knot)


def _knots(graph: Mapping[N, Sequence[N]]) -> list[set[N]]:
    """Return the strongly connected components of more than one node (Kosaraju's algorithm)."""
    dependants: dict[N, list[N]] = {name: [] for name in graph}
    for name, deps in graph.items():
        for dep in deps:
            dependants[dep].append(name)
    knots, assigned = [], set[N]()
    for name in reversed(_finishing_order(graph)):
        if name not in assigned:
            knot = {name, *_reachable(dependants, name, without=assigned)}
            assigned |= knot
            knots += [knot] if len(knot) > 1 else []
    return knots


def _finishing_order(graph: Mapping[N, Sequence[N]]) -> list[N]:
    """Return the nodes as a depth-first search leaves them."""
    order: list[N] = []
    seen: set[N] = set()
    for start in graph:
        pending = [(start, iter(graph[start]))] if start not in seen else []
        seen.add(start)
        while pending:
            name, deps = pending[-1]
            dep = next((dep for dep in deps if dep not in seen), None)
            if dep is None:
                order.append(name)
                pending.pop()
            else:
                seen.add(dep)
                pending.append((dep, iter(graph[dep])))
    return order


def _reachable(graph: Mapping[N, Sequence[N]], start: N, without: Set[N] = frozenset()) -> dict[N, N]:
    """Return the nodes that can be reached from `start`, each with the one before it on a shortest way."""
    parents: dict[N, N] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for dep in graph.get(name, ()):
            if dep not in parents and dep not in without:
                parents[dep] = name
                queue.append(dep)
    return parents


def _walked_cycle(graph: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the walk of a depth-first search in list order up to the first name met twice; empty without a cycle.

    The walk includes the nodes that lead into the cycle (`x a b a`), as the API's text always did.
    """
    finished: set[str] = set()
    for start in graph:
        walk = {start: iter(graph[start])} if start not in finished else {}
        while walk:
            name, deps = next(reversed(walk.items()))
            dep = next((dep for dep in deps if dep in graph and dep not in finished), None)
            if dep is None:
                finished.add(name)
                del walk[name]
            elif dep in walk:
                return (*walk, dep)
            else:
                walk[dep] = iter(graph[dep])
    return ()
