"""Large runs are folded by a thread and stored stage by stage; small ones in the event loop."""

from __future__ import annotations

import threading

import pytest

from app.engine.build import execute_definition
from app.engine.decide import decide
from app.engine.events import ActionFinished, ActionStarted
from app.engine.fold import fold, fold_all, initial_status
from app.models.phases import Phase
from controller import folding, status_form
from controller.folding import MOST_INLINE, folded
from controller.status_form import wire_of
from tests.unit.engine.runs import START, flow, snapshot_of, stage


@pytest.mark.parametrize(("actions", "inline"), [(20, True), (MOST_INLINE, False)])
async def test_what_takes_long_is_not_folded_in_the_event_loop(
    actions: int, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = execute_definition(snapshot_of(stage("s", flow(*(f"a{n}" for n in range(actions))))))
    status = initial_status(definition, START)
    first = decide(definition, status, START).starts[0].address
    events = ActionStarted(START, first, 1), ActionFinished(START, first, Phase.FAILED, "broke")
    one_by_one = status
    for event in events:
        one_by_one = fold(definition, one_by_one, event)
    threads: set[int] = set()

    def told(*args: object) -> object:
        threads.add(threading.get_ident())
        return fold_all(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(folding, "fold_all", told)
    assert await folded(definition, status, *events) == one_by_one
    assert (threads == {threading.get_ident()}) is inline


async def test_a_status_is_the_same_wherever_it_is_made_ready_to_be_stored() -> None:
    for actions in (3, MOST_INLINE):
        stages = (stage(f"s{n}", flow(*(f"a{n}-{m}" for m in range(actions)))) for n in range(2))
        status = initial_status(execute_definition(snapshot_of(*stages)), START)
        wire, size = await status_form.sized(status)
        assert wire == wire_of(status)
        assert wire["stageStatuses"] == status.to_wire()["stageStatuses"]
        assert size > 0
