"""Deletion protection and namespaces that are being deleted, on the full control plane."""

from __future__ import annotations

import json

import pytest

from devcluster import register_webhooks, start_webhook, unregister_webhooks
from tests.support.cluster import Cluster
from tests.unit.rules.builders import execution_json, plan_json, workflow_json

pytestmark = pytest.mark.full


def test_a_namespace_with_protected_objects_can_be_deleted(full_cluster: Cluster) -> None:
    namespace = full_cluster.namespace()
    service = start_webhook(full_cluster.plane, name="webhook-namespaces")
    try:
        register_webhooks(full_cluster.plane, service)
        objects = [workflow_json(), plan_json(), execution_json()]
        for obj in objects:
            obj["metadata"] = {"name": obj["metadata"]["name"]}
        full_cluster.apply(objects, namespace=namespace)
        running = json.dumps({"status": {"phase": "Running"}})
        full_cluster.kubectl(
            "patch", "drpe", "e", "--subresource=status", "--type=merge", "-p", running, namespace=namespace
        )
        assert full_cluster.kubectl("delete", "drworkflow", "w", namespace=namespace, check=False).rc == 1
        assert full_cluster.kubectl("delete", "drplan", "p", namespace=namespace, check=False).rc == 1
        full_cluster.kubectl("delete", "namespace", namespace, "--timeout=60s", timeout=90)
    finally:
        unregister_webhooks(full_cluster.plane)
        service.stop()
