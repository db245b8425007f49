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


def _executions(story: Story) -> list[str]:
    return story.kubectl("get", "drpe", "-o", "jsonpath={.items[*].metadata.name}").split()
