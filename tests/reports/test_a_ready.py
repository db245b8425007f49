"""A. Ready means judged, and judged now."""

from __future__ import annotations

import json

import pytest

from tests.reports.story import Story

pytestmark = pytest.mark.full

DATABASE = """
- name: database
  type: KubernetesResource
  waitReady: true
  timeout: 2m
  resource:
    operation: Apply
    manifest: |
      apiVersion: apiextensions.k8s.io/v1
      kind: CustomResourceDefinition
      metadata: {name: databases.NS.example.com}
      spec:
        group: NS.example.com
        scope: Namespaced
        names: {plural: databases, singular: database, kind: Database}
        versions:
        - name: v1
          served: true
          storage: true
          subresources: {status: {}}
          schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
      ---
      apiVersion: NS.example.com/v1
      kind: Database
      metadata: {name: orders, namespace: NS}
      spec: {role: primary}
"""


def test_kind_and_first_object_in_one_manifest_and_nobody_says_that_it_is_ready(story: Story) -> None:
    """1 and 3: the kind is waited for; silence of its operator is "not yet"."""
    story.grant("apiextensions.k8s.io", "customresourcedefinitions")
    story.grant("NS.example.com", "databases")
    story.plan("db", DATABASE)
    run = story.start("db")
    kind = f"databases.{story.namespace}.example.com"
    story.drplan.wait(lambda: story.drplan.kubectl("get", kind, "orders", check=False).rc == 0, 60.0)
    assert story.kubectl("get", "drpe", run, "-o", "jsonpath={.status.phase}") == "Running"
    status = {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}], "observedGeneration": 1}
    story.kubectl("patch", kind, "orders", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    assert story.end(run) == "Succeeded: All stages completed successfully"
    story.kubectl("delete", "crd", kind)


CLAIM = """
- name: claim
  type: KubernetesResource
  resource:
    operation: Apply
    manifest: &volume |
      apiVersion: storage.k8s.io/v1
      kind: StorageClass
      metadata: {name: late-NS}
      provisioner: kubernetes.io/no-provisioner
      volumeBindingMode: WaitForFirstConsumer
      ---
      apiVersion: v1
      kind: PersistentVolumeClaim
      metadata: {name: data, namespace: NS}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: late-NS
        resources: {requests: {storage: 1Gi}}
- name: bound
  type: KubernetesResource
  waitReady: true
  timeout: 5s
  resource: {operation: Apply, manifest: *volume}
"""


def test_a_claim_that_waits_for_its_first_consumer_is_made_and_not_ready(story: Story) -> None:
    """1: what docs/resource-actions.md says about volumes."""
    story.grant("storage.k8s.io", "storageclasses")
    story.grant('""', "persistentvolumeclaims")
    story.plan("claim", CLAIM)
    run = story.start("claim")
    ended = story.end(run)
    made, bound = story.actions(run)
    assert (made["phase"], bound["phase"]) == ("Succeeded", "Failed"), ended
    assert f"PersistentVolumeClaim {story.namespace}/data is not ready: " in bound["message"]
