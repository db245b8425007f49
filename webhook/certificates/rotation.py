"""What to do with the Secret now, and who may serve which certificate: pure decisions, the time is given.

An authority is changed in steps, each of them safe at whatever moment any replica stands still:

    1. the new authority is added to the Secret (`AddAuthority`), and from there to every caBundle;
    2. when a replica has seen it in every caBundle for so long that each API server knows it, the pair is signed by
       it (`Issue`); a replica serves a pair only after it has itself seen its authority there for that long;
    3. the old authority stays trusted until the last pair that it signed has ended, because a replica that is cut off
       may still serve that; then it is taken out of the caBundle, and at last out of the Secret (`Drop`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from webhook.certificates.kept import Kept
from webhook.certificates.making import fingerprint, is_ours, made_at, make_authority, make_certificate, renewal_due
from webhook.certificates.pair import ServingPair


@dataclass(frozen=True, slots=True)
class Policy:
    """How certificates are to be."""

    names: tuple[str, ...]
    lifetime: timedelta
    authority_lifetime: timedelta
    margin: timedelta = timedelta(seconds=60)
    """By how much clocks of replicas and API servers may differ."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the caBundles at this moment."""

    confirmed: frozenset[str]
    """Fingerprints of authorities that every API server knows by now."""
    listed: tuple[x509.Certificate, ...] | None
    """Every authority in any caBundle; None when they could not be read."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Keep trusting authorities of ours that a caBundle has and the Secret does not (it was lost or set back)."""

    authorities: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class AddAuthority:
    """Make a new authority."""

    reason: str


@dataclass(frozen=True, slots=True)
class Issue:
    """Make a new pair, signed by the first authority."""

    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget authorities that nothing depends on and no caBundle has."""

    fingerprints: frozenset[str]


Step = Adopt | AddAuthority | Issue | Drop


def decide(kept: Kept, now: datetime, policy: Policy, seen: Seen) -> Step | None:
    """The next change of the Secret; None when all is well or something has to be waited for."""
    strays = _strays(kept, now, seen.listed or ())
    if strays:
        return Adopt(strays)
    signer = kept.signer.certificate
    if now >= signer.not_valid_after_utc:
        return AddAuthority("it has expired")
    if kept.issuer != signer:
        if fingerprint(signer) in seen.confirmed:
            return Issue("the new authority is known everywhere")
        if kept.pair.expired(now):
            return Issue("the certificate has expired")
    elif seen.listed is not None and kept.rotate:
        return AddAuthority("an administrator asks for it")
    elif seen.listed is not None and now >= renewal_due(signer):
        return AddAuthority("two thirds of its life are over")
    elif now >= renewal_due(kept.pair.leaf):
        return Issue("two thirds of its life are over")
    elif missing := kept.pair.missing_names(policy.names):
        return Issue(f"it is not for {', '.join(missing)}")
    droppable = _droppable(kept, now, policy, seen.listed)
    return Drop(droppable) if droppable else None


def apply(step: Step, kept: Kept, now: datetime, policy: Policy) -> Kept:
    """The content of the Secret after a step."""
    match step:
        case Adopt(authorities):
            return kept.with_authorities(*authorities, until=now + policy.lifetime)
        case AddAuthority():
            made = make_authority(now, policy.authority_lifetime)
            return replace(kept, authorities=(made.certificate, *kept.authorities), key=made.key, rotate=False)
        case Issue():
            pair = ServingPair(*make_certificate(kept.signer, policy.names, now, policy.lifetime))
            times = dict(kept.trusted_until)
            if kept.issuer != kept.signer.certificate:
                issuer = fingerprint(kept.issuer)
                times[issuer] = max(kept.pair.not_after, times.get(issuer, kept.pair.not_after))
            return replace(kept, pair=pair, trusted_until=times)
        case Drop(fingerprints):
            return replace(
                kept,
                authorities=tuple(a for a in kept.authorities if fingerprint(a) not in fingerprints),
                trusted_until={k: when for k, when in kept.trusted_until.items() if k not in fingerprints},
            )


def begin(now: datetime, policy: Policy, listed: Sequence[x509.Certificate]) -> Kept:
    """A new authority and its first pair; authorities of ours in `listed` stay trusted, as replicas may use them."""
    authority = make_authority(now, policy.authority_lifetime)
    pair = ServingPair(*make_certificate(authority, policy.names, now, policy.lifetime))
    return restored(Kept(pair, (authority.certificate,), authority.key), now, policy, listed)


def restored(kept: Kept, now: datetime, policy: Policy, listed: Sequence[x509.Certificate]) -> Kept:
    """A content to write again, after the Secret was lost: with what `listed` has in addition."""
    return kept.with_authorities(*_strays(kept, now, listed), until=now + policy.lifetime)


def trusted(kept: Kept, now: datetime, policy: Policy) -> tuple[x509.Certificate, ...]:
    """The authorities of the Secret that belong into every caBundle."""
    return tuple(a for a in kept.authorities if not _given_up(kept, a, now, policy.margin))


def published_long_ago(kept: Kept, now: datetime, policy: Policy) -> frozenset[str]:
    """Authorities that count as known where nobody can look: added a sixth of a certificate's life ago.

    For installations that carry `ca.crt` to the caBundles themselves.
    """
    return frozenset(fingerprint(a) for a in kept.authorities if now >= made_at(a) + policy.lifetime / 6)


def may_serve(candidate: Kept, served: ServingPair | None, confirmed: Collection[str], now: datetime) -> bool:
    """Whether a replica may change to the pair of the Secret: clients know its authority, or it has nothing better."""
    if served is None or served.expired(now):
        return True
    return fingerprint(candidate.issuer) in confirmed


def _strays(kept: Kept, now: datetime, listed: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    known = set(kept.authorities)
    return tuple(dict.fromkeys(a for a in listed if is_ours(a) and a not in known and now < a.not_valid_after_utc))


def _given_up(kept: Kept, authority: x509.Certificate, now: datetime, margin: timedelta) -> bool:
    """Whether nothing depends on an authority any more: it neither signs nor signed what is served."""
    if authority in (kept.signer.certificate, kept.issuer):
        return False
    return now >= kept.until(authority) + margin


def _droppable(kept: Kept, now: datetime, policy: Policy, listed: Sequence[x509.Certificate] | None) -> frozenset[str]:
    """Authorities that are in no caBundle any more, and that no replica with another clock puts back there."""
    if listed is None:
        return frozenset()
    return frozenset(
        fingerprint(a) for a in kept.authorities if a not in listed and _given_up(kept, a, now, policy.margin * 3)
    )
