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
from app.runtime.workers import Workers
from app.service.server import serve_probes
from webhook.certificates.keeper import TIMING, Timing
from webhook.certificates.source import start_certificates
from webhook.handlers import Context
from webhook.lookups import KubeLookups
from webhook.offloop import warm
from webhook.ports import admission_server, api_server, make_api
from webhook.readiness import Drain, add_checks
from webhook.service import Limits, admission_app

log = get_logger(__name__)

YOUNG_OBJECTS = 50_000
"""New objects until garbage is looked for; a review leaves none behind."""


async def main(settings: WebhookSettings, certificate_timing: Timing = TIMING) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises ConnectionConfigError, CertificateError or PortError when it cannot start.
    """
    stop = _stop_event()
    drain = Drain()
    async with (
        KubeClient(load_connection(settings.kubeconfig)) as kube,
        Workers("webhook") as workers,
        Workers("api", processes=1) as api_workers,
        TaskOwner("webhook") as owner,
    ):
        certificates = start_certificates(settings, kube, owner, certificate_timing)
        lookups = KubeLookups(kube, settings.namespace)
        context = Context(lookups, settings.namespace, check_references=settings.check_references)
        limits = Limits(settings.max_request_bytes, settings.review_timeout, settings.max_concurrent_reviews)
        api = make_api(settings, kube, api_workers)
        own = None if api is None else api_server(api, settings, certificates.live)
        app = admission_app(context, limits, lambda: drain.begun, workers)
        server = admission_server(app, api, settings, certificates.live, owner, lambda: own.port if own else 0)
        for each in filter(None, (server, own)):
            each.listen()
        health = Health()
        add_checks(health, kube=kube, server=server, certificates=certificates, drain=drain)
        serve_probes(owner, settings, health)
        owner.spawn("admission", server.run())
        owner.spawn("warm", warm(workers))
        if own is not None:
            owner.spawn("api", own.run())
        tune_garbage_collector(YOUNG_OBJECTS)
        log.info(
            "webhook service started",
            port=server.port,
            api_port=own.port if own else None,
            python=platform.python_version(),
        )
        await stop.wait()
        drain.begun = True
        log.info("shutting down", drain_seconds=settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)
        owner.cancel_all()


def _stop_event() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    return stop
