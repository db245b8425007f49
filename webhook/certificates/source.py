"""Where this process gets its certificate from, by its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.kube.client import KubeClient
from app.runtime.settings import WebhookSettings
from app.runtime.tasks import TaskOwner
from webhook.certificates.bundles import targets
from webhook.certificates.folder import AUTHORITY_LIFETIME, CERTIFICATE_LIFETIME, FolderCertificates
from webhook.certificates.keeper import TIMING, Keeper, Timing
from webhook.certificates.live import LiveCertificate
from webhook.certificates.making import cluster_names, make_authority, make_certificate, service_names
from webhook.certificates.pair import ServingPair
from webhook.certificates.rotation import Policy
from webhook.certificates.store import KubeStore


@dataclass(frozen=True, slots=True)
class Certificates:
    """The live certificate, and why it is not ready at a time (None: it is)."""

    live: LiveCertificate
    problem: Callable[[datetime], str | None]


def start_certificates(
    settings: WebhookSettings, kube: KubeClient, owner: TaskOwner, timing: Timing = TIMING
) -> Certificates:
    """Begin to serve and look after certificates, in tasks of `owner`.

    A folder is read at once: CertificateError when it is not usable. A Secret is read in the background.
    """
    names = service_names(settings.service_name, settings.namespace)
    live = LiveCertificate(names)
    if settings.cert_dir is not None:
        folder = FolderCertificates(Path(settings.cert_dir), live)
        folder.start(names)
        owner.spawn("certificates", folder.run())
        return Certificates(live, live.problem)
    if settings.cert_secret:
        keeper = _keeper(settings, settings.cert_secret, kube, live, timing)
        owner.spawn("certificates", keeper.run())
        return Certificates(live, keeper.problem)
    now = datetime.now(UTC)
    authority = make_authority(now, AUTHORITY_LIFETIME)
    live.offer(ServingPair(*make_certificate(authority, names, now, CERTIFICATE_LIFETIME)), now, source="this process")
    return Certificates(live, live.problem)


def _keeper(settings: WebhookSettings, secret: str, kube: KubeClient, live: LiveCertificate, timing: Timing) -> Keeper:
    kept = targets(settings.mutating_webhook, settings.validating_webhook)
    policy = Policy(
        cluster_names(settings.service_name, settings.namespace),
        timedelta(seconds=settings.cert_lifetime),
        timedelta(seconds=settings.ca_lifetime),
        margin=timedelta(seconds=timing.margin),
    )
    return Keeper(
        KubeStore(kube, namespace=settings.namespace, targets=kept),
        live,
        policy,
        namespace=settings.namespace,
        name=secret,
        authority_name=settings.cert_ca_secret or f"{secret}-ca",
        upkeep=bool(kept),
        timing=timing,
    )
