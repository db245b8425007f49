from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.engine.gotext import quote
from app.engine.jsonpath import LONGEST, MAX_CHARACTERS, MAX_VALUES, JsonPathError, check_syntax, evaluate

if TYPE_CHECKING:
    from tests.support.oracle import Oracle

STORE = {
    "kind": "List",
    "empty": "",
    "nothing": None,
    "metadata": {"name": "store", "labels": {"app.kubernetes.io/name": "db", "a b": "blank"}},
    "items": [
        {"name": "one", "port": 80, "ready": True, "weight": 0.5, "tags": ["x", "y"]},
        {"name": "two", "port": 443, "ready": False, "weight": 2.0, "tags": []},
        {"name": "three", "port": 8080, "weight": 1.5, "tags": ["z"], "owner": {"uid": "u<&>"}},
    ],
}

CASES = {
    "{.metadata.name}": "store",
    "{$.metadata.name}": "store",
    "{@.metadata.name}": "store",
    "{metadata.name}": None,
    "prefix-{.kind}-suffix": "prefix-List-suffix",
    ".metadata.name": ".metadata.name",
    "{['metadata']['name']}": "store",
    "{['metadata','kind']}": '{"labels":{"a b":"blank","app.kubernetes.io/name":"db"},"name":"store"} List',
    r"{.metadata.labels.app\.kubernetes\.io/name}": "db",
    r"{.metadata.labels['app\.kubernetes\.io/name']}": "db",
    r"{.metadata.labels['a\ b']}": "blank",
    "{.metadata.labels['a b']}": None,
    "{.items[0].name}": "one",
    "{.items[-1].name}": "three",
    "{.items[].name}": "one",
    "{.items[0:2].name}": "one two",
    "{.items[:2].name}": "one two",
    "{.items[1:].name}": "two three",
    "{.items[::2].name}": "one three",
    "{.items[-2:-1].name}": "two",
    "{.items[0,2].name}": "one three",
    "{.items[*].port}": "80 443 8080",
    "{.items[*].weight}": "0.5 2 1.5",
    "{.items[*]['name','port']}": "one two three 80 443 8080",
    "{.items[5]}": None,
    "{.items[2:1]}": None,
    "{.items[::0]}": None,
    "{.items.*.name}": "one two three",
    "{..name}": None,
    "{..uid}": "u<&>",
    "{.items[2].owner}": r'{"uid":"u\u003c\u0026\u003e"}',
    "{.items[0].tags}": '["x","y"]',
    '{.items[?(@.name=="two")].port}': "443",
    "{.items[?(@.name == 'two')].port}": "443",
    '{.items[?(@.name!="two")].port}': "80 8080",
    "{.items[?(@.port>80)].name}": "two three",
    "{.items[?(@.port>=443)].name}": "two three",
    "{.items[?(@.port<443)].name}": "one",
    "{.items[?(@.port<=443)].name}": "one two",
    "{.items[?(@.weight<1.0)].name}": "one",
    "{.items[?(@.weight<1)].name}": None,
    "{.items[?(@.owner)].name}": "three",
    "{.items[?(@.tags[1])].name}": "one two three",
    "{.items[?(@.ready==true)].name}": None,
    "{.items[0,1][?(@.ready==true)].name}": None,
    '{.items[?(@.name=="a)b")].name}': None,
    '{range .items[*]}{.name}={.port}{"\\n"}{end}': "one=80\ntwo=443\nthree=8080",
    "{range .items[*]}{.name}:{range .tags[*]}{@},{end};{end}": "one:x,y,;two:;three:z,;",
    "{range .items[?(@.port>9999)]}x{end}none": "none",
    "{range .items[?(@.port>9999)]}{.name}{end}": None,
    "{.nothing}": "null",
    "{.nothing.x}": None,
    "{.missing}": None,
    "{.kind.x}": None,
    "{.kind[0]}": None,
    "{.kind.*}": "76 105 115 116",
    "{.kind[?(@.x)]}": None,
    "{.empty}": None,
    "{'literal'}": "literal",
    '{"a\\tb\\u00e9\\x41\\101\\""}': 'a\tbéAA"',
    "{1.50} {-3} {true}": "1.5 -3 true",
    "{end}": None,
    "{range .items[*]}{.name}": None,
    "{..}{..}": None,
    "{....}": None,
    "{.items[x]}": None,
    "{.items[0}": None,
    "{.items": None,
    "{.items[?(@.name=='x']}": None,
    "{.items[?(@.name=='x')}": None,
    "{'open}": None,
    r"{'\q'}": None,
    "{#}": None,
    "{1.2.3}": None,
    "{.items[-]}": None,
    "}{}{": None,
    "": None,
    "  {.kind}\n": "List",
    "{.metadata.name}{.nothing}": "storenull",
}


