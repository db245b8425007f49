"""Reading an object that is known by its uid, and the end of a change that meets conflict after conflict."""

from __future__ import annotations

from typing import Any

import pytest

from app.kube.errors import ApiUnavailable, Conflict, NotFound
from app.kube.fresh import ATTEMPTS, Attempts, read_same
from app.kube.resources import EXECUTIONS, Resource


class Kube:
    def __init__(self, found: dict[str, Any] | Exception) -> None:
        self.found = found

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> dict[str, Any]:
        assert (resource, name, namespace) == (EXECUTIONS, "e", "ns")
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


STORED = {"metadata": {"name": "e", "uid": "u"}}


@pytest.mark.parametrize(
    ("found", "uid", "is_there"),
    [
        (STORED, "u", True),
        (STORED, "", True),
        (STORED, "another", False),
        (NotFound(404, "NotFound", "gone"), "u", False),
    ],
)
async def test_another_one_of_the_same_name_is_not_it(
    found: dict[str, Any] | Exception, uid: str, is_there: bool
) -> None:
    assert (await read_same(Kube(found), EXECUTIONS, "ns", "e", uid) is not None) is is_there


async def test_an_api_server_that_does_not_answer_says_nothing_about_it() -> None:
    with pytest.raises(ApiUnavailable):
        await read_same(Kube(ApiUnavailable("away", server="s", in_doubt=False)), EXECUTIONS, "ns", "e", "u")


def test_a_change_gives_up_after_so_many_conflicts_and_says_of_what() -> None:
    attempts = Attempts("the status of DRPlan ns/p", "run this again")
    for _ in range(ATTEMPTS - 1):
        attempts.conflict()
    with pytest.raises(Conflict, match="the status of DRPlan ns/p changed 10 times in a row; run this again"):
        attempts.conflict()
