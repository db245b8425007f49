"""The full profile: Jobs run on a node that is not there, and marked pods fail, hang or take their time."""

from typing import Any

import pytest

from tests.support.cluster import Cluster

pytestmark = pytest.mark.full


def job(name: str, namespace: str, **marks: str) -> dict[str, Any]:
    container = {"name": "main", "image": "example.invalid/image", "command": ["true"]}
    annotations = {f"drplan.test/{mark}": value for mark, value in marks.items()}
    template = {"metadata": {"annotations": annotations}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": template},
    }


def pod_of(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    pods = cluster.kubectl("get", "pods", "-l", f"job-name={name}", "-o", "json", namespace=namespace).json()["items"]
    assert len(pods) == 1
    pod = pods[0]
    assert isinstance(pod, dict)
    return pod


def test_a_job_completes(full_cluster: Cluster, full_namespace: str) -> None:
    full_cluster.apply(job("ok", full_namespace))
    full_cluster.kubectl("wait", "--for=condition=Complete", "job/ok", "--timeout=60s", namespace=full_namespace)
    assert pod_of(full_cluster, full_namespace, "ok")["status"]["phase"] == "Succeeded"


def test_a_marked_pod_fails_its_job(full_cluster: Cluster, full_namespace: str) -> None:
    full_cluster.apply(job("bad", full_namespace, fail="true"))
    full_cluster.kubectl("wait", "--for=condition=Failed", "job/bad", "--timeout=60s", namespace=full_namespace)
    status = pod_of(full_cluster, full_namespace, "bad")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "MarkedToFail")
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (1, "Error", "marked to fail")
    log = full_cluster.kubectl("logs", "-l", "job-name=bad", "--tail=1", namespace=full_namespace)
    assert log.stdout == "the last line of the container's output\n"


def test_marks_make_a_pod_slow_or_endless(full_cluster: Cluster, full_namespace: str) -> None:
    full_cluster.apply([job("slow", full_namespace, duration="2s"), job("endless", full_namespace, hang="true")])
    full_cluster.kubectl("wait", "--for=condition=Complete", "job/slow", "--timeout=60s", namespace=full_namespace)
    assert pod_of(full_cluster, full_namespace, "endless")["status"]["phase"] == "Running"


def test_workloads_roll_out_and_owned_objects_are_collected(full_cluster: Cluster, full_namespace: str) -> None:
    full_cluster.kubectl("create", "deployment", "web", "--image=example.invalid/image", namespace=full_namespace)
    full_cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s", namespace=full_namespace)
    full_cluster.kubectl("delete", "deployment", "web", namespace=full_namespace)
    full_cluster.kubectl("wait", "--for=delete", "pods", "-l", "app=web", "--timeout=60s", namespace=full_namespace)


def test_a_namespace_can_be_deleted(full_cluster: Cluster) -> None:
    name = full_cluster.namespace("going")
    full_cluster.kubectl("create", "configmap", "settings", namespace=name)
    full_cluster.kubectl("delete", "namespace", name, "--timeout=60s")
    assert full_cluster.kubectl("get", "namespace", name, check=False).rc == 1
