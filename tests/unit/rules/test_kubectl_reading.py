"""Manifests are read as kubectl reads them: compared with the Go library that it uses."""

# ruff: noqa: E501, SIM905 - words in rows

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.rules.manifests.documents import load_documents
from app.rules.manifests.trees import ManifestError
from tests.support.oracle import Oracle

NUMBERS = """
0 -0 +0 00 007 08 09 0644 0o644 0O17 0o8 -0o7 0x1f 0X1F 0x -0x1f 0xfffffffffffffffff 0b11 0B1 0b2 0b -0b11 +0b1 1_000 1__0 1_ _1
12:30:45 12:30 1e3 1E3 8e1 1e-3 1e400 -1e400 1e1000000 .5 -.5 +.5 .5e3 ._5 .5_0 5. 5.e1 . .e1 1.5 3.0 -3.0 -0.0 0.0 1e20 1e21 1e22
123456789012345678901234567890 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
18446744073709551615 18446744073709551616 1.7976931348623157e308 4.9e-324 0x1p4 1_0.5_0 +1 -+1 1e 1e+ 0e0 00.5 01.5 0.1e1
""".split()
WORDS = """
y Y yes Yes YES yEs n N no No NO true True TRUE tRue false False FALSE on On ON off Off OFF null Null NULL nUll ~ .inf -.inf +.inf
.Inf .INF .iNf .nan .NaN .NAN -.nan = << == <<< 2001-12-14 2001-12-14T21:59:43Z 2001-1-1 2001-13-45 1999-02-29 '12' "12" '~' ''
!!str\\ 12 !!int\\ 0x10 !!int\\ 1.0 !!int\\ '7' !!float\\ 3 !!float\\ 0x10 !!float\\ x !!bool\\ y !!bool\\ maybe !!null\\ x !!null\\ ''
!!binary\\ aGVsbG8= !!binary\\ /w== !!binary\\ aGVsbG8 !!binary\\ x !!timestamp\\ 2001-12-14 !!timestamp\\ 2001-13-14 !!timestamp\\ x
!foo\\ 12 !!set\\ {b} !!omap\\ [a:\\ 1] !!python/name:os.system\\ x !<tag:yaml.org,2002:int>\\ 12 !!merge\\ x !!str !!null !!int
""".replace("\\ ", "\0").split()
SCALARS = [word.replace("\0", " ") for word in WORDS] + NUMBERS
TEXTS = [
    "delimiter: =",
    "kind: List\nitems: [{a: 1}]",
    '{"a": 1}{"b": 2}',
    '{"a": 1}\n{"b": 2}\n',
    '{"a": 1}\n---\nb: 2\n',
    '{"a": 1}\n{"b": 2}\n---\nc: 3\n',
    '{"a": 1} x',
    '{"a": "\\ud83d\\ude00"}',
    '{"a": "\\ud83d"}',
    '{"a": 1e3, "b": 3.0, "c": 12345678901234567890, "d": -0, "e": 1E400}',
    '{"a": NaN}',
    '{"a": 1, "a": 2}',
    '{"a": 01}',
    "{a: b}",
    "{a: b}\n---\n{c: d}",
    '  \n {"a": "\t"}',
    '{"a": [1, {"b": null}]}',
    "a: {b: 1, <<: {b: 2, c: 3}}",
    "a: {<<: {b: 2, c: 3}, b: 1}",
    "a: {<<: [{b: 1}, {b: 2, c: 3}]}",
    "x: &x {b: 1}\ny: {<<: *x, c: 2}",
    "a: {<<: 3}",
    "a: {'<<': {b: 2}}",
    "a: {? <<: 1}",
    "{1.5: b, y: c, 0x10: d, 1e10: e, 1.0: f, 123456.7: g, 1234567.0: h, 0.0001: i, 0.00001: j, 1e40: k, -0.0: l}",
    "a:\n  !!binary aGk=: 1\n  2001-01-01: 2",
    "~: 1",
    "? null\n: 1",
    "? [a]\n: 1",
    "? {a: b}\n: 1",
    "18446744073709551615: a",
    "a: 1\na: 2",
    "a: &a [*a]",
    "a: *b",
    "--- a: 1",
    "---\na: 1\n--- # comment\nb: 2\n---",
    "a: 1\n---x\nb: 2",
    "a: 1\n----\nb: 2",
    "%YAML 1.1\n---\na: 1",
    "# nothing\n---\n\n---\na: 1\n",
    "a: 1\r\n---\r\nb: 2\r\n",
    "a: |\n  ---\n  b\n",
    "a: >-\n  x\n\n  y\n",
    'a: "\\u0041\\x41\\e"',
    'a: "\\ud83d\\ude00"',
    "a: 'it''s'",
    "[1, 2]",
    "text",
    "",
    "a:\n- b\n-\n- ~",
    "a: [b, c: d, {e: f}]",
    "\ta: 1",
    "a:\tb",
    "a: b: c",
    "\ufeffa: 1",
    *[f"a: {style}\n  x" for style in ("|", "|+", "|-", ">", ">+", ">-", "|2")],
    "data:\n  k: |\n    x\n\n    y\n---\nb: >\n  z",
    "a: |\n  x\n---\n",
    "a: &x 1\nb: *x\nc: &x 2\nd: *x",
    "a: &x {b: 1}\nc: &x [{<<: *x}]",
    "a: &x 1\nc: {<<: &x {b: 2}, d: *x}",
    "a: &x [&x 1, *x]",
    "\ufeff---\na: 1\n---\n\ufeffb: 2\n",
    "a: \ufeff1",
]


