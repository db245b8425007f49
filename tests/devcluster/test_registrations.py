"""The webhook registrations: built as the contract says, and taken by the real API server."""

import base64
from typing import Any

from app.kube.registrations import (
    mutate_path,
    mutating_configuration,
    service_client,
    url_client,
    validate_path,
    validating_configuration,
)
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from tests.support.cluster import Cluster

CONTROLLER = "system:serviceaccount:drplan-system:drplan-controller"
CLIENT = url_client("https://127.0.0.1:1/", b"pem")


def hooks(configuration: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {hook["name"]: hook for hook in configuration["webhooks"]}


def test_names_paths_and_operations_are_the_contracts() -> None:
    mutating = hooks(mutating_configuration(CLIENT, controller_user=CONTROLLER))
    validating = hooks(validating_configuration(CLIENT, controller_user=CONTROLLER))
    assert list(mutating) == ["mdrworkflow.kb.io", "mdrplan.kb.io", "mdrplanexecution.kb.io"]
    assert list(validating) == ["vdrworkflow.kb.io", "vdrplan.kb.io", "vdrplanexecution.kb.io"]
    assert {tuple(hook["rules"][0]["operations"]) for hook in mutating.values()} == {("CREATE", "UPDATE")}
    assert {tuple(hook["rules"][0]["operations"]) for hook in validating.values()} == {("CREATE", "UPDATE", "DELETE")}
    assert mutate_path(WORKFLOWS) == "/mutate-dr-bkbcs-tencent-com-v1alpha1-drworkflow"
    assert validate_path(PLANS) == "/validate-dr-bkbcs-tencent-com-v1alpha1-drplan"
    execution = validating["vdrplanexecution.kb.io"]
    assert execution["rules"][0]["resources"] == ["drplanexecutions"]
    assert execution["clientConfig"] == {
        "url": "https://127.0.0.1:1/validate-dr-bkbcs-tencent-com-v1alpha1-drplanexecution",
        "caBundle": base64.b64encode(b"pem").decode(),
    }
    for hook in (*mutating.values(), *validating.values()):
        assert (hook["failurePolicy"], hook["sideEffects"]) == ("Fail", "None")
        assert hook["admissionReviewVersions"] == ["v1"]


def test_a_service_in_the_cluster_can_serve_them() -> None:
    hook = mutating_configuration(service_client("dr", "webhooks", b"pem"), controller_user=CONTROLLER)["webhooks"][1]
    service = {"namespace": "dr", "name": "webhooks", "path": mutate_path(PLANS), "port": 443}
    assert hook["clientConfig"]["service"] == service


def test_the_api_server_takes_them(cluster: Cluster) -> None:
    pem = cluster.plane.authority.pem
    client = url_client("https://127.0.0.1:1", pem)
    for document in (
        mutating_configuration(client, controller_user="it's \\ odd", name="try-mutating"),
        validating_configuration(client, controller_user="it's \\ odd", name="try-validating"),
    ):
        answer = cluster.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=document).json()
        assert [hook["name"] for hook in answer["webhooks"]] == [hook["name"] for hook in document["webhooks"]]
    assert EXECUTIONS.plural == answer["webhooks"][-1]["rules"][0]["resources"][0]
