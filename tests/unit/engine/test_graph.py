from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.graph import (
    Problem,
    ancestors,
    check_graph,
    check_stage_graph,
    closest,
    dependencies,
    topological_order,
)

NODES = st.sampled_from("abcdefgh")
GRAPHS = st.dictionaries(NODES, st.lists(NODES, max_size=4), max_size=8)


def actions(graph: dict[str, list[str]]) -> list[str]:
    return [found.message for found in check_graph(list(graph), list(graph.values()))]


def stages(graph: dict[str, list[str]]) -> list[str]:
    return [found.message for found in check_stage_graph(list(graph), list(graph.values()))]


def test_a_sound_graph_has_no_problems() -> None:
    graph = {"a": ["b"], "b": [], "c": ["a", "b", "a", " b ", ""]}
    assert actions(graph) == []
    assert stages({"a": ["b"], "b": []}) == []


def test_every_problem_of_actions_is_found_with_its_position() -> None:
    found = check_graph(["fetch", "b ", "fetch", "d"], [[], ["fetsh", "b"], [], ["b", " d", "gone"]])
    assert [(one.problem, one.message, one.index, one.dependency, one.unknown) for one in found] == [
        (Problem.DUPLICATE, 'duplicate action name "fetch"', 2, None, ""),
        (Problem.UNKNOWN, 'unknown action "fetsh" in dependsOn of action "b"', 1, 0, "fetsh"),
        (Problem.SELF, 'action "b" depends on itself', 1, 1, ""),
        (Problem.SELF, 'action "d" depends on itself', 3, 1, ""),
        (Problem.UNKNOWN, 'unknown action "gone" in dependsOn of action "d"', 3, 2, "gone"),
    ]


def test_a_cycle_of_actions_is_shown_with_its_shortest_path() -> None:
    graph = {"start": [], "x": ["a"], "a": ["b", "start"], "b": ["c", "a"], "c": ["a"], "after": ["x"]}
    (found,) = check_graph(list(graph), list(graph.values()))
    assert found.message == "cycle detected in action dependsOn graph (3 actions in cycle): [a b a]"
    assert (found.index, found.path) == (2, ("a", "b", "a"))


def test_each_knot_of_cycles_is_reported() -> None:
    messages = actions({"a": ["b"], "b": ["a"], "between": ["a"], "c": ["d", "between"], "d": ["e"], "e": ["c"]})
    assert sorted(messages) == [
        "cycle detected in action dependsOn graph (2 actions in cycle): [a b a]",
        "cycle detected in action dependsOn graph (3 actions in cycle): [c d e c]",
    ]


@pytest.mark.parametrize(
    ("graph", "messages"),
    [
        ({"a": ["b"], "b": ["a"]}, ["cycle detected in stage dependencies: [a b a]"]),
        ({"x": ["a"], "a": ["b"], "b": ["a"]}, ["cycle detected in stage dependencies: [x a b a]"]),
        ({"c": ["c"]}, ["cannot depend on itself", "cycle detected in stage dependencies: [c c]"]),
        ({"a": ["z"]}, ["depends on non-existent stage 'z'"]),
        ({"a": [" b"], "b": []}, ["depends on non-existent stage ' b'"]),
        (
            {"a": ["b", "c"], "b": [], "c": ["b"], "d": ["e"], "e": ["d"]},
            ["cycle detected in stage dependencies: [d e d]"],
        ),
    ],
)
def test_stage_texts(graph: dict[str, list[str]], messages: list[str]) -> None:
    assert stages(graph) == messages


def test_stage_problems_have_positions() -> None:
    found = check_stage_graph(["network", "x", "a"], [["netwrok"], ["a"], ["x"]])
    assert [(one.index, one.dependency, one.path, one.unknown) for one in found] == [
        (0, 0, (), "netwrok"),
        (1, None, ("x", "a", "x"), ""),
    ]


def test_closest_name() -> None:
    assert closest("deply", ["deploy", "destroy"]) == "deploy"
    assert closest("deploy", ["deploy"]) is None
    assert closest("zebra", ["deploy"]) is None