def known(value: object) -> Any:
    """JSON numbers as the API server has them."""
    if isinstance(value, dict):
        return {key: known(member) for key, member in value.items()}
    if isinstance(value, list):
        return [known(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def typed(value: object) -> Any:
    """Values that are equal only if their types are; the oracle's JSON does not tell 3.0 from 3."""
    if isinstance(value, dict):
        return {key: typed(member) for key, member in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, float) and value.is_integer() and -(2**63) <= (whole := int(Decimal(repr(value)))) < 2**63:
        value = whole
    return type(value).__name__, value


def kubectl(oracle: Oracle, text: str) -> Any:
    answer = oracle.ask("manifest", text)
    return "refused" if answer.stage else typed(known(json.loads(answer.result)))


def ours(text: str) -> Any:
    try:
        return typed(load_documents(text))
    except ManifestError:
        return "refused"


@pytest.mark.parametrize("text", SCALARS)
def test_scalars(oracle: Oracle, text: str) -> None:
    for manifest in (f"a: {text}", f"- {text}\n- x", f"{{a: [{text}]}}", f"? {text}\n: b"):
        assert ours(manifest) == kubectl(oracle, manifest), manifest


@pytest.mark.parametrize("text", TEXTS)
def test_texts(oracle: Oracle, text: str) -> None:
    assert ours(text) == kubectl(oracle, text)


def test_what_kubectl_leaves_out_silently_is_refused(oracle: Oracle) -> None:
    text = "a: 1\n...\nb: 2\n"
    assert kubectl(oracle, text) == typed([{"a": 1}])
    with pytest.raises(ManifestError, match="line 3"):
        load_documents(text)


@pytest.mark.parametrize("text", ["---\n\ufeffa: 1", "a: 1\n\ufeffb: 2"])
def test_byte_order_marks_that_kubectl_takes_for_keys_are_refused(oracle: Oracle, text: str) -> None:
    assert "\\ufeff" in str(kubectl(oracle, text))
    with pytest.raises(ManifestError, match="line 2, column 1: a byte-order mark"):
        load_documents(text)


def test_anchors_that_are_set_anew_stay_within_the_bounds() -> None:
    again = "a: &x 1\nb: &x 2\n"
    for text, problem in (
        (again + "c: " + "[" * 200 + "]" * 200, "nested deeper"),
        (again + "c: [" + "1, " * 250_000 + "]", "more than"),
        (again + "c: &y [*y]", "contains itself"),
        (again + "c: *z", "line 3, column 4: found undefined alias"),
    ):
        with pytest.raises(ManifestError, match=problem):
            load_documents(text)


def test_long_scalars_are_texts() -> None:
    digits = "1" * 5000
    assert load_documents(f"a: {digits}") == [{"a": digits}]


ALPHABET = st.sampled_from("0123456789_+-.:eExXbBoOyYnN~=<!'\"#|> ")


@given(st.text(ALPHABET, min_size=1, max_size=8))
def test_any_short_scalar(oracle: Oracle, text: str) -> None:
    manifest = f"a: {text}\n"
    assert ours(manifest) == kubectl(oracle, manifest), manifest


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=1, max_size=3),
    st.sampled_from(["", "\n", " \n "]),
)
def test_any_json(oracle: Oracle, values: list[Any], between: str) -> None:
    text = between.join(json.dumps(value) for value in values)
    assert ours(text) == kubectl(oracle, text), text


@given(st.lists(st.dictionaries(st.text("abc", max_size=2), JSON, max_size=3), min_size=1, max_size=3))
def test_any_yaml_that_a_library_writes(oracle: Oracle, values: list[Any]) -> None:
    text = yaml.safe_dump_all(values, allow_unicode=True, explicit_start=True)
    assert ours(text) == kubectl(oracle, text), text


def test_every_pair_of_flow_and_sign(oracle: Oracle) -> None:
    """Small structures, all of them, which is where readers of YAML differ.

    What stands behind the end of a document, kubectl leaves out silently, where we refuse it. And it wants four more
    bytes behind a first JSON object, else it refuses what follows.
    """
    pieces = ("a: ", "- ", "? ", "{", "}", "[", "]", ",", "x", "&n ", "*n", "\n", "  ", "<<: ", "---\n", "#", "'", '"')
    different = []
    for parts in itertools.product(pieces, repeat=3):
        text = "".join(parts)
        mine, theirs = ours(text), kubectl(oracle, text)
        if mine not in ("refused", theirs) and not text.startswith("{"):
            different.append((text, mine, theirs))
    assert different == []
