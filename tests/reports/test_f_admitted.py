"""F. What is admitted runs, as kubectl reads it."""

from __future__ import annotations

import json

import pytest

from tests.reports.story import Story

pytestmark = pytest.mark.full

ODD = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: odd, namespace: NS}
  spec:
    clusterIP: None
    ports: [{port: 0x50, name: t}, {port: 8e1, protocol: UDP, name: u}]
"""


def test_numbers_and_lists_are_read_as_kubectl_reads_them(story: Story) -> None:
    """21: the same text through an action and through kubectl is the same object."""
    manifest = "".join(f"      {line}\n" for line in ODD.splitlines())
    action = "- name: odd\n  type: KubernetesResource\n  resource:\n    operation: Apply\n    manifest: |\n"
    story.plan("odd", f"{action}{manifest}")
    assert story.run("odd") == "Succeeded: All stages completed successfully"
    made = json.loads(story.kubectl("get", "service", "odd", "-o", "json"))
    read = json.loads(story.kubectl("create", "-f", "-", "--dry-run=client", "-o", "json", stdin=ODD))
    read = read["items"][0] if "items" in read else read
    assert [port["port"] for port in made["spec"]["ports"]] == [port["port"] for port in read["spec"]["ports"]]
    assert [port["port"] for port in made["spec"]["ports"]] == [80, 80]


QUOTED = """
- name: quoted
  type: KubernetesResource
  resource:
    operation: Apply
    manifest: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: quoted, namespace: NS}
      data:
        plain: $(params.comment)
        comment: "$(params.comment)"
        yes-or-no: "$(params.bool)"
        version: "$(params.version)"
        colon: "$(params.colon)"
        block: |-
          $(params.any)
"""
VALUES = {"comment": "one # two", "bool": "yes", "version": "1.10", "colon": "a: b", "any": 'say "hi" # \\ a: b'}


def test_values_in_quotes_arrive_as_they_are(story: Story) -> None:
    """21: what docs/resource-actions.md says about placeholders in manifests."""
    story.plan("quoted", QUOTED)
    params = [{"name": name, "value": value} for name, value in VALUES.items()]
    story.kubectl("patch", "drp", "quoted", "--type=merge", "-p", json.dumps({"spec": {"globalParams": params}}))
    assert story.run("quoted").startswith("Succeeded")
    assert story.drplan.get("cm", "quoted")["data"] == {
        "plain": "one",
        "comment": VALUES["comment"],
        "yes-or-no": "yes",
        "version": "1.10",
        "colon": "a: b",
        "block": VALUES["any"],
    }


MISSPELT = """
- name: misspelt
  type: KubernetesResource
  resource:
    operation: Create
    manifest: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web, namespace: NS}
      spec:
        replicsa: 3
        selector: {matchLabels: {app: web}}
        template:
          metadata: {labels: {app: web}}
          spec: {containers: [{name: web, image: "pause:3.10"}]}
"""
LOCALIZATION = """
- name: place
  type: Localization
  localization:
    operation: Apply
    name: l
    namespace: NS
    spec:
      feed: {apiVersion: apps/v1, kind: Deployment, namespace: NS, name: web}
"""
DELETE = """
apiVersion: dr.bkbcs.tencent.com/v1alpha1
kind: DRPlanExecution
metadata: {generateName: place-}
spec: {planRef: place, operationType: Execute, mode: Delete}
"""


def test_no_success_without_effect(story: Story) -> None:
    """22, 23 and 24."""
    story.plan("misspelt", MISSPELT)
    run = story.start("misspelt")
    ended = story.end(run)
    assert ended.startswith("Failed: ")
    assert 'unknown field "spec.replicsa"' in ended
    assert "NotFound" in story.refused("get", "deployment", "web")
    story.plan("place", LOCALIZATION)
    assert "] (U6)" in story.refused("create", "-f", "-", stdin=DELETE)
    said = story.kubectl("annotate", "drpe", run, "dr.bkbcs.tencent.com/cancel=ture")
    assert 'write "true" (N19)' in said
