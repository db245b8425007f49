"""The certificate that is being served, in the one TLS context that the open port uses."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tls import load_pem_pair
from webhook.certificates.making import fingerprint
from webhook.certificates.pair import CertificateError, ServingPair, new_context, stamp

log = get_logger(__name__)


class LiveCertificate:
    """A TLS context whose certificate can be exchanged while connections are open; those go on undisturbed.

    Until the first certificate handshakes fail, so that a client that comes too early is refused at once. `names` are
    what the certificate should be for; one that is not is served all the same, with a warning.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.context: ssl.SSLContext = new_context()
        self.served: ServingPair | None = None
        self._others: list[ssl.SSLContext] = []
        self._names = tuple(names)
        self._trouble = "it has not been looked for yet"

    def offer(self, pair: ServingPair, now: datetime, *, source: str) -> bool:
        """Serve a pair if it is sound and not what is served already; returns whether it is what is served now.

        `source` says in logs where it comes from. A refused one changes nothing.
        """
        if pair == self.served:
            self._trouble = ""
            return True
        try:
            pair.check(now)
        except CertificateError as error:
            self.refuse(str(error), source=source)
            return False
        for context in (self.context, *self._others):
            load_pem_pair(context, pair.certificate.decode(), pair.key.decode())
        self.served = pair
        self._trouble = ""
        metrics.certificate_reloads_total.labels("loaded").inc()
        show_end("serving", pair.leaf)
        log.info(
            "certificate loaded", source=source, not_after=stamp(pair.not_after), fingerprint=fingerprint(pair.leaf)
        )
        self._warn_of_names(pair, source)
        return True

    def serve_in(self, context: ssl.SSLContext, *, instead_of: ssl.SSLContext | None = None) -> None:
        """Serve the certificate in a further context, from now on, `instead_of` one that was given before."""
        if self.served is not None:
            load_pem_pair(context, self.served.certificate.decode(), self.served.key.decode())
        self._others = [*(other for other in self._others if other is not instead_of), context]

    def refuse(self, why: str, *, source: str) -> None:
        """Note that what there is cannot be served; logged when the reason is new, counted each time."""
        metrics.certificate_reloads_total.labels("refused").inc()
        if why != self._trouble:
            kept = "none" if self.served is None else f"the one until {stamp(self.served.not_after)}"
            log.warning("certificate refused", source=source, error=why, serving=kept)
        self._trouble = why

    def problem(self, now: datetime) -> str | None:
        """Why nobody can connect, for the readiness probe; a newer pair that is refused does not count."""
        newer = f"; the one there is now was refused: {self._trouble}" if self._trouble else ""
        if self.served is None:
            return f"no certificate: {self._trouble}"
        if self.served.expired(now):
            return f"the certificate expired at {stamp(self.served.not_after)}{newer}"
        return None

    def _warn_of_names(self, pair: ServingPair, source: str) -> None:
        missing = pair.missing_names([name for name in self._names if name.endswith(".svc")])
        if missing:
            log.warning(
                "the certificate is not for the Service that the API server calls; it will refuse to call it",
                source=source,
                missing=missing,
                names=sorted(pair.names()),
            )


def show_end(which: str, certificate: x509.Certificate) -> None:
    """Show in the metrics when the `serving` certificate or the `ca` ends."""
    metrics.certificate_not_after_seconds.labels(which).set(certificate.not_valid_after_utc.timestamp())