def test_dependencies_are_trimmed_and_unique() -> None:
    assert dependencies([" a", "b"], [[], ["a ", "a", " "]]) == {"a": (), "b": ("a",)}


def has_cycle(graph: dict[str, list[str]]) -> bool:
    """By repeatedly taking away what depends on nothing that is left."""
    left = dict(graph)
    while free := [name for name, deps in left.items() if not set(deps) & set(left)]:
        for name in free:
            del left[name]
    return bool(left)


@given(GRAPHS)
def test_cycles_are_found_exactly_where_there_are_any(graph: dict[str, list[str]]) -> None:
    without_self = {name: [dep for dep in deps if dep != name] for name, deps in graph.items()}
    found = [one for one in check_graph(list(graph), list(graph.values())) if one.problem is Problem.CYCLE]
    assert bool(found) == has_cycle(without_self)
    reached = ancestors(without_self)
    on_cycles = [name for position, name in enumerate(graph) if reached[name] >> position & 1]
    counted = sum(int(match[1]) for one in found if (match := re.search(r"\((\d+) actions", one.message)))
    assert counted == len(on_cycles)
    for one in found:
        assert one.path[0] == one.path[-1]
        assert all(after in graph[before] for before, after in pairwise(one.path))


@given(GRAPHS)
def test_a_walked_cycle_of_stages_follows_dependencies(graph: dict[str, list[str]]) -> None:
    found = [one for one in check_stage_graph(list(graph), list(graph.values())) if one.problem is Problem.CYCLE]
    assert bool(found) == has_cycle(graph)
    for one in found:
        walk = one.message.partition("[")[2].rstrip("]").split()
        assert all(after in graph[before] for before, after in pairwise(walk))
        assert walk.count(walk[-1]) == 2


@given(GRAPHS)
def test_order_respects_dependencies(graph: dict[str, list[str]]) -> None:
    known = {name: [dep for dep in deps if dep in graph] for name, deps in graph.items()}
    if has_cycle(known):
        with pytest.raises(ValueError, match="no order exists"):
            topological_order(known)
        return
    order = topological_order(known)
    assert sorted(order) == sorted(known)
    assert all(order.index(dep) < order.index(name) for name, deps in known.items() for dep in deps)


def test_order_keeps_the_definition_order_where_it_can() -> None:
    assert topological_order({"c": ["b"], "a": [], "b": []}) == ["a", "b", "c"]
    assert topological_order({"c": [], "a": ["c"], "b": []}) == ["c", "a", "b"]


def test_ancestors_reach_through_others() -> None:
    assert ancestors({"a": ["b"], "b": ["c", "x"], "c": [], "d": []}) == {"a": 0b110, "b": 0b100, "c": 0, "d": 0}
    assert ancestors({"a": ["b"], "b": ["c"], "c": ["b"]}) == {"a": 0b110, "b": 0b110, "c": 0b110}


@given(GRAPHS)
def test_ancestors_are_what_can_be_reached_step_by_step(graph: dict[str, list[str]]) -> None:
    names = list(graph)
    for name, bits in ancestors(graph).items():
        reached: set[str] = set()
        while more := {dep for at in {name, *reached} for dep in graph[at] if dep in graph} - reached:
            reached |= more
        assert {each for position, each in enumerate(names) if bits >> position & 1} == reached


def test_large_graphs_do_not_exhaust_the_stack() -> None:
    names = [f"n{index}" for index in range(3_000)]
    chain = [[following] for following in names[1:]]
    assert check_graph(names, [*chain, []]) == []
    assert check_stage_graph(names, [*chain, []]) == []
    assert "(3000 actions in cycle)" in check_graph(names, [*chain, ["n0"]])[0].message
    assert len(check_stage_graph(names, [*chain, ["n0"]])[0].path) == 3_001
    assert topological_order(dependencies(names, [*chain, []]))[0] == "n2999"
