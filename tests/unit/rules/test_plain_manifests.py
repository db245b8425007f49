"""The quick look at manifests never says of one that it is complete when reading it in full would find a problem."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.rules.manifests import load_documents
from app.rules.plain_manifests import is_surely_complete
from tests.unit.rules.builders import CONFIG_MAP

KEYS = ("apiVersion", "kind", "metadata", "name", "data", '"metadata"', "'name'", "<<", "? a", "yes", "a/b.c", "&a k")
VALUES = (
    *("", "v1", "web", "'q'", '"q"', '""', "''", '"a', "it's", "['\"', \"]", '[a b", "c]', "[a, b]", "[", "}", "{}"),
    *(
        "{name: x}",
        "{name: x, a: 'b'}",
        "{a: ', name: x,'}",
        "{name: 5}",
        "{name: x, name: 5}",
        "{name}",
        "{a: {b: c}}",
    ),
    *("|", ">-", "|2", "0b_", "0x_", "1_", "-5", "1.5", "null", "~", "true", "Off", "=", "<<", "*a", "&a x", "!!int x"),
    *(
        "a: b",
        "a b: *x",
        "a:",
        "http://x",
        "# c",
        "x # c",
        "x:\ty",
        "- x",
        "- a: b",
        "a\u2028kind: 5",
        "a\rb",
        "%a",
        "é",
    ),
)
LINES = st.one_of(
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(("", "", " ", "  ", "    ")),
            st.sampled_from(("", "", "- ", "- - ")),
            st.one_of(st.just(""), st.builds("{}: ".format, st.sampled_from(KEYS))),
            st.sampled_from(VALUES),
        ),
    ),
    st.sampled_from(("---", "...", "--- |", "%YAML 1.1", "", "   ", "# c", '"', "'", "}", "]")),
)


@st.composite
def manifests(draw: st.DrawFn) -> str:
    lines = ["apiVersion: v1", "kind: ConfigMap", "metadata:", "  name: web"]
    for line in draw(st.lists(LINES, max_size=5)):
        lines.insert(draw(st.integers(0, len(lines))), line)
    if draw(st.booleans()):
        lines.pop(draw(st.integers(0, len(lines) - 1)))
    return "\n".join(lines) + "\n"


@given(manifests())
@example("apiVersion: v1\nkind: ConfigMap\nmetadata:\n-  name: web\n")
@example('apiVersion: v1\nkind: A\nmetadata: {name: a}\nx: [\'"\', "]\nkind: [\n"]\n')
@example("apiVersion: v1\nkind: A\nmetadata:\n  a: |\n    name: b\n")
@example("apiVersion: v1\nkind: A\nmetadata:\n  a: foo\n   - |\n     name: b\n")
@example('{"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "name": ""}}')
@example('{"apiVersion": "v1", "kind": "A", "metadata": {"name": "\\ud800"}}')
@example(f'{{"apiVersion": "v1", "kind": "A", "metadata": {{"name": "a"}}, "x": {"9" * 5000}}}')
@settings(max_examples=1000)
def test_what_is_surely_complete_is_complete(text: str) -> None:
    if is_surely_complete(text):
        (document,) = load_documents(text)
        for value in (document["apiVersion"], document["kind"], document["metadata"]["name"]):
            assert isinstance(value, str)
            assert value


@pytest.mark.parametrize(
    "text",
    [
        CONFIG_MAP,
        "# by hand\napiVersion: v1\nkind: A\nmetadata: {name: c, namespace: web}\ndata:\n  a: |\n    {[\n\n  b: c\n",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: c\nspec:\n  containers:\n  - name: a\n    args: [-c, 'true']\n",
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "\\n"}}',
    ],
)
def test_ordinary_manifests_need_not_be_read_in_full(text: str) -> None:
    assert is_surely_complete(text)


@pytest.mark.parametrize(
    "line",
    ["a: [" + "a , " * 10_000, "a: x" + " " * 40_000 + "#", "a: {name: x" + " " * 40_000 + "#", "a" * 60_000 + "# :"],
    ids=["items", "blanks", "item", "key"],
)
def test_hostile_lines_are_given_up_at_once(line: str) -> None:
    assert not is_surely_complete(f"{CONFIG_MAP}{line}\n")
