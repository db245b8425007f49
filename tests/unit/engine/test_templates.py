from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.templates import (
    MOST_RENDERED,
    PARAM_NAME,
    Placeholder,
    RenderedTooLargeError,
    Scope,
    UnresolvedPlaceholdersError,
    placeholders,
    render,
    render_leaves,
    secret_values,
)

SCOPE = Scope(
    params={
        "region": "eu",
        "my-param_2": "x",
        "loop": "$(params.region){{ .planName }}",
        "mode": "forged",
        "empty": "",
    },
    plan_name="shop",
    execution_name="shop-1",
    mode="upgrade",
    outputs={"make_job": {"jobRef.name": "job-1", "statusCode": "200"}, "2nd": {"uid": "u"}, "a.b": {"c": "dotted"}},
)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("in $(params.region)!", "in eu!"),
        ("$(params.my-param_2)", "x"),
        ("[$(params.empty)]", "[]"),
        ("{{ .params.region }}{{.params.my-param_2}}{{\t.planName\n}}", "euxshop"),
        ("$(planName)/$(executionName)/$(mode)/$(params.mode)", "shop/shop-1/upgrade/upgrade"),
        ("{{ .outputs.make_job.statusCode }}", "200"),
        ("$(outputs.make_job.jobRef.name) $(outputs.2nd.uid) $(outputs.a.b.c)", "job-1 u dotted"),
        ("$(params.loop)", "$(params.region){{ .planName }}"),
        ("$$(params.region) $$(planName) $$(params.nowhere)", "$(params.region) $(planName) $(params.nowhere)"),
        ("$$$(params.region)", "$eu"),
        ("$$$$(params.region)", "$$(params.region)"),
        ("$$$$$(params.region)", "$$eu"),
        ("US$$$(params.region) $$$(HOSTNAME) $$$", "US$eu $$$(HOSTNAME) $$$"),
    ],
)
def test_renders(text: str, result: str) -> None:
    assert render(text, SCOPE) == result


@pytest.mark.parametrize(
    "text",
    [
        "$(HOSTNAME) $$(HOSTNAME) $(date +%s) $( params.region ) $(params) $(params.) $(params.1a) $(outputs)",
        "$(planName.x) $(plan) $(Mode) $(params.a b) $(params.ü) ${params.region} $params.region $",
        "{{ .Values.x }} {{ .executionName }} {{ .mode }} {{ params.region }} {{- .params.region }} {{ .params }}",
        "$(timestamp) $(my_var)",
    ],
)
def test_leaves_alone_what_is_not_ours(text: str) -> None:
    assert render(text, SCOPE) == text
    assert placeholders(text) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$(params.x)", 'failed to resolve "$(params.x)": key "x" not found'),
        ("{{ .params.x }}", 'failed to resolve "{{ .params.x }}": key "x" not found'),
        (
            "$(params.region.zone)",
            'failed to resolve "$(params.region.zone)": key "region" is not a map, cannot resolve "zone"',
        ),
        ("$(params.x.y)", 'failed to resolve "$(params.x.y)": key "x" not found'),
        ("$(outputs.nobody.uid)", 'failed to resolve "$(outputs.nobody.uid)": key "nobody" not found'),
        ("$(outputs.2nd.name)", 'failed to resolve "$(outputs.2nd.name)": key "name" not found'),
        (
            "$(outputs.2nd)",
            'failed to resolve "$(outputs.2nd)": key "2nd" is an action, one of its fields must follow',
        ),
    ],
)
def test_says_what_is_missing(text: str, message: str) -> None:
    with pytest.raises(UnresolvedPlaceholdersError) as caught:
        render(text, SCOPE)
    assert str(caught.value) == message
    assert caught.value.names == (text,)


def test_reports_everything_missing_once_in_text_order() -> None:
    with pytest.raises(UnresolvedPlaceholdersError) as caught:
        render("$(params.z) {{ .params.a }} $(params.region) $(params.z)", SCOPE)
    assert str(caught.value) == (
        'failed to resolve "$(params.z)": key "z" not found; failed to resolve "{{ .params.a }}": key "a" not found'
    )


