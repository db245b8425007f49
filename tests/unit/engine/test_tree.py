"""Changing all nodes of a status at once."""

from __future__ import annotations

import pytest

from app.engine.definition import Address
from app.engine.tree import each_action, each_address, map_actions, map_stages, map_workflows
from app.models.common import ObjectReference
from app.models.execution import ActionStatus
from app.models.phases import ENDS, FINAL, Phase, has_ended
from tests.unit.engine.runs import Player, definition_of, flow, stage


def test_every_action_is_offered_once_with_its_address() -> None:
    status = Player(definition_of(stage("one", flow("a", "b"), flow("c")), stage("two", flow("d")))).status
    offered: list[tuple[Address, str]] = []

    def change(address: Address, action: ActionStatus) -> ActionStatus:
        offered.append((address, action.name))
        return action.model_copy(update={"message": action.name}) if action.name in "bd" else action

    changed = map_actions(status, change)
    assert offered == [(address, action.name) for address, action in each_action(status)]
    assert [address for address, _ in offered] == list(each_address(status))
    messages = {action.name: action.message for _, action in each_action(changed)}
    assert (messages["b"], messages["d"]) == ("b", "d")
    one = changed.stage_statuses[0]
    assert one is not status.stage_statuses[0]
    assert one.workflow_executions[1] is status.stage_statuses[0].workflow_executions[1], "what stays is shared"


def test_what_changes_nothing_returns_the_status_itself() -> None:
    status = Player(definition_of(stage("one", flow("a")), stage("two", flow("b")))).status
    assert map_actions(status, lambda _, action: action) is status
    assert map_workflows(status, lambda workflow: workflow) is status
    assert map_stages(status, lambda each: each) is status


@pytest.mark.parametrize("phase", [*Phase, "Canceled", "", None, 3, ["Failed"], {"a": 1}, "failed"])
def test_how_an_execution_ends(phase: object) -> None:
    assert has_ended(phase) is (phase in ("Succeeded", "Failed", "Cancelled", "Canceled"))
    assert set(ENDS) == FINAL - {Phase.SKIPPED}


def test_a_reference_without_namespace_means_that_of_who_has_it() -> None:
    assert ObjectReference(name="w").key_in("plans") == ("plans", "w")
    assert ObjectReference(name="w", namespace="own").key_in("plans") == ("own", "w")
