"""Whatever an author writes as a condition gets an answer or a reason, and the same one each time."""

# ruff: noqa: E501 - one kind of word is one line

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.cel.language import compile_expression
from app.engine.templates import Scope
from app.engine.when import WhenError, evaluate, parse_when

_SCOPE = Scope(
    params={"a": "1", "b": "x"},
    plan_name="p",
    mode="install",
    outputs={"a": {"statusCode": "200", "body": "b"}},
    secrets=frozenset({"s"}),
)
_WORDS = st.sampled_from(
    [
        *('mode', 'params', 'outputs', 'planName', 'operation', 'install', 'has', 'in', 'size', 'int', 'all', 'exists'),
        *('.a', '.s', '.b', '.body', '.statusCode', '["a"]', '"install"', "'x'", '""', '1', '2.5', 'true', 'null', 'b"x"'),
        *('==', '!=', '&&', '||', '<', '+', '-', '!', '?', ':', '(', ')', '[', ']', '{', '}', ',', ' ', '\n', 'matches'),
    ]
)  # fmt: skip
_TEXTS = st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=25).map("".join), st.lists(_WORDS).map(" ".join))


def answer(text: str) -> bool | str:
    try:
        return evaluate(parse_when(text, compile_expression), _SCOPE).run
    except WhenError as error:
        return str(error)


@given(_TEXTS)
def test_every_text_gets_an_answer_or_a_reason(text: str) -> None:
    found = answer(text)
    assert found == answer(text)
    if isinstance(found, str):
        assert found.startswith(("invalid when expression ", "when expression "))
        assert "<input>" not in found
        assert "INVALID_ARGUMENT" not in found
