"""What the keeper of the certificates asks of the API server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.kube.client import KubeClient
from app.kube.errors import NotFound
from app.kube.resources import SECRETS
from webhook.certificates.bundles import Configuration, WebhookConfiguration, patch_body, read_configuration
from webhook.certificates.kept import Secret

FIELD_MANAGER = "drplan-webhook"
REQUEST_SECONDS = 5.0
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"


class Store(Protocol):
    """The Secrets and the webhook configurations; methods raise the errors of `app.kube.errors`."""

    async def read_configurations(self) -> list[Configuration]:
        """The configurations that exist, fresh."""

    async def write_bundles(self, configuration: Configuration, bundles: dict[str, bytes]) -> Configuration:
        """Change caBundles; Conflict when the configuration is no longer the one that was read."""

    async def read_secret(self, name: str) -> Secret | None:
        """A Secret, fresh; None when there is none."""

    async def write_secret(self, secret: Secret) -> None:
        """Replace one: Conflict or NotFound when another was faster."""


class KubeStore:
    """The `Store` of a cluster."""

    def __init__(self, kube: KubeClient, *, namespace: str, targets: Sequence[WebhookConfiguration]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._targets = tuple(targets)

    async def read_configurations(self) -> list[Configuration]:
        """See `Store`."""
        found = []
        for target in self._targets:
            try:
                obj = await self._kube.get(target.resource, target.name, timeout=REQUEST_SECONDS)
            except NotFound:
                continue
            found.append(read_configuration(target, obj))
        return found

    async def write_bundles(self, configuration: Configuration, bundles: dict[str, bytes]) -> Configuration:
        """See `Store`."""
        target = configuration.target
        written = await self._kube.patch(
            target.resource,
            target.name,
            patch_body(configuration, bundles),
            content_type=STRATEGIC_MERGE_PATCH,
            field_manager=FIELD_MANAGER,
            timeout=REQUEST_SECONDS,
        )
        return read_configuration(target, written)

    async def read_secret(self, name: str) -> Secret | None:
        """See `Store`."""
        try:
            return await self._kube.get(SECRETS, name, namespace=self._namespace, timeout=REQUEST_SECONDS)
        except NotFound:
            return None

    async def write_secret(self, secret: Secret) -> None:
        """See `Store`."""
        await self._kube.replace(SECRETS, secret, field_manager=FIELD_MANAGER, timeout=REQUEST_SECONDS)
