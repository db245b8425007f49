"""What a failure keeps from starting: every combination of policies (decision P4), and order (decisions P3 and P5)."""

from __future__ import annotations

import pytest

from app.engine.events import CancelRequested
from app.engine.outcome import Failed
from app.engine.policy import open_stages, open_workflows
from app.models.phases import Phase, PlanPolicy, StagePolicy, WorkflowPolicy
from tests.unit.engine.runs import Player, actions, definition_of, flow, http, phases, stage

STOP, GO_ON = PlanPolicy.STOP, PlanPolicy.CONTINUE
FAST, ALL = WorkflowPolicy.FAIL_FAST, WorkflowPolicy.CONTINUE

# One stage of two workflows, [a b] and [c d], of which a fails; then stage two [e], and stage three [f], which depends
# on stage one. Letters of what runs, by plan policy, stage policy, policy of the first workflow, and whether the
# workflows of the stage run at the same time (a fails before anything else ends).
TABLE = [
    # plan, stage, workflow, one after another, at the same time
    (STOP, None, FAST, "a", "ac"),
    (STOP, None, ALL, "ab", "abcd"),
    (STOP, StagePolicy.STOP, FAST, "a", "ac"),
    (STOP, StagePolicy.STOP, ALL, "ab", "abcd"),
    (STOP, StagePolicy.FAIL_FAST, FAST, "a", "acd"),
    (STOP, StagePolicy.FAIL_FAST, ALL, "ab", "abcd"),
    (STOP, StagePolicy.CONTINUE, FAST, "acde", "acde"),
    (STOP, StagePolicy.CONTINUE, ALL, "abcde", "abcde"),
    (GO_ON, None, FAST, "acde", "acde"),
    (GO_ON, None, ALL, "abcde", "abcde"),
    (GO_ON, StagePolicy.STOP, FAST, "a", "ac"),
    (GO_ON, StagePolicy.STOP, ALL, "ab", "abcd"),
    (GO_ON, StagePolicy.FAIL_FAST, FAST, "ae", "acde"),
    (GO_ON, StagePolicy.FAIL_FAST, ALL, "abe", "abcde"),
    (GO_ON, StagePolicy.CONTINUE, FAST, "acde", "acde"),
    (GO_ON, StagePolicy.CONTINUE, ALL, "abcde", "abcde"),
]


def three_stages(
    plan: PlanPolicy, policy: StagePolicy | None, workflow: WorkflowPolicy, *, parallel: bool = False
) -> Player:
    return Player(
        definition_of(
            stage("one", flow("a", "b", policy=workflow), flow("c", "d"), parallel=parallel, policy=policy),
            stage("two", flow("e")),
            stage("three", flow("f"), depends_on=("one",)),
            policy=plan,
        )
    )


@pytest.mark.parametrize("parallel", [False, True], ids=["one after another", "at the same time"])
@pytest.mark.parametrize(("plan", "policy", "workflow", "sequential", "at_once"), TABLE)
def test_what_runs_after_a_failure(
    plan: PlanPolicy,
    policy: StagePolicy | None,
    workflow: WorkflowPolicy,
    sequential: str,
    at_once: str,
    parallel: bool,
) -> None:
    player = three_stages(plan, policy, workflow, parallel=parallel)
    player.play(failing="a")
    expected = at_once if parallel else sequential
    assert "".join(sorted(player.started)) == expected
    assert phases(player.status) == {
        name: "Failed" if name == "a" else "Succeeded" if name in expected else "Skipped" for name in "abcdef"
    }
    assert player.stage("one").phase is Phase.FAILED
    assert player.stage("two").phase is (Phase.SUCCEEDED if "e" in expected else Phase.SKIPPED)
    assert player.stage("three").phase is Phase.SKIPPED
    assert player.phase() is Phase.FAILED


def test_what_stop_keeps_back_says_which_stage_failed() -> None:
    player = three_stages(STOP, None, FAST)
    player.play(failing="a")
    why = 'Not started: stage "one" failed (failurePolicy Stop)'
    assert player.action("b").message == 'Not started: action "a" failed (failurePolicy FailFast)'
    assert player.stage("one").workflow_executions[1].message == player.action("c").message == why
    assert player.stage("two").message == player.action("e").message == why