def outcome(expression: str, document: Any) -> str:
    try:
        return "ok " + evaluate(expression, document)
    except JsonPathError as error:
        return "error " + str(error)


def expected(oracle: Oracle, expression: str, document: Any) -> str | None:
    """What the API's rules make of client-go's own result; None where client-go crashes."""
    answer = oracle.ask("jsonpath", expression, document)
    if answer.stage == "panic":
        return None
    if answer.stage == "parse":
        return f"error invalid jsonPath expression {quote(expression)}: {answer.error}"
    if answer.stage == "execute":
        return f"error jsonPath execution failed for {quote(expression)}: {answer.error}"
    text = answer.result.strip()
    return f"ok {text}" if text else f"error jsonPath {quote(expression)} returned empty value"


def check_agrees(oracle: Oracle, expression: str, document: Any) -> None:
    ours, theirs = outcome(expression, document), expected(oracle, expression, document)
    if theirs is None:
        assert ours.startswith("error ")
    elif theirs.endswith("and cannot be filtered"):
        assert ours.endswith("and cannot be filtered")
    else:
        assert ours == theirs


@pytest.mark.parametrize(("expression", "result"), [(e, r) for e, r in CASES.items() if r is not None])
def test_finds(expression: str, result: str) -> None:
    assert evaluate(expression, STORE) == result


@pytest.mark.parametrize("expression", list(CASES))
def test_cases_agree_with_client_go(oracle: Oracle, expression: str) -> None:
    if expression not in ("{..name}", "{..}{..}"):  # the order of members is random there
        check_agrees(oracle, expression, STORE)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{.metadata.nme}", 'jsonPath execution failed for "{.metadata.nme}": nme is not found'),
        ("{.empty}", 'jsonPath "{.empty}" returned empty value'),
        ("{.items", 'invalid jsonPath expression "{.items": unclosed action'),
        ('{.a["}', r'invalid jsonPath expression "{.a[\"}": unterminated array'),
        (
            "{.metadata[?(@.x)]}",
            'jsonPath execution failed for "{.metadata[?(@.x)]}": '
            "map[string]interface {} is not array or slice and cannot be filtered",
        ),
    ],
)
def test_says_what_is_wrong(expression: str, message: str) -> None:
    with pytest.raises(JsonPathError) as caught:
        evaluate(expression, STORE)
    assert str(caught.value) == message


def test_members_come_in_the_order_of_their_names() -> None:
    assert evaluate("{.*}", {"b": 1, "a": 2, "c": 3}) == "2 1 3"
    assert evaluate("{..name}", STORE) == "one two three store"


