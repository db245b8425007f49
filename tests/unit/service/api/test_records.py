"""Pages, tokens and times of lists that are sorted newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from app.models.phases import Phase
from app.models.plan import ExecutionRecord
from app.service.api.models import ExecutionItem
from app.service.api.params import point_in_time
from app.service.api.problems import ProblemError
from app.service.api.records import Filter, Window, gone, key_of
from app.service.api.tokens import Position, read_position, write_position

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)


def item(number: int, phase: str = "Succeeded") -> ExecutionItem:
    created = NOW + timedelta(seconds=number // 3)
    return ExecutionItem(
        namespace="ns", name=f"e{number:03}", created=created, plan="p", operation_type="Execute", phase=phase
    )


def test_pages_show_each_run_once_and_newest_first() -> None:
    items = [item(number) for number in range(100)]
    Random(1).shuffle(items)
    seen: list[ExecutionItem] = []
    after: Position | None = None
    while True:
        window = Window(Filter(), 7, after)
        for start in range(0, 100, 10):
            window.add(items[start : start + 10])
        seen += window.items
        assert window.remaining == 100 - len(seen)
        if not window.remaining:
            break
        last = window.items[-1]
        written = write_position("q", Position(last.created.timestamp(), last.namespace, last.name))
        after = read_position("q", written)
    assert seen == sorted(items, key=key_of)


def test_a_run_that_appears_between_two_pages_moves_none() -> None:
    first = Window(Filter(), 2, None)
    first.add([item(0), item(3), item(6)])
    last = first.items[-1]
    second = Window(Filter(), 2, Position(last.created.timestamp(), last.namespace, last.name))
    second.add([item(0), item(3), item(6), item(90)])
    assert [each.name for each in first.items + second.items] == ["e006", "e003", "e000"]


def test_tokens_keep_the_times_of_the_first_page() -> None:
    at = Position(NOW.timestamp(), "ns", "e", NOW - timedelta(hours=24), NOW)
    assert read_position("q", write_position("q", at)) == at


@pytest.mark.parametrize(
    "token", ["x", "äöü", "bnVsbA", "W10", "WyJhIl0", "e30", write_position("other", Position(0.0, "", ""))]
)
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_position("q", token)
    assert caught.value.code == 400
    assert list(caught.value.causes) == ["continue"]


def test_filters_that_the_api_server_applies_cannot_lose_a_spelling() -> None:
    assert Filter(plan="p", phase=Phase.FAILED).field_selector() == "spec.planRef=p,status.phase=Failed"
    assert Filter(phase=Phase.CANCELLED).field_selector() is None
    assert Filter(phase=Phase.PENDING).field_selector() is None
    assert Filter(phase=Phase.CANCELLED).admits(item(1, "Cancelled"))
    assert not Filter(since=NOW + timedelta(seconds=1)).admits(item(1))


def test_records_without_uid_are_told_apart_by_name() -> None:
    def record(name: str, uid: str) -> ExecutionRecord:
        return ExecutionRecord(name=name, namespace="ns", uid=uid, operation_type="Execute")

    records = [record("a", "1"), record("a", "2"), record("b", ""), record("c", "")]
    assert gone(records, {"1"}, {"a", "b"}) == [record("a", "2"), record("c", "")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("2026-02-01T00:00:00Z", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T01:00:00+01:00", datetime(2026, 2, 1, tzinfo=UTC)),
    ],
)
def test_points_in_time(text: str, expected: datetime) -> None:
    assert point_in_time(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-1h", "2026-02-01T00:00:00", "2026-02-30T00:00:00Z", "24", "9999999h"]
)
def test_other_texts_are_no_points_in_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a time such as|duration"):
        point_in_time(text, NOW)