def test_what_fail_fast_keeps_back_in_its_stage_says_which_workflow_failed() -> None:
    player = three_stages(GO_ON, StagePolicy.FAIL_FAST, FAST)
    player.play(failing="a")
    assert player.action("c").message == "Not started: workflow ns/one-0 failed (failurePolicy FailFast)"
    assert player.stage("three").message == 'Not started: stage "one" it depends on did not succeed'


def test_a_stage_behind_a_stage_that_was_kept_back_is_kept_back_too() -> None:
    player = Player(
        definition_of(
            stage("one", flow("a")),
            stage("two", flow("b"), depends_on=("one",)),
            stage("three", flow("c"), depends_on=("two",)),
            policy=GO_ON,
        )
    )
    player.play(failing="a")
    assert player.stage("two").message == 'Not started: stage "one" it depends on did not succeed'
    assert player.stage("three").message == 'Not started: stage "two" it depends on did not succeed'


def test_stop_lets_running_work_of_other_stages_end() -> None:
    player = Player(definition_of(stage("one", flow("a")), stage("two", flow("b", "c")), at_once=2))
    assert player.running == ["a", "b"]
    player.play(failing="a")
    assert phases(player.status) == {"a": "Failed", "b": "Succeeded", "c": "Skipped"}
    assert player.stage("two").phase is Phase.CANCELLED
    assert player.stage("two").message == 'stopped after 1 of 2 actions: stage "one" failed (failurePolicy Stop)'


def test_an_action_that_waits_for_a_retry_is_running_work() -> None:
    player = Player(definition_of(stage("one", flow("a"), flow(http("b", retry=None)), parallel=True)))
    player.end("b", Failed("refused", retryable=True))
    player.end("a", Failed("broke"))
    assert player.action("b").phase is Phase.RUNNING
    player.wait(60)
    assert player.running == ["b"]


def test_a_failure_known_before_anything_started_stops_the_plan_all_the_same() -> None:
    """Nothing of the stage has begun when its first condition turns out wrong, and yet the stage has."""
    player = Player(definition_of(stage("one", flow(http("a", when="nonsense")), flow("b")), stage("two", flow("c"))))
    assert player.started == []
    assert phases(player.status) == {"a": "Failed", "b": "Skipped", "c": "Skipped"}
    assert player.phase() is Phase.FAILED


def test_what_has_ended_is_left_alone_when_the_rest_is_kept_back() -> None:
    """A cancel meets a workflow that has not begun and of which one action failed beforehand."""
    definition = definition_of(stage("one", flow(http("a", when="nonsense"), "b", policy=ALL), flow("c")))
    player = Player(definition, idle=True)
    player.fold(CancelRequested(player.now, "stop"))
    assert phases(player.status) == {"a": "Failed", "b": "Skipped", "c": "Skipped"}
    assert player.action("a").message.startswith("invalid when expression")
    assert player.stage("one").phase is Phase.FAILED
    assert player.phase() is Phase.CANCELLED


def test_what_was_skipped_for_its_condition_keeps_saying_so() -> None:
    definition = definition_of(stage("one", flow(http("a", when='mode == "delete"'), "b"), flow("c")))
    player = Player(definition, idle=True)
    player.fold(CancelRequested(player.now, "stop"))
    assert player.action("a").message == "when not matched: mode=install, expected one of [delete]"
    workflow = player.stage("one").workflow_executions[0]
    assert (workflow.phase, workflow.message) == (Phase.SKIPPED, "Canceled by user")


def test_stages_run_one_at_a_time_in_the_order_of_the_plan() -> None:
    player = Player(definition_of(stage("one", flow("a")), stage("two", flow("b")), stage("three", flow("c"))))
    seen = []
    while player.running:
        seen.append(list(player.running))
        player.end(player.running[0])
    assert seen == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(("at_once", "first"), [(1, ["a"]), (2, ["a", "b"]), (3, ["a", "b", "c"])])
def test_as_many_stages_run_as_the_plan_allows(at_once: int, first: list[str]) -> None:
    stages = [stage(name, flow(action)) for name, action in (("1", "a"), ("2", "b"), ("3", "c"))]
    player = Player(definition_of(*stages, at_once=at_once))
    assert player.running == first
    player.end(first[-1])
    assert len(player.running) == min(at_once, 2)


def test_a_stage_may_depend_on_one_that_the_plan_lists_later() -> None:
    player = Player(definition_of(stage("one", flow("a"), depends_on=("two",)), stage("two", flow("b"))))
    assert player.running == ["b"]
    player.play()
    assert player.started == ["b", "a"]


