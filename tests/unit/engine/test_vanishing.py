"""Which objects do work once, and which of them may go by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.vanishing import may_vanish, works_once


@pytest.mark.parametrize(
    ("group", "kind", "spec", "once", "vanishes"),
    [
        ("", "ConfigMap", {}, False, False),
        ("apps", "Deployment", {"ttl": 1}, False, False),
        ("apps.clusternet.io", "Subscription", {}, False, False),
        ("rbac.authorization.k8s.io", "ClusterRole", {}, False, False),
        ("snapshot.storage.k8s.io", "VolumeSnapshot", {}, True, True),
        ("batch", "CronJob", {}, False, False),
        ("batch", "Job", {"ttlSecondsAfterFinished": 0}, True, False),
        ("", "Pod", {"restartPolicy": "Never"}, True, True),
        ("", "Pod", {"restartPolicy": "OnFailure"}, True, True),
        ("", "Pod", {}, True, False),
        ("certificates.k8s.io", "CertificateSigningRequest", {}, True, True),
        ("tekton.dev", "TaskRun", {}, True, True),
        ("velero.io", "Backup", {"ttl": "0s"}, True, True),
        ("velero.io", "Restore", {}, True, True),
        ("velero.io", "Schedule", {}, True, False),
        ("argoproj.io", "Workflow", {}, True, True),
        ("argoproj.io", "CronWorkflow", {}, True, False),
        ("jobset.x-k8s.io", "JobSet", {}, True, True),
        ("kubeflow.org", "Trainer", {"runPolicy": {"cleanup": {"ttlSecondsAfterFinished": 5}}}, True, True),
        ("sparkoperator.k8s.io", "SparkApplication", {"timeToLiveSeconds": 5}, True, True),
        ("example.com", "Lock", {"expiresAt": "2026-01-01T00:00:00Z"}, True, True),
        ("example.com", "Database", {"replicas": 3}, True, False),
        ("example.com", "Database", None, True, False),
    ],
)
def test_kinds(group: str, kind: str, spec: Any, once: bool, vanishes: bool) -> None:
    assert works_once(group, kind) is once
    assert may_vanish(group, kind, {"spec": spec}) is vanishes
