from __future__ import annotations

from typing import Any

import pytest

from app.engine.gotext import compact_json, number, quote, scalar


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x7f\u00a0\u2028\U000e0001", r'"\x00\x7f\u00a0\u2028\U000e0001"'),
        ("é☃😀", '"é☃😀"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (-7, "-7"), (2**63 - 1, "9223372036854775807"), (2**63, "9.223372036854776e+18")),
        *((1.0, "1"), (0.5, "0.5"), (-0.0, "-0"), (100000.5, "100000.5"), (999999.0, "999999"), (1e6, "1e+06")),
        *((1234567.0, "1.234567e+06"), (0.0001, "0.0001"), (0.00001, "1e-05"), (1e300, "1e+300")),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (False, "false"), ("<a>", "<a>"), (3, "3")]
)
def test_scalar(value: object, text: str) -> None:
    assert scalar(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": [1, None, True], "a": {}}, '{"a":{},"b":[1,null,true]}'),
        ("<&>\u2028é\n", r'"\u003c\u0026\u003e\u2028é\n"'),
        ([1e20, 1e21, 1e-6, 1e-7, 1.5, 2.0, 0.0], "[100000000000000000000,1e+21,0.000001,1e-7,1.5,2,0]"),
        (2**70, "1.1805916207174113e+21"),
    ],
)
def test_compact_json(value: Any, text: str) -> None:
    assert compact_json(value) == text
