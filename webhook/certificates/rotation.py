"""What to do with the Secrets now, and who may serve which certificate: pure decisions, the time is given.

An authority is changed in steps, each of them safe at whatever moment any replica stands still:

    1. the new authority is added to every caBundle, and then to the Secret (`AddAuthority`);
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

from webhook.certificates.kept import Kept, Trust, with_pair
from webhook.certificates.making import (
    Authority,
    fingerprint,
    is_limited_to,
    is_ours,
    made_at,
    make_authority,
    make_certificate,
    renewal_due,
)
from webhook.certificates.pair import ServingPair, issuer_of

MOST_AUTHORITIES = 5
"""So many are trusted at once; nobody gets a further one by asking, until old ones have gone."""


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
    known: Collection[str] = frozenset()
    """Fingerprints of all authorities that this replica has trusted so far."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Keep trusting authorities that a caBundle has and the Secret does not (it was lost or set back).

    Only those that this replica knows by their fingerprint: it may still serve what one of them signed.
    """

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
    strays = _strays(kept, now, seen.listed or (), seen.known)
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
    elif seen.listed is not None and kept.rotate and len(kept.authorities) < MOST_AUTHORITIES:
        return AddAuthority("an administrator asks for it")
    elif seen.listed is not None and not is_limited_to(signer, policy.names):
        return AddAuthority("it is not limited to the names of the Service")
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
            made = new_authority(now, policy)
            return replace(kept, authorities=(made.certificate, *kept.authorities), key=made.key, rotate=False)
        case Issue():
            pair = new_pair(kept.signer, now, policy)
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


def new_authority(now: datetime, policy: Policy) -> Authority:
    """An authority for nothing but the names of the policy."""
    return make_authority(now, policy.authority_lifetime, policy.names)


def new_pair(signer: Authority, now: datetime, policy: Policy) -> ServingPair:
    """A pair for the names of the policy."""
    return ServingPair(*make_certificate(signer, policy.names, now, policy.lifetime, local=False))


def begin(now: datetime, policy: Policy) -> Kept:
    """A new authority and its first pair."""
    authority = new_authority(now, policy)
    pair = new_pair(authority, now, policy)
    return Kept(authorities=(authority.certificate,), key=authority.key, pair=pair)


def completed(trust: Trust, remembered: ServingPair | None, now: datetime, policy: Policy) -> Kept:
    """The authorities with a pair, where the Secret has none that is usable: the one remembered, else a new one."""
    usable = remembered is not None and not remembered.expired(now)
    if usable and remembered is not None and issuer_of(remembered.leaf, trust.authorities) is not None:
        return with_pair(trust, remembered)
    return with_pair(trust, new_pair(trust.signer, now, policy))


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


def _strays(
    kept: Kept, now: datetime, listed: Sequence[x509.Certificate], known: Collection[str]
) -> tuple[x509.Certificate, ...]:
    ours = set(kept.authorities)
    alive = (each for each in listed if each not in ours and now < each.not_valid_after_utc)
    return tuple(dict.fromkeys(each for each in alive if fingerprint(each) in known))


def ended_strays(kept: Trust, now: datetime, listed: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Authorities made here that have ended and that nothing else would take out of the caBundles."""
    return tuple(
        each for each in listed if is_ours(each) and now >= each.not_valid_after_utc and each not in kept.authorities
    )


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
