"""The process takes all descriptors that it may have, and begins no more actions than they suffice for."""

from __future__ import annotations

import resource

import pytest

from app.runtime.descriptors import effects_within, raise_descriptor_limit


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _limits: tuple[int, int]) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_descriptor_limit() == 1024


@pytest.mark.parametrize(
    ("limit", "actions"), [(resource.RLIM_INFINITY, 500), (1_048_576, 500), (1200, 500), (1024, 412), (64, 1)]
)
def test_fewer_descriptors_allow_fewer_actions(limit: int, actions: int) -> None:
    assert effects_within(500, limit) == actions
