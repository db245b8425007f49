"""Who may open the admission port: with an authority given, only holders of a certificate of it, by name.

The API server shows a client certificate to webhooks only where its AdmissionConfiguration names one, so this is off
unless it is asked for (docs/security.md).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Response

from app.runtime.logging import get_logger
from app.service.server import AsgiApp
from webhook.certificates.live import LiveCertificate
from webhook.certificates.pair import CertificateError, new_context

log = get_logger(__name__)

LOOK_SECONDS = 10.0
"""How often the file of the authority is read again."""


class CallerCheck:
    """Demands client certificates of one authority, and of these names if any are given.

    The file is read at once: CertificateError when it is not usable. `run` takes up a changed one; one that is broken
    then leaves everything as it is.
    """

    def __init__(self, authority: Path, names: frozenset[str], live: LiveCertificate) -> None:
        self._file = authority
        self._names = names
        self._live = live
        self._pem = _read(authority)
        self._context = self._demanding(self._pem)
        live.serve_in(self._context)

    def context(self) -> ssl.SSLContext:
        """The TLS context for a new connection."""
        return self._context

    async def run(self, on_change: Callable[[], None]) -> None:
        """Look after the file until cancelled; `on_change` is told when another authority counts."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                pem = await asyncio.to_thread(_read, self._file)
                if pem == self._pem:
                    continue
                context = self._demanding(pem)
            except CertificateError as error:
                log.warning("the authority of callers cannot be read; the one before still counts", error=str(error))
                continue
            self._live.serve_in(context, instead_of=self._context)
            self._context, self._pem = context, pem
            log.info("authority of callers loaded", file=str(self._file))
            on_change()

    def refusal(self, transport: asyncio.Transport) -> AsgiApp | None:
        """What answers a caller whose certificate has none of the names; None for one that may ask."""
        shown: Mapping[str, Any] = transport.get_extra_info("peercert") or {}
        names = list(names_in(shown))
        if not self._names or not self._names.isdisjoint(names):
            return None
        text = f"the client certificate is for {', '.join(names) or 'nobody'}, which may not ask for reviews here"
        log.warning("caller refused", names=names, accepted=sorted(self._names))
        return Response(f"{text}\n", HTTPStatus.FORBIDDEN, {"Connection": "close"}, media_type="text/plain")

    def _demanding(self, pem: str) -> ssl.SSLContext:
        context = new_context()
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(
                f"--client-ca-file: {self._file} has no usable PEM certificate: {error}; give the authority that "
                "signed the API server's client certificate"
            ) from error
        return context


def names_in(certificate: Mapping[str, Any]) -> Iterator[str]:
    """The names that a certificate is for, as `ssl` shows it: common name, DNS names, URIs."""
    for part in certificate.get("subject", ()):
        yield from (value for kind, value in part if kind == "commonName")
    yield from (value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"--client-ca-file: cannot read {path}: {error}; give a PEM file, or leave the flag out to let every "
            "caller in"
        ) from error
