"""The webhook registrations: what the API server calls for our three kinds, and where (pure)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from app.kube.resources import EXECUTIONS, MUTATING_WEBHOOKS, PLANS, VALIDATING_WEBHOOKS, WORKFLOWS, Resource

MUTATING_NAME = "drplan-mutating-webhook-configuration"
"""Default name of the MutatingWebhookConfiguration."""
VALIDATING_NAME = "drplan-validating-webhook-configuration"
"""Default name of the ValidatingWebhookConfiguration."""
TIMEOUT_SECONDS = 10
"""How long the API server waits for an answer; its own default, written out."""

Object = dict[str, Any]
ClientConfig = Callable[[str], Object]
"""Gives the ``clientConfig`` of a webhook for the path it is served at."""


def mutate_path(resource: Resource) -> str:
    """Path of the defaulting webhook of a kind."""
    return _path("mutate", resource)


def validate_path(resource: Resource) -> str:
    """Path of the validating webhook of a kind."""
    return _path("validate", resource)


def url_client(base_url: str, ca_pem: bytes) -> ClientConfig:
    """Webhooks reached by address, e.g. ``https://127.0.0.1:9443``, outside the cluster."""
    return lambda path: {"url": base_url.rstrip("/") + path, "caBundle": _encoded(ca_pem)}


def service_client(namespace: str, name: str, ca_pem: bytes, port: int = 443) -> ClientConfig:
    """Webhooks reached through a Service in the cluster."""
    return lambda path: {
        "service": {"namespace": namespace, "name": name, "path": path, "port": port},
        "caBundle": _encoded(ca_pem),
    }


def mutating_configuration(client: ClientConfig, *, controller_user: str, name: str = MUTATING_NAME) -> Object:
    """Defaulting of workflows and plans, the stamp of Reverts, at CREATE and UPDATE.

    Arguments as for `validating_configuration`.
    """
    webhooks = [
        _webhook(f"m{resource.kind.lower()}.kb.io", resource, ["CREATE", "UPDATE"], client(mutate_path(resource)))
        for resource in (WORKFLOWS, PLANS, EXECUTIONS)
    ]
    webhooks[-1]["matchConditions"] = [
        {
            "name": "revert",
            "expression": "has(object.spec) && has(object.spec.operationType) && object.spec.operationType == 'Revert'",
        },
        _not_by_controller(controller_user),
    ]
    return _configuration(MUTATING_WEBHOOKS, name, webhooks)


def validating_configuration(client: ClientConfig, *, controller_user: str, name: str = VALIDATING_NAME) -> Object:
    """Return the validation of all three kinds, at CREATE, UPDATE and DELETE (decision W1).

    Args:
        client: where the webhooks are served.
        controller_user: username of the controller. Its updates of executions that leave the spec alone are not sent
            to the webhook (decision W10), so finalizers can be removed while the webhook is away.
        name: name of the configuration object.
    """
    webhooks = [
        _webhook(
            f"v{resource.kind.lower()}.kb.io",
            resource,
            ["CREATE", "UPDATE", "DELETE"],
            client(validate_path(resource)),
        )
        for resource in (WORKFLOWS, PLANS, EXECUTIONS)
    ]
    webhooks[-1]["matchConditions"] = [_not_by_controller(controller_user)]
    return _configuration(VALIDATING_WEBHOOKS, name, webhooks)


def _not_by_controller(controller_user: str) -> Object:
    return {
        "name": "not-metadata-update-by-the-controller",
        "expression": (
            "!(request.operation == 'UPDATE' "
            f"&& request.userInfo.username == {_cel_text(controller_user)} "
            "&& object.spec == oldObject.spec)"
        ),
    }


def _path(verb: str, resource: Resource) -> str:
    group = resource.group.replace(".", "-")
    return f"/{verb}-{group}-{resource.version}-{resource.kind.lower()}"


def _webhook(name: str, resource: Resource, operations: list[str], client_config: Object) -> Object:
    rule = {
        "apiGroups": [resource.group],
        "apiVersions": [resource.version],
        "resources": [resource.plural],
        "operations": operations,
    }
    return {
        "name": name,
        "clientConfig": client_config,
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": TIMEOUT_SECONDS,
    }


def _configuration(resource: Resource, name: str, webhooks: list[Object]) -> Object:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "webhooks": webhooks,
    }


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def _cel_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
