"""What the controller computes of the largest statuses and snapshots lets others have the interpreter in between."""

from __future__ import annotations

import ast
import asyncio
import gc
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.engine.record import claims_digest, differences
from app.kube.kept import OUTCOME, Owner, Place, index_of, outcome_name, packed, read_records, unpacked
from app.models.dumping import dumped
from app.models.execution import DRPlanExecution
from app.models.phases import Operation
from app.models.plan import DRPlan
from app.models.record import OutcomeRecord
from app.models.snapshot import Snapshot, Target
from app.models.workflow import DRWorkflow
from app.runtime.parts import decoded, decoded_in_thread
from tests.security.corpus import PLANS, WORKFLOWS
from tests.support.cluster import REPOSITORY
from tests.unit.runtime.test_parts import LARGE, action, execution, stage

STORED = execution(phase="Failed", stageStatuses=[stage("s", *map(action, range(9_500)))])
EXECUTION = DRPlanExecution.from_wire(STORED)
STATUS = EXECUTION.status
RECORD = OutcomeRecord(
    execution_name="e",
    execution_namespace="n",
    execution_uid="u",
    operation=Operation.EXECUTE,
    plan_name="p",
    status=STATUS,
)
PLAN = DRPlan.from_wire(PLANS["stages"]())
SNAPSHOT = Snapshot(
    execution_name="e",
    execution_namespace="n",
    execution_uid="u",
    operation=Operation.REVERT,
    mode="install",
    plan_name="p",
    plan_spec=PLAN.spec,
    workflows={f"n/w{n}": DRWorkflow.from_wire(WORKFLOWS["actions"]()).spec for n in range(2)},
    target=Target(name="t", uid="t", status=STATUS),
)
PLACE = Place("drplan-system", outcome_name("u"), OUTCOME, Owner("u", "n", "e"))


def kept() -> list[dict[str, Any]]:
    parts, index = index_of(PLACE, packed(RECORD.dump()), 1)
    return [*parts, index]


KEPT, DUMP = kept(), SNAPSHOT.dump()
COMPUTED: dict[str, Callable[[], object]] = {
    "wire form": lambda: dumped(STATUS),
    "claims": lambda: claims_digest("u", dumped(STATUS)),
    "differences": lambda: differences(STATUS, STATUS),
    "snapshot": lambda: SNAPSHOT.dump(),
    "stored snapshot": lambda: decoded_in_thread(Snapshot, DUMP),
    "records": lambda: read_records("u", KEPT),
}


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """The collector passes over what is there, as in the processes (`app.runtime.garbage`)."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


async def most_held(work: Callable[[], Any]) -> tuple[float, float]:
    """The longest that the event loop had to wait, and all of it, in seconds of a processor that the process used."""
    longest, began = 0.0, time.process_time()

    async def others() -> None:
        nonlocal longest
        last = time.process_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.process_time()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(others())
    await asyncio.sleep(0.01)
    await work()
    await asyncio.sleep(0.01)
    watching.cancel()
    return longest, time.process_time() - began


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize("name", COMPUTED)
async def test_a_thread_lets_the_loop_go_on(name: str) -> None:
    longest, total = await most_held(lambda: asyncio.to_thread(COMPUTED[name]))
    assert longest < total / 2, (longest, total)


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize("make", [lambda: (DRPlanExecution, STORED), lambda: (DRPlan, PLANS["stages"]())])
async def test_decoding_lets_the_loop_go_on(make: Callable[[], tuple[Any, dict[str, Any]]]) -> None:
    model, stored = make()
    longest, total = await most_held(lambda: decoded(model, stored))
    assert longest < total / 2, (longest, total)


def test_what_is_kept_is_what_it_was() -> None:
    whole = RECORD.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    assert RECORD.dump() == whole
    snapshot = SNAPSHOT.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    assert snapshot == DUMP
    assert decoded_in_thread(Snapshot, unpacked(packed(DUMP))) == SNAPSHOT
    assert read_records("u", KEPT).outcome == RECORD


@pytest.mark.parametrize("name", LARGE)
def test_dumping_in_parts_is_dumping(name: str) -> None:
    status = DRPlanExecution.from_wire(execution(phase="Running", **LARGE[name])).status
    assert dumped(status) == status.to_wire()
    assert dumped(status, unset=True) == status.written()


@pytest.mark.parametrize("text", ["", "ü\u2028\x00", '"\\'])
def test_claims_have_the_checksum_of_earlier_releases(text: str) -> None:
    """A Revert that was stamped before an upgrade goes on after it."""
    wire = {"phase": text, "stageStatuses": [{"b": [], "a": {}, text: [{"z": [[[[[[text, 1.5]]]]]]}, None, True]}]}
    claims = {"uid": "u", "phase": text, "stages": wire["stageStatuses"]}
    expected = hashlib.sha256(json.dumps(claims, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert claims_digest("u", wire) == expected
    assert claims_digest("u", {}) == hashlib.sha256(b'{"phase":null,"stages":null,"uid":"u"}').hexdigest()


MODELS = ("DRPlan", "DRWorkflow", "DRPlanExecution", "DRPlanExecutionStatus", "Snapshot", "OutcomeRecord")
WHOLE = {"controller/downgrade.py", "controller/validation.py", "rivals.py"}
"""A command of its own; small objects, and large ones in a worker; what the cache keeps of executions that ended."""


def test_the_controller_decodes_no_whole_object_in_its_event_loop() -> None:
    found = set()
    for path in (REPOSITORY / "controller").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {f"{model}.from_wire" for model in MODELS}:
                found.add(str(path.relative_to(REPOSITORY)))
    assert {path for path in found if not any(path.endswith(each) for each in WHOLE)} == set()
