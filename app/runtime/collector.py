"""Which collector gets the traces of runs, and whether spans can be sent there.

What was said to drplan itself is strict (`app.runtime.settings`). OpenTelemetry's own variable is often set for every
pod of a platform; nobody who set it thought of this process, so it never keeps it from starting.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from urllib.parse import urlsplit

from app.runtime.logging import get_logger

log = get_logger(__name__)

SHARED_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""OpenTelemetry's own variable (OTLP exporter specification)."""

_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def collector_problem(address: str) -> str | None:
    """Return why no spans can be sent to `address`, and what is needed; None when they can."""
    if not _is_web_address(address):
        return "an http:// or https:// address is needed, such as http://collector.monitoring.svc:4318"
    if not _is_installed(_EXPORTER):
        return (
            "traces need OpenTelemetry's SDK and OTLP exporter, which are not installed: install drplan[otel], or "
            "leave the setting out"
        )
    return None


def chosen_collector(own: str | None) -> str | None:
    """Return the collector's address; None without one.

    `own` is drplan's setting: empty turns traces off, None leaves it to the shared variable. When that cannot be used,
    one warning is logged and there are no traces.
    """
    if own is not None:
        return own or None
    shared = os.environ.get(SHARED_VARIABLE)
    if not shared:
        return None
    if problem := collector_problem(shared):
        log.warning("no traces are sent", variable=SHARED_VARIABLE, value=shared, reason=problem)
        return None
    return shared


def _is_web_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
