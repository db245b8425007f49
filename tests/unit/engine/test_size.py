"""What the engine does grows with a run, not with the square of it. The bounds are ten times what it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.cel.language import compile_expression
from app.engine.build import execute_definition
from app.engine.decide import decide
from app.engine.fold import initial_status
from app.models.phases import Phase
from tests.unit.engine.runs import START, flow, http, snapshot_of, stage

MANY = 2_000
SECONDS = 3.0


@contextmanager
def quick() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("when", ["mode == upgrade", "params.x == 'y' || planName == ''", "size(outputs) > 0"])
def test_a_chain_written_backwards_is_skipped_at_once(when: str) -> None:
    chain = [http(f"a{n}", *([f"a{n + 1}"] if n + 1 < MANY else []), when=when) for n in range(MANY)]
    with quick():
        definition = execute_definition(snapshot_of(stage("s", flow(*chain))), compile_expression)
        status = initial_status(definition, START)
    assert status.phase is (Phase.SUCCEEDED if "mode" in when else Phase.FAILED)


def test_conditions_on_any_outputs_behind_a_long_chain() -> None:
    chain = [http(f"a{n}", *([f"a{n - 1}"] if n else []), when="mode == upgrade") for n in range(MANY // 2)]
    fan = [http(f"b{n}", f"a{MANY // 2 - 1}", when=f"size(outputs) > {n}") for n in range(MANY // 2)]
    with quick():
        definition = execute_definition(snapshot_of(stage("s", flow(*chain, *fan))), compile_expression)
        status = initial_status(definition, START)
    [workflow] = status.stage_statuses[0].workflow_executions
    assert "may look at the outputs of 1000 actions, which are too many: name the actions" in workflow.message


def test_everything_depends_on_everything_before() -> None:
    names = [f"a{n}" for n in range(MANY // 4)]
    actions = [http(name, *names[:n]) for n, name in enumerate(names)]
    with quick():
        definition = execute_definition(snapshot_of(stage("s", flow(*actions))))
        status = initial_status(definition, START)
        assert len(decide(definition, status, START).starts) == 1
    assert definition.stages[0].workflows[0].before[-1].bit_count() == len(names) - 1
