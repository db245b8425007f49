from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.retry import MAX_DELAY, MIN_DELAY, RetryPolicy
from app.models import actions


def parse(limit: int | None = None, interval: str | None = None, multiplier: str | None = None) -> RetryPolicy:
    return RetryPolicy.parse(actions.RetryPolicy(limit=limit, interval=interval, backoff_multiplier=multiplier))


def test_defaults() -> None:
    expected = RetryPolicy(limit=3, interval=timedelta(seconds=5), multiplier=2.0)
    assert RetryPolicy.parse(None) == parse() == parse(interval="", multiplier="") == expected


def test_limit_zero_means_no_retry() -> None:
    assert not parse(limit=0).allows(0)


def test_a_negative_limit_counts_as_absent() -> None:
    assert parse(limit=-1).limit == 3


def test_limit_counts_retries_after_the_first_attempt() -> None:
    policy = parse(limit=2)
    assert [policy.allows(retries) for retries in range(4)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("interval", "multiplier", "message"),
    [
        ("5", None, 'invalid retry interval 5: time: missing unit in duration "5"'),
        ("soon", None, 'invalid retry interval soon: time: invalid duration "soon"'),
        ("-1s", None, "invalid retry interval -1s: must not be negative"),
        (None, "two", 'invalid backoff multiplier two: strconv.ParseFloat: parsing "two": invalid syntax'),
        (None, "1e999", 'invalid backoff multiplier 1e999: strconv.ParseFloat: parsing "1e999": value out of range'),
        (None, "NaN", 'invalid backoff multiplier NaN: strconv.ParseFloat: parsing "NaN": invalid syntax'),
        (None, "0.5", "backoff multiplier must be >= 1.0, got 0.500000"),
        (None, "-3", "backoff multiplier must be >= 1.0, got -3.000000"),
    ],
)
def test_errors(interval: str | None, multiplier: str | None, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(interval=interval, multiplier=multiplier)
    assert str(caught.value) == message


def test_delays_grow_by_the_multiplier_up_to_five_minutes() -> None:
    policy = parse(interval="10s", multiplier="3")
    assert [policy.delay(retry, 0.5).total_seconds() for retry in range(5)] == [10, 30, 90, 270, 300]


POLICIES = st.builds(
    RetryPolicy,
    limit=st.integers(0, 10),
    interval=st.timedeltas(timedelta(0), timedelta(hours=2)),
    multiplier=st.floats(1.0, 1e300),
)
JITTER = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(0, 1_000_000), JITTER)
def test_jitter_changes_a_delay_by_a_fifth_at_most(policy: RetryPolicy, retry: int, jitter: float) -> None:
    nominal, delay = policy.delay(retry, 0.5), policy.delay(retry, jitter)
    slack = timedelta(microseconds=2)
    assert MIN_DELAY <= delay <= MAX_DELAY
    assert nominal * 0.8 - slack <= delay <= max(nominal * 1.2 + slack, MIN_DELAY)


@given(POLICIES, st.integers(0, 100), JITTER, st.floats(0, 1e6))
def test_the_server_may_ask_for_more_patience(
    policy: RetryPolicy, retry: int, jitter: float, retry_after: float
) -> None:
    delay = policy.delay(retry, jitter, retry_after)
    assert delay >= policy.delay(retry, jitter)
    assert delay.total_seconds() >= retry_after - 1e-6


@pytest.mark.parametrize("interval", ["0s", "1ns", "99ms"])
def test_no_delay_is_shorter_than_a_tenth_of_a_second(interval: str) -> None:
    policy = parse(interval=interval, multiplier="1")
    assert {policy.delay(retry, 0.0) for retry in range(2000)} == {MIN_DELAY}


def test_an_absurd_retry_after_does_not_overflow() -> None:
    assert parse().delay(0, 0.5, 1e300) == timedelta(days=365)
