"""The two HTTPS ports of the service: admission, and the HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.kube.client import KubeClient
from app.runtime.settings import WebhookSettings
from app.runtime.tasks import TaskOwner
from app.runtime.workers import Workers
from app.service.api.access import is_loopback
from app.service.api.application import api_app, moved_app, with_api
from app.service.limits import ConnectionLimits
from app.service.server import AsgiApp, HttpServer
from webhook.callers import CallerCheck
from webhook.certificates.live import LiveCertificate

API_LIMITS = ConnectionLimits(body=5.0, body_bytes=64 * 1024)


def admission_server(
    admission: AsgiApp,
    api: AsgiApp | None,
    settings: WebhookSettings,
    live: LiveCertificate,
    owner: TaskOwner,
    api_port: Callable[[], int],
) -> HttpServer:
    """The admission port; its check of callers runs as a task of `owner`. Raises CertificateError.

    The API is on it as well where both settings name the same port. Else its paths are answered with where it is.
    """
    shares_port = api is not None and settings.api_port == settings.webhook_port != 0
    beside = api if shares_port else None if api is None else moved_app(api_port)
    callers = None
    if settings.client_ca_file:
        callers = CallerCheck(Path(settings.client_ca_file), settings.accepted_callers, live)
    server = HttpServer(
        admission if beside is None else with_api(admission, beside),
        name="admission",
        host=settings.bind_address,
        port=settings.webhook_port,
        tls=(lambda: live.context) if callers is None else callers.context,
        grace=settings.review_timeout,
        limits=ConnectionLimits(
            connections=settings.max_connections,
            per_peer=settings.max_connections_per_peer,
            body=settings.review_timeout + 2.0,
            body_bytes=2 * settings.max_request_bytes,
        ),
        greet=None if callers is None else callers.refusal,
    )
    if callers is not None:
        owner.spawn("callers", callers.run(server.end_connections))
    return server


def api_server(api: AsgiApp, settings: WebhookSettings, live: LiveCertificate) -> HttpServer | None:
    """The port of the HTTP API; None where it shares that of admission."""
    if settings.api_port == settings.webhook_port != 0:
        return None
    return HttpServer(
        api,
        name="api",
        host=settings.bind_address,
        port=settings.api_port,
        tls=lambda: live.context,
        limits=API_LIMITS,
    )


def make_api(settings: WebhookSettings, kube: KubeClient, workers: Workers) -> AsgiApp | None:
    """The HTTP API; None where it is turned off."""
    if not settings.api_enabled:
        return None
    open_to_all = settings.api_auth == "unless-loopback" and is_loopback(settings.bind_address)
    at_once = settings.max_concurrent_api_requests
    return api_app(kube, open_to_all=open_to_all, at_once=at_once, workers=workers)
