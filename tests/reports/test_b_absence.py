"""B. Absence is proven, not guessed."""

from __future__ import annotations

import pytest

from tests.reports.story import Story

pytestmark = pytest.mark.full

SETTINGS = """
- name: settings
  type: KubernetesResource
  timeout: 1m
  resource:
    operation: Apply
    manifest: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: settings, namespace: NS}
      data: {site: berlin}
      ---
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: settings, namespace: NS}
      data: {site: paris}
"""
HELD = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS, finalizers: [example.com/held]}
"""


def test_apply_waits_for_an_object_that_is_going_and_takes_back_what_is_named_twice(story: Story) -> None:
    """5 and 7: what is being deleted is no object to apply to, and a Revert says what still holds one."""
    story.kubectl("create", "-f", "-", stdin=HELD)
    story.kubectl("delete", "cm", "settings", "--wait=false")
    story.plan("settings", SETTINGS)
    run = story.start("settings")
    story.drplan.wait(lambda: story.drplan.status(run).get("phase") == "Running")
    story.kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    assert story.end(run) == "Succeeded: All stages completed successfully"
    assert story.kubectl("get", "cm", "settings", "-o", "jsonpath={.data.site}") == "paris"

    story.kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata": {"finalizers": ["example.com/held"]}}')
    assert story.undo(run, "settings").startswith("Succeeded: ")
    assert story.kubectl("get", "cm", "settings", "-o", "jsonpath={.metadata.deletionTimestamp}")
    [name] = [name for name in _executions(story) if name != run]
    [action] = story.actions(name)
    assert "example.com/held" in action["message"], "being deleted is not deleted"
    story.kubectl("patch", "cm", "settings", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')


DEFINITION = """\
      apiVersion: apiextensions.k8s.io/v1
      kind: CustomResourceDefinition
      metadata: {name: policies.NS.example.com}
"""
COME_AND_GO = f"""
- name: kind
  type: KubernetesResource
  resource:
    operation: Apply
    manifest: |
{DEFINITION}
      spec:
        group: NS.example.com
        scope: Namespaced
        names: {{plural: policies, singular: policy, kind: Policy}}
        versions:
        - name: v1
          served: true
          storage: true
          schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
      ---
      apiVersion: NS.example.com/v1
      kind: Policy
      metadata: {{name: first, namespace: NS}}
- name: made
  type: KubernetesResource
  resource: &note
    operation: Create
    manifest: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {{name: note, namespace: NS}}
- name: gone
  type: KubernetesResource
  resource: {{<<: *note, operation: Delete}}
- name: again
  type: KubernetesResource
  resource: *note
- name: kind-gone
  type: KubernetesResource
  waitReady: true
  resource:
    operation: Delete
    manifest: |
{DEFINITION}
"""
GOES_ON = """
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {name: back}
spec: {planRef: notes, operationType: Revert, revertExecutionRef: RUN, revertOptions: {failurePolicy: Continue}}
"""


def test_what_the_run_deleted_is_gone_and_what_somebody_deleted_by_hand_is_missing(story: Story) -> None:
    """6: each absence is explained for one object, from one moment of the run on."""
    story.grant("apiextensions.k8s.io", "customresourcedefinitions")
    story.grant("NS.example.com", "policies")
    story.plan("notes", COME_AND_GO)
    run = story.start("notes")
    assert story.end(run) == "Succeeded: All stages completed successfully"
    story.kubectl("delete", "cm", "note")
    story.kubectl("create", "-f", "-", stdin=GOES_ON.replace("RUN", run))
    assert story.end("back").startswith("Failed: ")
    told = {action["name"]: (action["phase"], action["message"]) for action in story.actions("back")}
    missing = f"Failed to delete ConfigMap {story.namespace}/note: not found (deleted outside this plan)"
    assert told["again"] == ("Failed", missing), "an earlier deletion of the run does not explain it"
    for name, things in (("made", ["ConfigMap"]), ("kind", ["Policy", "CustomResourceDefinition"])):
        phase, message = told[name]
        assert (phase, message.count("was already gone")) == ("Succeeded", len(things)), message
        assert all(thing in message for thing in things)


def _executions(story: Story) -> list[str]:
    return story.kubectl("get", "drpe", "-o", "jsonpath={.items[*].metadata.name}").split()
