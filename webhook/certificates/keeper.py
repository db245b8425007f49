"""Certificates of the service's own: each replica looks after the Secret, the caBundles and what it serves itself.

No replica leads. Writes carry the version they are based on, so of two replicas one is first and the other reads what
the first has written. The configurations are read before the Secret: an authority that a newer Secret has is then
never taken for a foreign one and removed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from app.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from webhook.certificates import rotation
from webhook.certificates.bundles import Configuration, authorities_in, changes, everywhere
from webhook.certificates.kept import Kept, Secret, is_empty, is_ours, parse_secret, to_secret
from webhook.certificates.live import LiveCertificate, show_end
from webhook.certificates.making import fingerprint
from webhook.certificates.pair import CertificateError
from webhook.certificates.rotation import AddAuthority, Adopt, Drop, Issue, Policy, Seen, Step
from webhook.certificates.store import Store

log = get_logger(__name__)

MAX_STEPS = 8
"""Changes of the Secret in one pass; more means that something else keeps changing it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between things."""

    poll: float = 5.0
    """Between two looks, plus up to half of it at random, so that replicas do not look at once."""
    propagation: float = 10.0
    """How long an API server may take to use a changed caBundle; less than one is normal."""
    deadline: float = 30.0
    """What one look may take."""
    margin: float = 60.0
    """By how much clocks may differ: as long an authority is trusted after its last certificate has ended."""


TIMING = Timing()
"""The usual ones."""


class Keeper:
    """One replica's share of the work. `clock` is the date, `monotonic` measures durations.

    `upkeep` False leaves the caBundles to somebody else.
    """

    def __init__(
        self,
        store: Store,
        live: LiveCertificate,
        policy: Policy,
        *,
        namespace: str,
        name: str,
        upkeep: bool = True,
        timing: Timing = TIMING,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._live = live
        self._policy = policy
        self._namespace = namespace
        self._name = name
        self._upkeep = upkeep
        self._timing = timing
        self._clock = clock
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._remembered: Kept | None = None
        self._since: dict[str, float] = {}
        self._known_once = False
        self._trouble = ""

    async def run(self) -> None:
        """Look after everything until cancelled. What fails is logged when it is new, and tried again."""
        iterations = metrics.loop_iterations_total.labels("certificates")
        delays = Backoff(min(1.0, self._timing.poll))
        while True:
            iterations.inc()
            try:
                async with asyncio.timeout(self._timing.deadline):
                    await self.look()
                delays.reset()
                pause = self._timing.poll * (1.0 + random.random() / 2)  # noqa: S311  (no secret)
            except (KubeError, TimeoutError, CertificateError) as error:
                self._report(error)
                pause = delays.next()
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """One pass; raises KubeError, or CertificateError when the Secret is not usable and not ours."""
        configurations = await self._read_configurations()
        kept = await self._agree(configurations)
        self._remembered = kept
        if configurations is not None:
            configurations = await self._publish(configurations, kept)
            self._observe(configurations, kept)
        self._serve(kept)
        if configurations is not None:
            self._trouble = ""

    def problem(self, now: datetime) -> str | None:
        """Why this replica is not ready: nothing to serve, or no API server knows the authority yet."""
        found = self._live.problem(now)
        if found is None and not self._known_once:
            found = "waiting until the API servers know the authority from the caBundles"
        return f"{found}: {self._trouble}" if found and self._trouble else found

    async def _read_configurations(self) -> list[Configuration] | None:
        """None when they cannot be read: then the certificate is renewed all the same, but no authority changes."""
        if not self._upkeep:
            return []
        try:
            return await self._store.read_configurations()
        except KubeError as error:
            self._report(error)
            return None

    async def _agree(self, configurations: list[Configuration] | None) -> Kept:
        """Take the next steps until there is nothing to do; returns the content that all agree on."""
        for _ in range(MAX_STEPS):
            secret = await self._store.read_secret()
            now = self._clock()
            kept, step = self._next(secret, now, configurations)
            if not step:
                return kept
            body = to_secret(kept, namespace=self._namespace, name=self._name, base=secret)
            try:
                await self._store.write_secret(body)
            except (AlreadyExists, Conflict, NotFound):
                log.info("another replica was faster; reading what it wrote", secret=self._path, step=step)
                continue
            metrics.certificate_rotations_total.labels(step).inc()
        raise CertificateError(f"Secret {self._path} changes all the time; find out what else writes it")

    def _next(
        self, secret: Secret | None, now: datetime, configurations: list[Configuration] | None
    ) -> tuple[Kept, str]:
        """The content that the Secret should have, and the name of the change that leads there (empty: none)."""
        listed = authorities_in(configurations or ())
        if secret is None or is_empty(secret):
            return self._anew("is missing" if secret is None else "is empty", now, listed)
        try:
            kept = parse_secret(secret)
        except CertificateError as error:
            if is_ours(secret):
                return self._anew(f"is not usable ({error})", now, listed)
            raise CertificateError(
                f"Secret {self._path} is not usable and was not made by this service, so it is left alone: {error}; "
                "delete it, or name another one with --cert-secret"
            ) from error
        seen = Seen(self._confirmed(kept, now), None if configurations is None else listed)
        step = rotation.decide(kept, now, self._policy, seen)
        if step is None:
            return kept, ""
        log.info("changing certificates", secret=self._path, **_described(step))
        return rotation.apply(step, kept, now, self._policy), _label(step)

    def _anew(self, why: str, now: datetime, listed: Collection[x509.Certificate]) -> tuple[Kept, str]:
        """A content for a Secret without one: what this replica remembers, else new."""
        log.warning("writing certificates", secret=self._path, because=f"the Secret {why}", new=not self._remembered)
        if self._remembered is not None:
            return rotation.restored(self._remembered, now, self._policy, tuple(listed)), "restored"
        return rotation.begin(now, self._policy, tuple(listed)), "created"

    def _confirmed(self, kept: Kept, now: datetime) -> frozenset[str]:
        if not self._upkeep:
            return rotation.published_long_ago(kept, now, self._policy)
        known = self._monotonic() - self._timing.propagation
        return frozenset(name for name, since in self._since.items() if since <= known)

    async def _publish(self, configurations: list[Configuration], kept: Kept) -> list[Configuration]:
        """Bring the caBundles in order; returns them as they are afterwards."""
        wanted = rotation.trusted(kept, self._clock(), self._policy)
        return [await self._publish_one(found, wanted, kept) for found in configurations]

    async def _publish_one(
        self, found: Configuration, wanted: tuple[x509.Certificate, ...], kept: Kept
    ) -> Configuration:
        due = changes(found, wanted, kept.authorities)
        if not due:
            return found
        if found.injector:
            log.warning(
                "another writer keeps this caBundle too; remove its annotation, or give its certificate by --cert-dir",
                configuration=str(found.target),
                annotation=found.injector,
            )
        try:
            written = await self._store.write_bundles(found, due)
        except (Conflict, NotFound):
            metrics.certificate_bundle_writes_total.labels("conflict").inc()
            return found
        except KubeError:
            metrics.certificate_bundle_writes_total.labels("failed").inc()
            raise
        metrics.certificate_bundle_writes_total.labels("ok").inc()
        log.info("caBundle written", configuration=str(found.target), webhooks=sorted(due))
        return written

    def _observe(self, configurations: list[Configuration], kept: Kept) -> None:
        """Note since when every caBundle has had which authority without a break."""
        now = self._monotonic()
        present = everywhere(configurations, kept.authorities)
        self._since = {name: self._since.get(name, now) for name in present}

    def _serve(self, kept: Kept) -> None:
        now = self._clock()
        confirmed = self._confirmed(kept, now)
        if rotation.may_serve(kept, self._live.served, confirmed, now):
            self._live.offer(kept.pair, now, source=f"Secret {self._path}")
        show_end("ca", kept.signer.certificate)
        if self._live.served == kept.pair and (not self._upkeep or fingerprint(kept.issuer) in confirmed):
            self._known_once = True

    def _report(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if text != self._trouble:
            log.warning("certificates not looked after; trying again", secret=self._path, error=text)
        self._trouble = text

    @property
    def _path(self) -> str:
        return f"{self._namespace}/{self._name}"


def _label(step: Step) -> str:
    match step:
        case Adopt():
            return "ca_adopted"
        case AddAuthority():
            return "ca_added"
        case Issue():
            return "certificate"
        case Drop():
            return "ca_dropped"


def _described(step: Step) -> dict[str, object]:
    match step:
        case AddAuthority(reason) | Issue(reason):
            return {"step": _label(step), "because": reason}
        case Adopt(authorities):
            return {"step": _label(step), "authorities": [fingerprint(a) for a in authorities]}
        case Drop(fingerprints):
            return {"step": _label(step), "authorities": sorted(fingerprints)}
