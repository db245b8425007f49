"""Kinds whose objects do work once, and those that may go by themselves when it is done.

To make such an object anew is to do its work again. So an action in doubt whose object is absent may only make it when
the object cannot have come and gone. Built-in kinds that say how something shall be (ConfigMaps, Deployments, Roles)
stay until somebody deletes them, and making them anew changes nothing that was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.models.stored import members

_WORK: Final = frozenset(
    {
        ("batch", "Job"),
        ("", "Pod"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("certificates.k8s.io", "PodCertificateRequest"),
    }
)
_DECLARATIVE: Final = frozenset(
    {
        *("", "apps", "batch", "autoscaling", "policy", "extensions", "apps.clusternet.io", "clusters.clusternet.io"),
        *("admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io"),
        *("discovery.k8s.io", "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "resource.k8s.io"),
        *("rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "gateway.networking.k8s.io"),
    }
)
"""Groups whose objects say how something shall be, but for the kinds above."""
_NAMES: Final = (
    *("Run", "Job", "JobSet", "Task", "Workflow", "Pipeline", "Backup", "Restore", "Request", "Execution", "Operation"),
    *("Migration", "Experiment", "Test", "Upload", "Download", "Snapshot", "Switchover", "Failover", "Drill", "Action"),
)
"""How kinds of custom resources are called whose objects do work once: TaskRun, RayJob, DeleteBackupRequest, ..."""
_SCHEDULES: Final = ("Cron", "Scheduled")
_LIFETIMES: Final = ("ttl", "timetolive", "expir")
_DEPTH: Final = 3
"""Levels of a spec that are searched for a lifetime: `spec.runPolicy.ttlSecondsAfterFinished` is on the third."""


def works_once(group: str, kind: str) -> bool:
    """Tell whether an object of the kind may stand for work that is done once. Of unknown kinds it may."""
    if (group, kind) in _WORK:
        return True
    return group not in _DECLARATIVE


def may_vanish(group: str, kind: str, manifest: Mapping[str, Any]) -> bool:
    """Tell whether an object that an action made may be gone without anybody having deleted it by hand.

    Not a Job: it gets its `ttlSecondsAfterFinished` after the action's end was recorded. A Pod that is not started
    again is removed when it has ended. Of custom resources the name of the kind tells, or a lifetime in the spec.
    """
    if not works_once(group, kind) or (group, kind) == ("batch", "Job"):
        return False
    spec = members(manifest.get("spec"))
    if (group, kind) == ("", "Pod"):
        return spec.get("restartPolicy") in ("Never", "OnFailure")
    if (group, kind) in _WORK:
        return True
    named = kind.endswith(_NAMES) and not kind.startswith(_SCHEDULES)
    return named or _has_lifetime(spec, _DEPTH)


def _has_lifetime(spec: Mapping[str, Any], depth: int) -> bool:
    for name, value in spec.items():
        if name.lower().startswith(_LIFETIMES):
            return True
        if depth > 1 and isinstance(value, Mapping) and _has_lifetime(value, depth - 1):
            return True
    return False
