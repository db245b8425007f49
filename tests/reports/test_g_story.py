"""G. The story is told once, in order."""

from __future__ import annotations

import pytest

from tests.reports.story import Story
from tests.support.installation import execution, http_action, plan, stage, workflow

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
