"""When the service is ready: it can answer a review, which takes certificates, an open port and the API server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.kube.client import KubeClient
from app.kube.errors import KubeError, NotFound
from app.kube.resources import PLANS
from app.runtime.health import Health
from app.service.server import HttpServer
from webhook.certificates.source import Certificates

FRESH_SECONDS = 3.0
"""How long the last answer of the API server counts."""

ASK_SECONDS = 1.5


@dataclass(slots=True)
class Drain:
    """Set at the end: the service says that it is not ready, and answers what still comes."""

    begun: bool = False


@dataclass(slots=True)
class ApiServerCheck:
    """Whether the API server answers the reads that reviews need; asked at most every few seconds."""

    kube: KubeClient
    _asked: float | None = None
    _problem: str | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self) -> str | None:
        """None when it does, else what is wrong."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked is None or now - self._asked >= FRESH_SECONDS or self._problem:
                self._problem = await self._ask()
                self._asked = asyncio.get_running_loop().time()
        return self._problem

    async def _ask(self) -> str | None:
        try:
            await self.kube.list(PLANS, limit=1, timeout=ASK_SECONDS)
        except NotFound:
            return f"{PLANS} are not served: install the CRDs"
        except KubeError as error:
            return str(error)
        return None


def add_checks(
    health: Health, *, kube: KubeClient, server: HttpServer, certificates: Certificates, drain: Drain
) -> None:
    """Add the readiness checks of the admission service."""

    async def certificate() -> str | None:
        return certificates.problem(datetime.now(UTC))

    async def listening() -> str | None:
        if drain.begun:
            return "shutting down"
        return None if server.serving else "the HTTPS port is not open yet"

    health.add_check("certificates", certificate)
    health.add_check("admission", listening)
    health.add_check("api-server", ApiServerCheck(kube))