def test_renders_every_text_of_a_structure() -> None:
    body = {"$(params.region)/a": ["$(params.region)", 1, None, True, {"deep": "$(mode)"}], "$$(mode)": 1.5}
    assert render_leaves(body, SCOPE) == {"eu/a": ["eu", 1, None, True, {"deep": "upgrade"}], "$(mode)": 1.5}


def test_keys_that_become_one_are_refused() -> None:
    with pytest.raises(UnresolvedPlaceholdersError) as caught:
        render_leaves([{"eu": 1, "$(params.region)": 2}], SCOPE)
    assert str(caught.value) == 'failed to resolve "$(params.region)": there is another key "eu" beside it'


def test_collects_what_is_missing_from_all_leaves() -> None:
    with pytest.raises(UnresolvedPlaceholdersError) as caught:
        render_leaves({"a": ["$(params.x)"], "b": "$(params.y)", "c": "$(params.x)"}, SCOPE)
    assert caught.value.names == ("$(params.x)", "$(params.y)")


def test_lists_the_placeholders_of_a_text() -> None:
    assert placeholders("$(planName) $$(mode) {{ .params.a }} $(outputs.x.jobRef.name) $(HOME)") == (
        Placeholder("$(planName)", "planName", ()),
        Placeholder("{{ .params.a }}", "params", ("a",)),
        Placeholder("$(outputs.x.jobRef.name)", "outputs", ("x", "jobRef", "name")),
    )


def test_secret_values_are_those_of_the_marked_parameters() -> None:
    scope = Scope(params={"a": "s3cret", "b": "plain", "c": ""}, secrets=frozenset({"a", "c", "gone"}))
    assert secret_values(scope) == {"s3cret"}


NAMES = st.from_regex(PARAM_NAME, fullmatch=True).filter(lambda name: name != "mode")
VALUES = st.text(st.characters(exclude_categories=("Cs",)), max_size=10) | st.sampled_from(
    ["$(params.a)", "{{ .params.a }}", "$$(params.a)", "$", "$("]
)


@given(st.dictionaries(NAMES, VALUES, min_size=1), st.data())
def test_values_are_taken_over_as_they_are(params: dict[str, str], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(params)), max_size=4))
    text = " ".join(data.draw(st.sampled_from(["$(params.%s)", "{{ .params.%s }}"])) % name for name in names)
    assert render(text, Scope(params)) == " ".join(params[name] for name in names)


PIECES = st.sampled_from(["$(params.a)", "$(params.b)", "$(", "$", ")", "params.a", "{{", "}}", " ", ".", "$(mode.x)"])


@given(st.lists(PIECES).map("".join))
def test_any_text_renders_or_names_its_placeholders(text: str) -> None:
    names = {found.text for found in placeholders(text)}
    if "$(params.a)" in names and len(names) == 1 and "$$(" not in text:
        assert render(text, Scope({"a": "1"})) == text.replace("$(params.a)", "1")
    elif names - {"$(params.a)"}:
        with pytest.raises(UnresolvedPlaceholdersError):
            render(text, Scope({"a": "1"}))
    elif "$$(" not in text:
        assert render(text, Scope({})) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab$()", max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(JSON)
def test_structures_without_placeholders_come_back_equal(value: Any) -> None:
    assert render_leaves(value, Scope({})) == value


@pytest.mark.parametrize(
    "text",
    [
        "$(params.x)" * 4_000,
        "{{ .params.x }}" * 4_000,
        "$(outputs.a.body)$(params.x)" * 4_000,
        "y" * (MOST_RENDERED + 1),
    ],
)
def test_what_would_become_too_large_is_not_put_together(text: str) -> None:
    scope = Scope({"x": "x" * 100_000}, outputs={"a": {"body": "b" * 1_000}})
    tracemalloc.start()
    try:
        with pytest.raises(UnresolvedPlaceholdersError, match=r"at least \d+ characters, more than 3145728: use fewer"):
            render(text, scope)
        with pytest.raises(RenderedTooLargeError):
            render_leaves({"a": [text[: len(text) // 2], {"b": text}]}, scope)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
