"""The process `drplan webhook`."""

from __future__ import annotations

import asyncio
import platform
import signal

from app.kube.client import KubeClient
from app.kube.config import load_connection
from app.runtime.garbage import tune_garbage_collector
from app.runtime.health import Health
from app.runtime.logging import get_logger
from app.runtime.settings import WebhookSettings
from app.runtime.tasks import TaskOwner
from app.service.api.access import is_loopback
from app.service.api.application import api_app, with_api
from app.service.server import AsgiApp, HttpServer, serve_probes
from webhook.certificates.keeper import TIMING, Timing
from webhook.certificates.source import start_certificates
from webhook.handlers import Context
from webhook.lookups import KubeLookups
from webhook.readiness import Drain, add_checks
from webhook.service import Limits, admission_app

log = get_logger(__name__)

YOUNG_OBJECTS = 50_000
"""New objects until garbage is looked for; a review leaves none behind."""
KEEP_ALIVE_SECONDS = 120
"""Longer than the API server keeps an idle connection (90 s), so that it never writes into one that is closing."""


async def main(settings: WebhookSettings, certificate_timing: Timing = TIMING) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises ConnectionConfigError, CertificateError or PortError when it cannot start.
    """
    stop = _stop_event()
    drain = Drain()
    async with KubeClient(load_connection(settings.kubeconfig)) as kube, TaskOwner("webhook") as owner:
        certificates = start_certificates(settings, kube, owner, certificate_timing)
        context = Context(KubeLookups(kube), settings.namespace, check_references=settings.check_references)
        limits = Limits(settings.max_request_bytes, settings.review_timeout, settings.max_concurrent_reviews)
        server = HttpServer(
            _with_api(admission_app(context, limits, lambda: drain.begun), settings, kube),
            name="admission",
            host=settings.bind_address,
            port=settings.webhook_port,
            tls=certificates.live.context,
            grace=settings.review_timeout,
            keep_alive=KEEP_ALIVE_SECONDS,
        )
        server.listen()
        health = Health()
        add_checks(health, kube=kube, server=server, certificates=certificates, drain=drain)
        serve_probes(owner, settings, health)
        owner.spawn("admission", server.run())
        tune_garbage_collector(YOUNG_OBJECTS)
        log.info("webhook service started", port=server.port, python=platform.python_version())
        await stop.wait()
        drain.begun = True
        log.info("shutting down", drain_seconds=settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)
        owner.cancel_all()


def _with_api(admission: AsgiApp, settings: WebhookSettings, kube: KubeClient) -> AsgiApp:
    """Admission, and the read-only API beside it where that is turned on."""
    if not settings.api_enabled:
        return admission
    open_to_all = settings.api_auth == "unless-loopback" and is_loopback(settings.bind_address)
    return with_api(admission, api_app(kube, open_to_all=open_to_all, at_once=settings.max_concurrent_api_requests))


def _stop_event() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    return stop
