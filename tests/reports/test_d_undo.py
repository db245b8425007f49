"""D. Undo takes back what the run did, no more."""

from __future__ import annotations

import pytest

from tests.reports.story import Story

pytestmark = pytest.mark.full


def _key(name: str, key: str, depends: str = "") -> str:
    return f"""
- name: {name}
  type: KubernetesResource{depends}
  resource:
    operation: Apply
    manifest: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {{name: shared, namespace: NS}}
      data: {{{key}: "1"}}
"""


def test_plans_keep_their_hands_off_each_others_keys_and_are_undone_in_reverse(story: Story) -> None:
    """15 and 16."""
    story.plan("one", _key("app", "a", "\n  dependsOn: [base]") + _key("base", "b"))
    story.plan("two", _key("other", "c"))
    first = story.start("one")
    assert story.end(first).startswith("Succeeded")
    second = story.start("two")
    assert story.end(second).startswith("Succeeded")
    assert sorted(story.drplan.get("cm", "shared")["data"]) == ["a", "b", "c"]
    story.plan("two", _key("other", "d"))
    assert story.run("two").startswith("Succeeded")
    assert sorted(story.drplan.get("cm", "shared")["data"]) == ["a", "b", "d"], "an action gives up what it drops"
    before = set(story.kubectl("get", "drpe", "-o", "name").split())
    story.undo(first, "one")
    [back] = set(story.kubectl("get", "drpe", "-o", "name").split()) - before
    assert [action["name"] for action in story.actions(back.partition("/")[2])] == ["app", "base"]
