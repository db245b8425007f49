"""Reading YAML safely, and manifests with placeholders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.rules.manifests.documents import load_documents, load_with_positions
from app.rules.manifests.trees import Budget, ManifestError
from app.rules.workflow import check_workflow
from tests.unit.rules.builders import CONFIG_MAP, resource, workflow


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused_before_it_overflows_the_stack(text: str) -> None:
    with pytest.raises(ManifestError):
        load_documents(text)


def test_an_alias_bomb_is_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ManifestError, match="when its aliases are expanded"):
        load_documents("\n".join(levels))


def test_ordinary_aliases_work() -> None:
    assert load_documents("a: &x {k: v}\nb: *x\n") == [{"a": {"k": "v"}, "b": {"k": "v"}}]


def test_scalars_are_read_as_kubectl_reads_them() -> None:
    text = "{t: 2001-12-14, s: 12:30:45, o: on, i: 1, f: 1.5, e: 1e3, z: 0644, x: 0x1f, q: '1'}"
    assert load_documents(text) == [
        {"t": "2001-12-14", "s": "12:30:45", "o": True, "i": 1, "f": 1.5, "e": 1000, "z": 420, "x": 31, "q": "1"}
    ]


def test_empty_documents_do_not_count() -> None:
    assert load_documents("---\n---\na: 1\n---\n# nothing\n") == [{"a": 1}]


@pytest.mark.parametrize(
    "text",
    ["a: !!binary ü", "\x00", "a: *nowhere", "!!int 12:30", "!!float 1:2.5"],
)
def test_what_cannot_be_read_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(ManifestError):
        load_documents(text)


@pytest.mark.parametrize(
    "manifest",
    [
        CONFIG_MAP.replace("name: c", "name: $(params.n)-x"),
        CONFIG_MAP.replace("name: c", "name: {{ .params.n }}"),
        CONFIG_MAP + "data:\n  k: $(params.a)\n  l: '$$(params.a)'\n",
        "apiVersion: $(params.v)\nkind: $(params.k)\nmetadata: {name: $(params.n)}\n",
        CONFIG_MAP + "data: {k: $(date $(params.a)), l: {{ .params.a }}$(params.ab), m: $$(params.ab)}\n",
    ],
)
def test_placeholders_do_not_disturb(manifest: str) -> None:
    assert check_workflow(workflow(resource(manifest))).errors == ()


def test_a_manifest_that_gets_its_structure_by_a_placeholder_only_warns() -> None:
    report = check_workflow(workflow(resource("$(params.head)\nmetadata:\n  name: x\n")))
    assert report.ok
    assert any("KubernetesResource.Manifest" in warning for warning in report.warnings)


def test_many_directives_are_refused_before_they_are_read() -> None:
    with pytest.raises(ManifestError, match="%TAG directives"):
        load_documents("".join(f"%TAG !a{n}! b\n" for n in range(100_000)) + "--- a")


def test_tags_of_a_language_are_no_more_than_tags() -> None:
    assert load_documents("a: !!python/object/apply:os.system [x]") == [{"a": ["x"]}]


@pytest.mark.parametrize("number", ["!!int ", "!!float "])
def test_long_numbers_of_base_60_are_refused_before_they_are_computed(number: str) -> None:
    with pytest.raises(ManifestError, match="is no"):
        load_documents(number + "1:" * 400_000 + "1")


@pytest.mark.parametrize("text", ["&a [*a]", "a: &x {b: {c: *x}}"])
def test_what_contains_itself_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="contains itself"):
        load_documents(text)


def test_positions_come_with_the_same_values_and_guards() -> None:
    text = "a: &x {k: v}\nb:\n  <<: *x\n  l: [1]\n---\n---\nc: 1\nc: 2\n"
    first, second = load_with_positions(text)
    assert [first.value, second.value] == load_documents(text)
    assert [(key.value, value.start_mark.line) for key, value in first.node.value] == [("a", 0), ("b", 2)]
    assert first.repeated == ()
    assert [(key.value, key.start_mark.line) for key in second.repeated] == [("c", 7)]
    for bad in ("[" * 100_000, "&a [*a]", "a: [", "--- a: 1"):
        with pytest.raises(ManifestError):
            load_with_positions(bad)


SIGNS = ("a", "b: c\n", ": ", "- ", "? ", "\n", "\n  ", *"[]{},='\"\t\x00", "|\n", "# d\n", "---\n", "...\n")
ODDITIES = ("!!int ", "!!set ", "!e ", "!<%ED%A0%80> ", "%TAG !f! g\n", "&h ", "*h", "<<: ", "0b", "1:30")
PIECES = st.lists(st.sampled_from(SIGNS + ODDITIES), max_size=12).map("".join)
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(("x", "", "yes", "1:30", "*", "<<", "i\nj\n")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(("k", "l m", "<<", "on")), inner),
)
TEXTS = PIECES | st.builds(lambda trees, end: yaml.safe_dump_all(trees) + end, st.lists(TREES, max_size=3), PIECES)


def outcome(read: Callable[[], list[Any]]) -> tuple[str, int, int]:
    """What reading gives: the values with their types, or the error."""
    try:
        return repr(read()), 0, 0
    except ManifestError as error:
        return str(error), error.line, error.column


@given(TEXTS)
def test_reading_once_gives_what_reading_twice_gives(text: str) -> None:
    twice = outcome(lambda: [document.value for document in load_with_positions(text)])
    assert outcome(lambda: load_documents(text)) == twice


@pytest.mark.parametrize("comment", ["", "# &an anchor, so that the text is read twice\n"])
@pytest.mark.parametrize(
    ("text", "values"), [("a: 1\nb: [x, {c: d}]\n", 9), ("---\n- 1\n---\n---\ne\n", 5), ("? e\n: 'f'", 3)]
)
def test_every_value_is_counted(comment: str, text: str, values: int) -> None:
    budget = Budget(values + 1)
    load_documents(comment + text, budget)
    assert budget.left == 1
    load_documents(comment + text, Budget(values))
    short = Budget(values - 1)
    with pytest.raises(ManifestError, match="more than"):
        load_documents(comment + text, short)
    assert short.left < 0


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("[" * 98 + "]" * 98, True),
        ("[" * 99 + "x" + "]" * 99, True),
        ("[" * 100 + "]" * 100, False),
        ("- " * 99 + "x", True),
        ("- " * 99 + "[]", False),
        ("[" * 60 + "{a: " * 39 + "x" + "}" * 39 + "]" * 60, True),
        ("[" * 60 + "{a: " * 40 + "x" + "}" * 40 + "]" * 60, False),
    ],
)
def test_the_deepest_nesting_is_a_hundred_levels(text: str, good: bool) -> None:
    if good:
        assert len(load_documents(text)) == 1
        return
    with pytest.raises(ManifestError, match="nested deeper than 100 levels"):
        load_documents(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: !!int x\n---\nb: 1\n]\n", "line 1, column 4"), ("a: 1\n---\nb: 1\n]\n", "line 4, column 1")],
)
def test_the_first_problem_is_told_with_its_place_in_the_whole_text(text: str, place: str) -> None:
    with pytest.raises(ManifestError, match=place):
        load_documents(text)
