from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.names import ActionIdentity, label_value, object_name_for

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=90)
SEGMENTS = TEXTS.filter(bool)
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_object_names_are_dns_labels(action: str, identity: list[str]) -> None:
    name = object_name_for(action, *identity)
    assert DNS_LABEL.fullmatch(name)
    assert name == object_name_for(action, *identity)


def test_object_names_stay_readable() -> None:
    assert re.fullmatch(r"switch-dns-eu-1-[0-9a-f]{8}", object_name_for("Switch DNS (eu_1)", "uid"))
    assert re.fullmatch(r"action-[0-9a-f]{8}", object_name_for("切换", "uid"))


def test_object_names_differ_with_the_identity_and_where_its_parts_end() -> None:
    names = {
        object_name_for("a b"),
        object_name_for("a-b"),
        object_name_for("a-b", "x"),
        object_name_for("a-b", "", "x"),
    }
    assert len(names) == 4


def test_object_names_leave_room() -> None:
    assert len(object_name_for("x" * 100, "uid", limit=52)) == 52


@given(TEXTS)
def test_label_values_are_valid(text: str) -> None:
    value = label_value(text)
    assert len(value) <= 63
    assert LABEL_VALUE.fullmatch(value)
    assert label_value(value) == value


def test_label_values_that_fit_stay_as_they_are() -> None:
    assert [label_value(text) for text in ("", "plan", "Plan_1.x", "p" * 63)] == ["", "plan", "Plan_1.x", "p" * 63]


def test_long_label_values_are_cut_and_told_apart() -> None:
    long = "p" * 64
    assert re.fullmatch(r"p{54}-[0-9a-f]{8}", label_value(long))
    assert label_value(long) != label_value(long + "p")
    assert label_value("a b") != label_value("a/b")


@given(st.builds(ActionIdentity, SEGMENTS, SEGMENTS, st.integers(0, 10_000), SEGMENTS))
def test_identities_survive_the_round_trip(identity: ActionIdentity) -> None:
    text = str(identity)
    assert text.isascii()
    assert text.count("/") == 3
    assert ActionIdentity.parse(text) == identity


def test_identity_text() -> None:
    assert str(ActionIdentity("8f-1", "eu/west", 0, "Switch DNS")) == "8f-1/eu%2Fwest/0/Switch%20DNS"


@pytest.mark.parametrize(
    "text",
    ["", "a/b/0", "a/b/0/c/d", "a//0/c", "a/b/x/c", "a/b/-1/c", "a/b/01/c", "a/b/0/c c", "a/b/0/%zz", "a/b/0/%ff"],
)
def test_other_texts_are_no_identity(text: str) -> None:
    with pytest.raises(ValueError):
        ActionIdentity.parse(text)
