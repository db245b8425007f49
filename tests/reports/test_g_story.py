"""G. The story is told once, in order."""

from __future__ import annotations

import re

import pytest

from tests.reports.story import Story
from tests.support.installation import execution, http_action, plan, stage, workflow
from tests.support.site import Answer

pytestmark = pytest.mark.full

RUN = """
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {name: run}
spec: {planRef: note, operationType: Execute}
"""
NOTE = """
- name: note
  type: KubernetesResource
  resource:
    operation: OPERATION
    manifest: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: note, namespace: NS}
      data: {site: berlin}
"""


def test_one_warning_and_one_refusal_for_one_parameter_each_with_its_rule(story: Story) -> None:
    """27 and 32: what is missing is told once, with the places, and can be looked up."""
    drplan, url = story.drplan, "http://$(params.host)/"
    rollback = {"http": {"url": url}}
    actions = [http_action(name, url, rollback=rollback) for name in ("a", "b", "c")]
    drplan.apply(workflow("w", actions, parameters=[{"name": "host", "required": True}]))
    warned = drplan.kubectl("apply", "-f", "-", stdin=plan("p", [stage("s", "w"), stage("t", "w")])).stderr
    assert warned.count("Warning: ") == 1
    assert "it is also used in stage[0] 's' workflow[0] (action 'a', action 'b', action 'c', " in warned
    assert warned.strip().endswith("(N8)")
    refused = drplan.kubectl("create", "-f", "-", stdin=execution("e", "p"), check=False).stderr
    assert refused.count("has no value") == 1
    assert refused.strip().endswith("] (E24)")
    several = execution("e", "p", params=[{"name": "mode", "value": "x"}, {"name": "1x", "value": "x"}])
    ids = drplan.kubectl("create", "-f", "-", stdin=several, check=False).stderr.strip().rpartition("] (")[2]
    assert {"E11", "E24"} <= set(ids.removesuffix(")").split(", "))


HALF = """
- name: works
  type: HTTP
  http: {url: "SITE/works"}
- name: breaks
  type: HTTP
  retryPolicy: {limit: 9999, interval: 1s, backoffMultiplier: "1.0"}
  http: {method: POST, url: "SITE/breaks"}
- name: never
  type: HTTP
  http: {url: "SITE/never"}
"""


def _row(story: Story, *what: str) -> dict[str, str]:
    """The one row that kubectl prints, by title of its columns."""
    title, row = story.kubectl("get", *what).splitlines()
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S", title)]
    return {title[a:b].strip(): row[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)}


def test_columns_and_message_tell_how_far_a_run_is_and_why(story: Story) -> None:
    """26, 28, 29 and 30: while an action is repeated, when it has failed, and of the plan after failures only."""
    site, path = story.drplan.site, f"/{story.namespace}/breaks"
    site.script(path, Answer(503, '{"error":"standby lags by 9 s"}'))
    story.plan("half", HALF)
    run = story.start("half")
    told = re.compile(
        r"stage s, action breaks.*: attempt \d+ (failed, the next try is at \S+Z|is under way, attempt \d+ failed): "
        r'unexpected status code: 503: \{"error":"standby lags by 9 s"}'
    )
    story.drplan.wait(lambda: told.search(_row(story, "drpe", run)["MESSAGE"]))
    row = _row(story, "drpe", run)
    assert (row["PHASE"], row["PROGRESS"]) == ("Running", "1/3")
    warned = re.compile(r"Warning +ActionRetrying .*standby lags by 9 s")
    story.drplan.wait(lambda: warned.search(story.kubectl("describe", "drpe", run)))
    assert story.kubectl("events", "--for", f"drpe/{run}").count("ActionRetrying") == 1, "one series"
    site.script(path, Answer(409, "no standby"))
    assert story.end(run).startswith("Failed: ")
    assert _row(story, "drpe", run)["PROGRESS"] == "1/3", "what succeeded, not what ended"
    assert "no standby" in _row(story, "drpe", run)["MESSAGE"]
    story.drplan.wait(lambda: story.kubectl("get", "drp", "half", "-o", "jsonpath={.status.currentExecution}") == "")
    row = _row(story, "drp", "half")
    assert (row["PHASE"], row["LAST-RUN"], row["RESULT"], row["CURRENT"]) == ("Ready", run, "Failed", "")
    assert row["WHEN"]


def test_a_plan_that_applies_runs_again_and_apply_of_a_run_does_not_run_it_again(story: Story) -> None:
    """31: each `kubectl create` is a run, the second `kubectl apply` of an execution is none."""
    story.plan("note", NOTE.replace("OPERATION", "Apply"))
    assert "created" in story.kubectl("apply", "-f", "-", stdin=RUN)
    assert story.end("run").startswith("Succeeded")
    assert "unchanged" in story.kubectl("apply", "-f", "-", stdin=RUN)
    assert story.run("note").startswith("Succeeded"), "an Apply is repeatable"
    assert len(story.kubectl("get", "drpe", "-o", "name").split()) == 2
    story.plan("note", NOTE.replace("OPERATION", "Create"))
    assert 'configmaps "note" already exists' in story.run("note"), "a Create is not, and says so"
    story.plan("note", NOTE.replace("OPERATION", "Delete"))
    run = story.start("note")
    assert story.end(run).startswith("Succeeded")
    before = set(story.kubectl("get", "drpe", "-o", "name").split())
    story.undo(run, "note")
    [back] = set(story.kubectl("get", "drpe", "-o", "name").split()) - before
    assert [action["phase"] for action in story.actions(back.partition("/")[2])] == ["Skipped"], "as the docs say"
