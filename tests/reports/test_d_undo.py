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


_WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS, labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "app:1"}]}
"""
_IMAGE = "jsonpath={.spec.replicas} {.spec.template.spec.containers[*].image} {.metadata.labels}"
_FAIL_OVER = """
- name: upgrade
  type: KubernetesResource
  resource:
    operation: Apply
    manifest: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web, namespace: NS}
      spec:
        selector: {matchLabels: {app: web}}
        template:
          metadata: {labels: {app: web}}
          spec: {containers: [{name: app, image: "app:2"}]}
- name: announce
  type: KubernetesResource
  dependsOn: [upgrade]
  resource:
    operation: Create
    manifest: |
      apiVersion: apps/v1
      kind: ControllerRevision
      metadata: {name: announced, namespace: NS}
      data: {}
      revision: 1
"""


def test_a_scaled_deployment_gets_its_image_back_and_keeps_the_rest(story: Story) -> None:
    """13 and 14."""
    story.kubectl("apply", "-f", "-", stdin=_WEB)
    story.plan("up", _FAIL_OVER)
    lacking = "jsonpath={.status.conditions[?(@.type=='Authorized')].message}"
    story.drplan.wait(
        lambda: "create controllerrevisions.apps in namespace" in story.kubectl("get", "drp", "up", "-o", lacking),
        message="nobody says before the run that a right is missing",
    )
    story.grant("apps", "controllerrevisions")
    run = story.start("up")
    assert story.end(run).startswith("Succeeded"), "get, list, watch, create, patch and delete are enough forwards"
    story.kubectl("scale", "deployment", "web", "--replicas=7")
    story.kubectl("label", "deployment", "web", "team=shop")
    assert story.undo(run, "up").startswith("Succeeded"), "and backwards"
    found = story.kubectl("get", "deployment", "web", "-o", _IMAGE)
    assert found == '7 app:1 {"team":"shop","tier":"front"}', found
    assert "NotFound" in story.refused("get", "controllerrevision", "announced")


def test_a_field_that_both_changed_waits_for_a_decision(story: Story) -> None:
    """13."""
    story.kubectl("apply", "-f", "-", stdin=_WEB)
    story.plan("up", _FAIL_OVER.partition("- name: announce")[0])
    run = story.start("up")
    assert story.end(run).startswith("Succeeded")
    story.kubectl("set", "image", "deployment/web", "app=app:3")
    undone = story.undo(run, "up")
    assert undone.startswith("Failed: "), undone
    assert 'spec.template.spec.containers[name=app].image was "app:1", this run wrote "app:2"' in undone
    assert story.kubectl("get", "deployment", "web", "-o", _IMAGE).split()[1] == "app:3"
