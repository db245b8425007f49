"""The stored form of events."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.definition import Address
from app.engine.events import (
    ActionFinished,
    ActionStarted,
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    CheckAnswered,
    Event,
    ObjectsMade,
    RunResumed,
    RunSuspended,
    decode,
    encode,
    from_microseconds,
    to_microseconds,
)
from app.models.common import CoreReference
from app.models.execution import ActionOutputs, HttpResponse
from app.models.phases import Phase
from app.models.suspension import Reason

AT = datetime(2026, 3, 1, 8, 0, 0, 123456, tzinfo=UTC)
T = 1772352000123456
WHERE = Address(1, 0, 2)
OUTPUTS = ActionOutputs(http_response=HttpResponse(status_code=200, body="ok"))

STORED: list[tuple[Event, dict[str, Any]]] = [
    (ActionStarted(AT, WHERE, 2), {"e": "ActionStarted", "t": T, "at": [1, 0, 2], "attempt": 2}),
    (
        AttemptFailed(AT, WHERE, "busy", AT + timedelta(seconds=5)),
        {"e": "AttemptFailed", "t": T, "at": [1, 0, 2], "notBefore": T + 5_000_000, "message": "busy"},
    ),
    (
        ActionFinished(AT, WHERE, Phase.SUCCEEDED, "done", OUTPUTS),
        {
            "e": "ActionFinished",
            "t": T,
            "at": [1, 0, 2],
            "phase": "Succeeded",
            "message": "done",
            "outputs": {"httpResponse": {"statusCode": 200, "body": "ok"}},
        },
    ),
    (
        CheckAnswered(AT, 3, healthy=False, answer="HTTP 503"),
        {"e": "CheckAnswered", "t": T, "check": 3, "healthy": False, "answer": "HTTP 503"},
    ),
    (CancelRequested(AT, "stop"), {"e": "CancelRequested", "t": T, "message": "stop"}),
    (RunSuspended(AT, "away"), {"e": "RunSuspended", "t": T, "message": "away"}),
    (RunResumed(AT), {"e": "RunResumed", "t": T}),
    (AttemptInterrupted(AT, WHERE), {"e": "AttemptInterrupted", "t": T, "at": [1, 0, 2]}),
    (
        ObjectsMade(AT, WHERE, ActionOutputs(job_ref=CoreReference(name="j", uid="u"))),
        {"e": "ObjectsMade", "t": T, "at": [1, 0, 2], "outputs": {"jobRef": {"name": "j", "uid": "u"}}},
    ),
    (
        RunSuspended(AT, "gone", Reason.JOURNAL_INCOMPLETE),
        {"e": "RunSuspended", "t": T, "message": "gone", "reason": "JournalIncomplete"},
    ),
]


@pytest.mark.parametrize(("event", "data"), STORED, ids=[type(event).__name__ for event, _ in STORED])
def test_the_stored_form_is_this_one_and_is_read_back(event: Event, data: dict[str, Any]) -> None:
    assert encode(event) == data
    assert decode(json.loads(json.dumps(data))) == event


def test_an_event_of_a_later_version_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="journal holds an event 'StagePaused' that this version does not know; run"):
        decode({"e": "StagePaused", "t": 0})
    with pytest.raises(ValueError, match="an event ''"):
        decode({})


@pytest.mark.parametrize(
    "data",
    [
        {"e": "ActionStarted", "t": 0, "attempt": 1},
        {"e": "ActionStarted", "t": 0, "at": [1, 2], "attempt": 1},
        {"e": "ActionStarted", "t": 0, "at": [1, 2, 3]},
        {"e": "ActionFinished", "at": [1, 2, 3], "phase": "Succeeded", "message": ""},
        {"e": "ActionFinished", "t": 0, "at": [1, 2, 3], "phase": "Finished", "message": ""},
        {"e": "AttemptFailed", "t": 0, "at": [1, 2, 3], "message": ""},
        {"e": "CancelRequested", "t": 0},
    ],
)
def test_an_incomplete_event_is_never_read_as_another(data: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode(data)


def test_times_are_whole_microseconds_in_any_zone() -> None:
    east = AT.astimezone(timezone(timedelta(hours=8)))
    assert to_microseconds(east) == to_microseconds(AT) == T
    assert from_microseconds(T) == AT


REFERENCES = st.builds(CoreReference, kind=st.text(max_size=5), name=st.text(max_size=5), uid=st.text(max_size=5))
SOME_OUTPUTS = st.none() | st.builds(
    ActionOutputs,
    resource_refs=st.lists(REFERENCES, max_size=3).map(tuple),
    http_response=st.none() | st.builds(HttpResponse, status_code=st.integers(100, 599), body=st.text(max_size=20)),
)
TIMES = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ADDRESSES = st.builds(Address, st.integers(0, 999), st.integers(0, 999), st.integers(0, 999))
EVENTS = st.one_of(
    st.builds(ActionStarted, TIMES, ADDRESSES, st.integers(1, 99)),
    st.builds(AttemptFailed, TIMES, ADDRESSES, st.text(), TIMES, SOME_OUTPUTS),
    st.builds(
        ActionFinished,
        TIMES,
        ADDRESSES,
        st.sampled_from([Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED]),
        st.text(),
        SOME_OUTPUTS,
    ),
    st.builds(CancelRequested, TIMES, st.text()),
    st.builds(RunSuspended, TIMES, st.text()),
    st.builds(RunResumed, TIMES),
)


@given(EVENTS)
def test_every_event_is_read_back_as_it_was(event: Event) -> None:
    assert decode(json.loads(json.dumps(encode(event)))) == event
