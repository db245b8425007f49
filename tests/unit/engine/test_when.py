from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.when import MODES, WhenError, WhenResult, evaluate, parse_when

UNSUPPORTED = 'unsupported expression, only `mode == "install|upgrade|delete|rollback"` joined by `||` is allowed'


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
def test_parses(text: str, modes: tuple[str, ...]) -> None:
    assert parse_when(text).modes == modes


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


def test_names_the_expression_quoted_as_go_does() -> None:
    with pytest.raises(WhenError, match=r'^invalid when expression "mode = \\"x\\"\\n": '):
        parse_when('mode = "x"\n')


def test_says_why_an_action_is_skipped() -> None:
    expression = parse_when('mode == "upgrade" || mode == "Install"')
    assert evaluate(expression, "Delete") == WhenResult(
        run=False, message="when not matched: mode=delete, expected one of [upgrade,install]"
    )


@given(st.lists(st.sampled_from(MODES)), st.sampled_from(MODES))
def test_runs_in_the_modes_named_and_in_all_when_blank(named: list[str], mode: str) -> None:
    expression = parse_when(" || ".join(f'mode == "{name}"' for name in named))
    assert evaluate(expression, mode.upper()).run == (not named or mode in named)
