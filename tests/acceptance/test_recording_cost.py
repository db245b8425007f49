"""AC7 by counts: recording a Revert is a bounded number of writes, whatever it takes back."""

from __future__ import annotations

import math
from urllib.parse import unquote

from app.engine.durations import parse_duration
from devcluster.audit import AuditedRequest
from tests.acceptance.looks import is_look
from tests.acceptance.stories import undone_by_http, wait_valid
from tests.support.installation import Installation, plan, stage, workflow
from tests.support.site import Answer

ACTIONS = 40
WRITE_EVERY = 0.5
"""Seconds between two ordinary status writes of one run."""
PHASE_WRITES = 3
"""Writes beside the ordinary ones: the start, the runner's first, the end."""


def _requests(drplan: Installation, mark: int) -> list[AuditedRequest]:
    user = drplan.cluster.plane.identity("controller").username
    return [request for request in drplan.cluster.audit.since(mark, user=user) if not is_look(request)]


def _status_writes(requests: list[AuditedRequest], name: str) -> int:
    return sum(
        (request.resource, request.subresource, request.name) == ("drplanexecutions", "status", name)
        and request.verb in ("update", "patch")
        for request in requests
    )


def _prepare(drplan: Installation, actions: int) -> None:
    url = f"{drplan.site.url}/{drplan.namespace}"
    drplan.apply(
        workflow("w", [undone_by_http(f"a{number}", f"{url}/{number}") for number in range(actions)]),
        plan("p", [stage("only", "w")]),
    )
    wait_valid(drplan, "p")
    drplan.run("run", "p")
    drplan.wait_unlocked("p")


def test_ac7_revert_of_many_actions_by_counts(drplan: Installation) -> None:
    _prepare(drplan, ACTIONS)
    mark = drplan.cluster.audit.mark()
    status = drplan.take_back("undo", "p", "run")
    drplan.wait_unlocked("p")
    requests = _requests(drplan, mark)

    seconds = parse_duration(status["duration"]).total_seconds()
    assert _status_writes(requests, "undo") <= math.ceil(seconds / WRITE_EVERY) + PHASE_WRITES
    assert _status_writes(requests, "undo") < ACTIONS
    assert _status_writes(requests, "run") == 1
    plan_writes = [r for r in requests if r.resource == "drplans" and r.verb in ("update", "patch")]
    assert len(plan_writes) == 2, plan_writes
    journal = [r for r in requests if r.name.startswith("drplan-journal-") and r.verb == "update"]
    # a sequence of N actions is N + 1 appends; a new segment costs one header more
    segments = {request.name for request in journal}
    assert len(journal) <= ACTIONS + 1 + 2 * len(segments), len(journal)
    reads = [r for r in requests if r.group == "dr.bkbcs.tencent.com" and r.verb == "get"]
    assert len(reads) < 10, reads
    lists = [r for r in requests if r.verb == "list"]
    assert {r.resource for r in lists} <= {"configmaps"}, lists
    of_records = [r for r in lists if "record-of" in unquote(r.uri)]
    assert len(of_records) <= 2, of_records
    assert len(lists) - len(of_records) <= len(segments), lists


def test_ac7_waiting_costs_no_write(drplan: Installation) -> None:
    """One action that takes four times as long as the least distance of two writes."""
    _prepare(drplan, 1)
    drplan.site.script(f"/{drplan.namespace}/0/undo", Answer(delay=4 * WRITE_EVERY))
    mark = drplan.cluster.audit.mark()
    drplan.take_back("undo", "p", "run")
    assert _status_writes(_requests(drplan, mark), "undo") <= PHASE_WRITES + 1