def test_a_stage_waits_for_all_that_it_depends_on() -> None:
    player = Player(
        definition_of(
            stage("one", flow("a")),
            stage("two", flow("b")),
            stage("end", flow("c"), depends_on=("one", "two")),
            at_once=3,
        )
    )
    player.end("b")
    assert player.running == ["a"]
    player.end("a")
    assert player.running == ["c"]


def test_workflows_of_a_sequential_stage_run_one_after_another() -> None:
    player = Player(definition_of(stage("one", flow("a", "b"), flow("c"))))
    assert open_workflows(player.definition.stages[0], player.status.stage_statuses[0]) == [0]
    player.end("a")
    assert player.running == ["b"]
    player.end("b")
    assert player.running == ["c"]
    assert open_workflows(player.definition.stages[0], player.status.stage_statuses[0]) == [1]


def test_workflows_of_a_parallel_stage_run_at_the_same_time() -> None:
    player = Player(definition_of(stage("one", flow("a", "b"), flow("c"), parallel=True)))
    assert player.running == ["a", "c"]


def test_independent_actions_start_as_soon_as_their_own_dependencies_are_done() -> None:
    """No layers: c, which needs a alone, does not wait for b."""
    player = Player(definition_of(stage("one", flow("a", "b", http("c", "a"), http("d", "b", "c")))))
    assert player.running == ["a", "b"]
    player.end("a")
    assert player.running == ["b", "c"]
    player.end("c")
    assert player.running == ["b"]
    player.end("b")
    assert player.running == ["d"]
    assert [action.name for _, action in actions(player.status)] == ["a", "b", "c", "d"]


def test_a_skipped_dependency_does_not_block() -> None:
    player = Player(definition_of(stage("one", flow(http("a", when='mode == "delete"'), http("b", "a")))))
    assert player.running == ["b"]


def test_dependants_of_a_failed_action_are_skipped_down_the_graph() -> None:
    workflow = flow("a", http("b", "a"), http("c", "b"), http("d"), policy=ALL)
    player = Player(definition_of(stage("one", workflow)))
    player.play(failing="a")
    assert phases(player.status) == {"a": "Failed", "b": "Skipped", "c": "Skipped", "d": "Succeeded"}
    assert player.action("b").message == 'Not started: action "a" it depends on did not succeed'
    assert player.action("c").message == 'Not started: action "b" it depends on did not succeed'


def test_a_stage_ends_at_once_when_no_condition_holds_and_the_next_one_begins() -> None:
    never = flow(http("a", when='mode == "delete"'))
    player = Player(definition_of(stage("one", never), stage("two", flow("b"), depends_on=("one",))))
    assert player.running == ["b"]
    assert (player.stage("one").phase, player.stage("one").message) == (Phase.SUCCEEDED, "All workflows skipped")
    assert open_stages(player.definition, player.status) == [1]


@pytest.mark.parametrize("when", ["", "nonsense"], ids=["fails when it runs", "fails beforehand"])
def test_what_a_stop_keeps_back_is_not_looked_at_any_more(when: str) -> None:
    player = Player(
        definition_of(stage("one", flow(http("a", when=when))), stage("two", flow(http("b", when="nonsense"))))
    )
    player.play(failing="a")
    assert player.action("b").message == 'Not started: stage "one" failed (failurePolicy Stop)'
    assert player.stage("two").phase is Phase.SKIPPED


def test_only_the_first_of_two_failures_known_beforehand_is_one() -> None:
    workflow = flow("a", http("b", "a", when="nonsense"), http("c", "a", when="nonsense"))
    player = Player(definition_of(stage("one", workflow)))
    player.play()
    assert phases(player.status) == {"a": "Succeeded", "b": "Failed", "c": "Skipped"}
    assert player.action("c").message == 'Not started: action "b" failed (failurePolicy FailFast)'


def test_conditions_of_a_workflow_are_looked_at_when_its_turn_has_come() -> None:
    player = Player(definition_of(stage("one", flow("a"), flow(http("b", when='mode == "delete"')))))
    assert phases(player.status) == {"a": "Running", "b": "Pending"}
    player.end("a")
    assert phases(player.status) == {"a": "Succeeded", "b": "Skipped"}