def test_filter_error_does_not_show_the_document() -> None:
    with pytest.raises(JsonPathError) as caught:
        evaluate('{.data[?(@.x=="y")]}', {"data": {"password": "hunter2"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "{" + "...*" * 12 + "}",
        "{" + "[*,*]" * 25 + "}",
        "{range ..}" * 6 + "{end}" * 6,
        "{.items[?(@" + "[*,*]" * 25 + ")]}",
        "{range @}" * 40 + "x" + "{end}" * 40,
    ],
)
def test_work_is_bounded(expression: str) -> None:
    nested: Any = "leaf"
    for _ in range(30):
        nested = [nested, nested] if not isinstance(nested, list) else [nested, nested[0]]
    with pytest.raises(JsonPathError, match=f"more than ({MAX_VALUES} values|32 ranges)"):
        evaluate(expression, {"items": [nested]} if "items" in expression else nested)


@pytest.mark.parametrize(
    "expression",
    [
        "{$}" * 1_000,
        "{@}{.big}" * 400,
        "{range .items[*]}" + "{'" + "x" * 4_000 + "'}{end}",
        "{.items[*,*,*,*,*,*,*,*]['big','big','big','big']}",
        "{range ..}{@}{end}",
    ],
)
def test_results_are_bounded_before_they_are_put_together(expression: str) -> None:
    """One path of a few kilobytes made gigabytes of one object, which ended the controller."""
    document: Any = {"big": "b" * 20_000, "items": [{"big": "b" * 1_000} for _ in range(300)]}
    for _ in range(40):
        document = {**document, "items": [*document["items"][:300], {"big": document["big"]}]} | {"n": document}
    tracemalloc.start()
    with pytest.raises(JsonPathError, match=f"more than ({MAX_CHARACTERS} characters|{MAX_VALUES} values)"):
        evaluate(expression, document)
    assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    tracemalloc.stop()


@pytest.mark.parametrize("text", ["{.a[?(@.b==" + "9" * 500_000 + ")]}", "{" + ".a" * 100_000 + "}", "a" * 5_000])
def test_expressions_are_bounded(text: str) -> None:
    with pytest.raises(JsonPathError, match=f"more than {LONGEST}") as caught:
        check_syntax(text)
    assert len(str(caught.value)) < 1_000


def test_deeply_nested_document_is_an_error_of_the_expression() -> None:
    document: Any = []
    for _ in range(5_000):
        document = [document]
    with pytest.raises(JsonPathError, match="nested too deeply"):
        evaluate("{@}", document)


def test_check_syntax_needs_no_document() -> None:
    check_syntax("{.spec.replicas}")
    with pytest.raises(JsonPathError, match="unclosed action"):
        check_syntax("{.spec")


NAMES = st.sampled_from(["a", "b", "name", "x.y", "a b", "é", "0"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "b", "x<y>&", "é☃", "a\nb\u2028"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
)


def documents(most_members: int) -> st.SearchStrategy[Any]:
    values = st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=most_members),
        max_leaves=12,
    )
    return st.dictionaries(NAMES, values, max_size=most_members)


FIELDS = st.sampled_from(
    [".a", ".b", ".name", r".x\.y", ".é", ".0", "['a']", r"['x\.y']", "['a','b']", "['x.y']", r"['a\ b']", "['a b']"]
)
BOUNDS = st.sampled_from(["", "0", "1", "2", "-1", "-2", "7"])
SLICES = st.builds(
    lambda a, b, c: f"[{a}{b}{c}]",
    BOUNDS,
    BOUNDS.map(":{}".format) | st.just(""),
    st.sampled_from(["", ":", ":1", ":2", ":0"]),
)
INDEXES = st.sampled_from(["[0]", "[1]", "[-1]", "[*]", "[0,1]", "[*,0]"]) | SLICES
OPERANDS = st.sampled_from(["@", "@.a", "@.b", '"a"', "'b'", "1", "-2", "0.5", "true", "@.name", "@[0]"])
FILTERS = st.builds(
    lambda left, sign, right: f"[?({left}{sign}{right})]",
    OPERANDS,
    st.sampled_from(["==", " == ", "!=", "<", "<=", ">", ">=", "=", "=<"]),
    OPERANDS,
) | OPERANDS.map("[?({})]".format)
STEPS = st.one_of(FIELDS, INDEXES, FILTERS)
ORDERED_PATHS = st.lists(STEPS, max_size=4).map("".join)
ANY_PATHS = st.lists(st.one_of(STEPS, st.sampled_from([".*", "..", "..a", "..*", "...*", "..[0]"])), max_size=4).map(
    "".join
)


