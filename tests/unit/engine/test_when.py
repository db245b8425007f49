from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cel.language import compile_expression
from app.engine.templates import Scope
from app.engine.when import (
    MODES,
    Expression,
    Language,
    Reads,
    WhenError,
    WhenExpression,
    WhenResult,
    evaluate,
    parse_when,
    reads_mode,
    reads_outputs,
)

UNSUPPORTED = 'unsupported expression, only `mode == "install|upgrade|delete|rollback"` joined by `||` is allowed'


@dataclass
class Answer:
    """An expression of a made-up language, which is true when its text says so."""

    text: str
    reads: Reads = field(default_factory=Reads)

    def holds(self, scope: Scope) -> bool:
        return self.text == "yes"


def modes_of(text: str, language: Language | None = None) -> tuple[str, ...]:
    condition = parse_when(text, language)
    assert isinstance(condition, WhenExpression)
    return condition.modes


@pytest.mark.parametrize("language", [None, compile_expression])
@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("", ()),
        ("  \n", ()),
        ('mode == "install"', ("install",)),
        ("mode=='Upgrade'", ("upgrade",)),
        ("mode == delete", ("delete",)),
        ("""mode == "rollback'""", ("rollback",)),
        (' operation == "install" || mode=="upgrade" ', ("install", "upgrade")),
        ("mode==install||operation==install", ("install",)),
    ],
)
def test_parses(text: str, modes: tuple[str, ...], language: Language | None) -> None:
    assert modes_of(text, language) == modes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Mode == install", UNSUPPORTED),
        ("mode != install", UNSUPPORTED),
        ("mode == install && mode == upgrade", UNSUPPORTED),
        ("mode == install ||", UNSUPPORTED),
        ("(mode == install)", UNSUPPORTED),
        ("mode == install2", UNSUPPORTED),
        ("params.mode == install", UNSUPPORTED),
        ("mode == destroy", 'unsupported mode value "destroy" in when'),
        ("mode == install || mode == destroy", 'unsupported mode value "destroy" in when'),
        ("mode == install || garbage", UNSUPPORTED),
    ],
)
def test_checks_the_whole_expression(text: str, why: str) -> None:
    with pytest.raises(WhenError) as caught:
        parse_when(text)
    assert caught.value.why == why
    assert str(caught.value) == f'invalid when expression "{text}": {why}'


@pytest.mark.parametrize("text", ["mode == destroy", "mode == install || mode == destroy", "mode == null"])
def test_keeps_the_words_about_unknown_modes(text: str) -> None:
    with pytest.raises(WhenError, match=r': unsupported mode value "(destroy|null)" in when$'):
        parse_when(text, compile_expression)


def test_names_the_expression_quoted_as_go_does() -> None:
    with pytest.raises(WhenError, match=r'^invalid when expression "mode = \\"x\\"\\n": '):
        parse_when('mode = "x"\n')


def test_says_why_an_action_is_skipped() -> None:
    expression = parse_when('mode == "upgrade" || mode == "Install"')
    assert evaluate(expression, Scope({}, mode="Delete")) == WhenResult(
        run=False, message="when not matched: mode=delete, expected one of [upgrade,install]"
    )


@given(st.lists(st.sampled_from(MODES)), st.sampled_from(MODES))
def test_runs_in_the_modes_named_and_in_all_when_blank(named: list[str], mode: str) -> None:
    expression = parse_when(" || ".join(f'mode == "{name}"' for name in named))
    assert evaluate(expression, Scope({}, mode=mode.upper())).run == (not named or mode in named)


def test_gives_what_names_more_than_modes_to_the_language() -> None:
    taken: list[str] = []

    def language(text: str) -> Expression:
        taken.append(text)
        return Answer(text)

    assert evaluate(parse_when("yes", language), Scope({})) == WhenResult(run=True)
    assert evaluate(parse_when("no\n way", language), Scope({})) == WhenResult(
        run=False, message="when not matched: no way is false"
    )
    parse_when("mode == install", language)
    parse_when(" ", language)
    parse_when("mode == install || no", language)
    assert taken == ["yes", "no\n way", "mode == install || no"]


@pytest.mark.parametrize(
    ("text", "mode", "outputs"),
    [
        ("", False, False),
        ("mode == install", True, False),
        ('params.a == "b"', False, False),
        ('params.mode == "install"', True, False),
        ('mode != "install" && outputs.a.body == ""', True, True),
        ('"a" in outputs', False, True),
        ("outputs == outputs", False, True),
    ],
)
def test_tells_what_a_condition_depends_on(text: str, mode: bool, outputs: bool) -> None:
    condition = parse_when(text, compile_expression)
    assert (reads_mode(condition), reads_outputs(condition)) == (mode, outputs)


_SPACE = st.sampled_from(["", " ", "  ", "\t", "\n"])
_QUOTE = st.sampled_from(["", "'", '"'])


@st.composite
def _clauses(draw: st.DrawFn) -> str:
    word = draw(st.sampled_from(["mode", "operation"]))
    value = draw(st.sampled_from([*MODES, "Install", "DELETE", "destroy", "x"]))
    parts = (draw(_SPACE), word, draw(_SPACE), "==", draw(_SPACE), draw(_QUOTE), value, draw(_QUOTE), draw(_SPACE))
    return "".join(parts)


def _as_the_go_operator_does(text: str, mode: str) -> bool | str:
    """The answer by a transcription of what the API's documents say, independent of the parser; an error's reason."""
    modes = []
    for clause in text.split("||"):
        value = re.split(r"==\s*", clause.strip(), maxsplit=1)[1].strip("'\"")
        if value.lower() not in MODES:
            return f'unsupported mode value "{value}" in when'
        modes.append(value.lower())
    return mode in modes


@given(st.lists(_clauses(), min_size=1, max_size=4), st.sampled_from(MODES))
def test_the_language_changes_nothing_for_clauses_on_modes(clauses: list[str], mode: str) -> None:
    text = "||".join(clauses)
    found: bool | str
    try:
        found = evaluate(parse_when(text, compile_expression), Scope({}, mode=mode)).run
    except WhenError as error:
        found = error.why
    assert found == _as_the_go_operator_does(text, mode)
