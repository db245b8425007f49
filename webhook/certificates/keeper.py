"""Certificates of the service's own: each replica looks after the Secrets, the caBundles and what it serves itself.

No replica leads. Writes carry the version they are based on, so of two replicas one is first and the other reads what
the first has written.

What a Secret says is not simply believed: an authority is trusted if this replica has trusted it before, or if the
caBundles have it, which fewer may write. So a new one is written into the caBundles first, and then into the Secret.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography import x509

from app.kube.errors import Conflict, KubeError, NotFound
from app.runtime import metrics
from app.runtime.logging import get_logger
from app.runtime.tasks import Backoff
from webhook.certificates import rotation
from webhook.certificates.bundles import Configuration, authorities_in, changes, everywhere
from webhook.certificates.kept import (
    AUTHORITY_KEYS,
    PAIR_KEYS,
    Kept,
    Secret,
    Trust,
    asks_for_rotation,
    has_any,
    is_ours,
    is_same,
    parse_pair,
    parse_trust,
    to_pair_secret,
    to_trust_secret,
    with_pair,
)
from webhook.certificates.live import LiveCertificate, show_end
from webhook.certificates.making import fingerprint
from webhook.certificates.memory import Memory
from webhook.certificates.pair import CertificateError, ServingPair
from webhook.certificates.rotation import AddAuthority, Adopt, Drop, Issue, Policy, Seen, Step
from webhook.certificates.store import Store

log = get_logger(__name__)

MAX_STEPS = 8
"""Changes of the Secrets in one pass; more means that something else keeps changing it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between things."""

    poll: float = 2.0
    """Between two looks, plus up to half of it at random, so that replicas do not look at once. As long a webhook that
    an upgrade adds is without caBundle, and what it is for is refused."""
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
        authority_name: str,
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
        self._authority_name = authority_name
        self._upkeep = upkeep
        self._timing = timing
        self._clock = clock
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._remembered: Kept | None = None
        self._memory = Memory()
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
        """One pass; raises KubeError, or CertificateError when a Secret is missing, or not usable and not ours."""
        try:
            kept, configurations = await self._agree()
        except CertificateError:
            if self._remembered is not None:
                await self._publish(await self._read_configurations() or [], self._remembered)
            raise
        self._remembered = kept
        self._memory.trust(kept.authorities, self._clock())
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

    async def _agree(self) -> tuple[Kept, list[Configuration] | None]:
        """Take the next steps until there is nothing to do; returns what all agree on, and the caBundles."""
        for _ in range(MAX_STEPS):
            configurations = await self._read_configurations()
            pair, trust = await self._secret(self._name), await self._secret(self._authority_name)
            kept, step = self._next(trust, pair, configurations)
            bodies = [(to_trust_secret(kept, trust), trust), (to_pair_secret(kept, pair), pair)]
            due = [body for body, base in bodies if not is_same(body, base)]
            if not due:
                return kept, configurations
            if not await self._announced(kept, configurations):
                continue
            try:
                for body in due:
                    await self._store.write_secret(body)
            except (Conflict, NotFound):
                log.info("another replica was faster; reading what it wrote", secret=self._path, step=step)
                continue
            metrics.certificate_rotations_total.labels(step).inc()
        raise CertificateError(f"Secret {self._path} changes all the time; find out what else writes it")

    async def _secret(self, name: str) -> Secret:
        found = await self._store.read_secret(name)
        if found is None:
            raise CertificateError(
                f"Secret {self._namespace}/{name} is missing, and this service may not create it: the chart makes it "
                f"(helm upgrade), else kubectl create secret generic {name} -n {self._namespace}"
            )
        return found

    async def _announced(self, kept: Kept, configurations: list[Configuration] | None) -> bool:
        """Bring an authority that is about to be written into every caBundle; False when another was faster."""
        signer = kept.signer.certificate
        if not configurations or everywhere(configurations, [signer]):
            return True
        if not self._memory.knows(signer):
            self._memory.about_to_publish(signer)
        return bool(everywhere(await self._publish(configurations, kept), [signer]))

    def _next(self, trust: Secret, pair: Secret, configurations: list[Configuration] | None) -> tuple[Kept, str]:
        """The content that the Secrets should have, and the name of the change that leads there."""
        now = self._clock()
        listed = None if configurations is None else authorities_in(configurations)
        found = self._trust(trust, pair, listed)
        if isinstance(found, str):
            kept, step = self._anew(found, now)
            self._pair(pair, kept)
            return kept, step
        there = self._pair(pair, found)
        if there is None:
            remembered = self._remembered.pair if self._remembered is not None else None
            return rotation.completed(found, remembered, now, self._policy), "certificate"
        kept = with_pair(replace(found, rotate=found.rotate or asks_for_rotation(pair)), there)
        seen = Seen(self._confirmed(kept, now), listed, self._memory.known)
        decided = rotation.decide(kept, now, self._policy, seen)
        if decided is None:
            return kept, "mended"
        log.info("changing certificates", secret=self._path, **_described(decided))
        return rotation.apply(decided, kept, now, self._policy), _label(decided)

    def _trust(self, secret: Secret, pair: Secret, listed: Sequence[x509.Certificate] | None) -> Trust | str:
        """The authorities that the Secret has, as far as they are known; a text when there are none to go by."""
        if has_any(secret, AUTHORITY_KEYS):
            try:
                found = parse_trust(secret)
            except CertificateError as error:
                if is_ours(secret):
                    return f"is not usable ({error})"
                raise self._left_alone(self._authority_name, error) from error
            why = "has an authority that no caBundle has and this replica never trusted"
        elif has_any(pair, AUTHORITY_KEYS[1:]):
            try:
                found = parse_trust(pair)
            except CertificateError as error:
                return f"is empty, and what an earlier version kept is not usable ({error})"
            why = "is empty, and no caBundle has the authority that an earlier version kept"
            if not listed and self._upkeep:
                return why
        else:
            return "is empty"
        if not self._upkeep:
            return found
        known = self._memory.believable(listed)
        if known is None:
            return found
        return found.only(known) if fingerprint(found.authorities[0]) in known else why

    def _pair(self, secret: Secret, trust: Trust) -> ServingPair | None:
        """The pair that the Secret has; None when it has none that is of use, and may be given another."""
        if not has_any(secret, PAIR_KEYS):
            return None
        try:
            return parse_pair(secret, trust.authorities)
        except CertificateError as error:
            if not is_ours(secret):
                raise self._left_alone(self._name, error) from error
            log.warning("writing a certificate", secret=self._path, because=f"the Secret is not usable ({error})")
            return None

    def _left_alone(self, name: str, error: CertificateError) -> CertificateError:
        return CertificateError(
            f"Secret {self._namespace}/{name} is not usable and was not made by this service, so it is left alone: "
            f"{error}; empty it, or name another one with --cert-secret and --cert-ca-secret"
        )

    def _anew(self, why: str, now: datetime) -> tuple[Kept, str]:
        """A content for Secrets without one: what this replica remembers, else new."""
        path = f"{self._namespace}/{self._authority_name}"
        log.warning("writing certificates", secret=path, because=f"the Secret {why}", new=not self._remembered)
        if self._remembered is not None:
            return self._remembered, "restored"
        return rotation.begin(now, self._policy), "created"

    def _confirmed(self, kept: Kept, now: datetime) -> frozenset[str]:
        if not self._upkeep:
            return rotation.published_long_ago(kept, now, self._policy)
        known = self._monotonic() - self._timing.propagation
        return frozenset(name for name, since in self._since.items() if since <= known)

    async def _publish(self, configurations: list[Configuration], kept: Kept) -> list[Configuration]:
        """Bring the caBundles in order; returns them as they are afterwards."""
        now = self._clock()
        wanted = rotation.trusted(kept, now, self._policy)
        ended = rotation.ended_strays(kept, now, authorities_in(configurations))
        known = (*kept.authorities, *self._memory.never_written, *ended)
        return [await self._publish_one(found, wanted, known) for found in configurations]

    async def _publish_one(
        self, found: Configuration, wanted: Sequence[x509.Certificate], known: Sequence[x509.Certificate]
    ) -> Configuration:
        due = changes(found, wanted, known)
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