def templates(paths: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    actions = paths.map("{{{}}}".format)
    ranges = st.builds("{{range {}}}{{{}}}, {{end}}".format, paths, paths)
    return st.lists(st.one_of(actions, ranges, st.sampled_from(["text ", "{'x'}", "{end}"])), max_size=3).map("".join)


COMPARED = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@COMPARED
@given(template=templates(ORDERED_PATHS), document=documents(3))
def test_agrees_with_client_go_on_paths(oracle: Oracle, template: str, document: Any) -> None:
    check_agrees(oracle, template, document)


def written(name: str) -> str:
    """`name` as a key of the dialect, which needs a backslash before a dot or a blank."""
    return name.replace(".", "\\.").replace(" ", "\\ ")


@st.composite
def located(draw: st.DrawFn) -> tuple[str, Any]:
    """A document and an expression that walks along what is really in it."""
    document = draw(st.dictionaries(NAMES, st.lists(documents(3), max_size=4), min_size=1, max_size=3))
    here: Any = document
    steps: list[str] = []
    while isinstance(here, dict | list) and here and (not steps or draw(st.integers(0, 4))):
        if isinstance(here, dict):
            name = draw(st.sampled_from(sorted(here)))
            steps.append(draw(st.sampled_from([f".{written(name)}", f"['{written(name)}']"])))
            here = here[name]
        else:
            index = draw(st.integers(0, len(here) - 1))
            item, member = here[index], draw(NAMES)
            forms = [
                f"[{index}]",
                f"[{index - len(here)}]",
                f"[{index}:{index + 1}]",
                f"[:{index + 1}]",
                "[*]",
                "[::2]",
            ]
            forms += [f"[?(@.{written(member)})]", f"[{index},0]"]
            if isinstance(item, dict) and isinstance(item.get(member), str | int):
                sign = draw(st.sampled_from(["==", "!=", "<", ">="]))
                forms.append(f"[?(@.{written(member)}{sign}{json.dumps(item[member], ensure_ascii=False)})]")
            steps.append(draw(st.sampled_from(forms)))
            here = item
    path = "".join(steps)
    return draw(st.sampled_from(["{%s}", "{range %s}{@}|{end}", "{range %s}{.a}{end}", "x{$%s}y"])) % path, document


@COMPARED
@given(both=located())
def test_agrees_with_client_go_on_what_is_there(oracle: Oracle, both: tuple[str, Any]) -> None:
    check_agrees(oracle, *both)


@COMPARED
@given(template=templates(ANY_PATHS), document=documents(1))
def test_agrees_with_client_go_on_wildcards_and_descent(oracle: Oracle, template: str, document: Any) -> None:
    check_agrees(oracle, template, document)


PIECES = [
    *("{", "}", "{", "}", "[", "]", "[?(", ")]", "(", ".", "..", ",", ":", "*", "@", "$", "'", '"', "\\", "=", "=="),
    *("<", "a", "b", "0", "1", "-", "+", " ", "\n", "range ", "end", "true", "é", "٣", "\\n", "\\x41", "\\u00e9"),
    *("#", "['a']", "{.a}", "{range .b}", "{end}"),
]


@COMPARED
@example(text="{.a[0:1:2:3]}")
@example(text='{"\\ud800"}')
@given(text=st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_agrees_with_client_go_on_any_text(oracle: Oracle, text: str) -> None:
    check_agrees(oracle, text, {"a": [{"a": 1}]})


@COMPARED
@given(text=st.text(st.characters(exclude_categories=("Cs", "Cn"))))
def test_quotes_like_go(oracle: Oracle, text: str) -> None:
    assert quote(text) == oracle.ask("quote", text).result
