"""What replicas agree on, in two Secrets.

    the authority's    ca.crt             every authority to trust, the one that signs first; two during a change
                       ca.key             the key of the first: nobody but this service needs to read this Secret
    the certificate's  tls.crt, tls.key   the pair that every replica serves
                       ca.crt             a copy, for clients; nothing is believed for being in it

An annotation of the first notes until when an authority that no longer signs is trusted. Versions before 0.2 kept
everything in the second, which is read once more when the first is empty.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.kube.resources import DR_GROUP, SECRETS
from webhook.certificates.making import Authority, certificate_pem, fingerprint, key_pem
from webhook.certificates.pair import CertificateError, ServingPair, issuer_of, parse_bundle, stamp

Secret = dict[str, Any]

OURS_LABEL = f"{DR_GROUP}/certificates"
"""Label of Secrets that this service has written; such a one is mended, any other unusable one is left alone."""
OURS_VALUE = "self-managed"
TRUSTED_UNTIL = f"{DR_GROUP}/trusted-until"
"""Annotation: a JSON object, fingerprint of an authority that no longer signs -> until when it is trusted."""
ROTATE = f"{DR_GROUP}/rotate"
"""Annotation by which an administrator asks for a new authority; removed when it is made."""

AUTHORITY_KEYS = ("ca.crt", "ca.key")
PAIR_KEYS = ("tls.crt", "tls.key")


@dataclass(frozen=True)
class Trust:
    """The content of the authority's Secret: the key is that of the first authority."""

    authorities: tuple[x509.Certificate, ...]
    """The one that signs first."""
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    trusted_until: Mapping[str, datetime] = field(default_factory=dict)
    rotate: bool = False
    """Whether somebody asks for a new authority."""

    @property
    def signer(self) -> Authority:
        """The authority that signs."""
        return Authority(self.authorities[0], self.key)

    def until(self, authority: x509.Certificate) -> datetime:
        """Until when an authority is trusted: to its end, unless less is noted."""
        end = authority.not_valid_after_utc
        return min(end, self.trusted_until.get(fingerprint(authority), end))

    def only(self, known: Collection[str]) -> Trust:
        """Without authorities that are not among these fingerprints; the one that signs stays."""
        signer, *others = self.authorities
        return replace(self, authorities=(signer, *(each for each in others if fingerprint(each) in known)))


@dataclass(frozen=True, kw_only=True)
class Kept(Trust):
    """The content of both Secrets, sound in itself: each key fits, and the pair is signed by one of the authorities."""

    pair: ServingPair

    @property
    def issuer(self) -> x509.Certificate:
        """The authority that signed the pair."""
        found = issuer_of(self.pair.leaf, self.authorities)
        assert found is not None
        return found

    def with_authorities(self, *authorities: x509.Certificate, until: datetime) -> Kept:
        """Trust further authorities, until a time each."""
        known = {fingerprint(authority) for authority in self.authorities}
        new = tuple(authority for authority in authorities if fingerprint(authority) not in known)
        times = {fingerprint(authority): until for authority in new}
        return replace(self, authorities=self.authorities + new, trusted_until={**self.trusted_until, **times})


def with_pair(trust: Trust, pair: ServingPair) -> Kept:
    """Both together; the pair is signed by one of the authorities."""
    return Kept(
        authorities=trust.authorities,
        key=trust.key,
        trusted_until=trust.trusted_until,
        rotate=trust.rotate,
        pair=pair,
    )


def has_any(secret: Secret, keys: Collection[str]) -> bool:
    """Whether a Secret has any of these; one that a chart made has none at first."""
    data = secret.get("data") or {}
    return any(data.get(key) for key in keys)


def is_ours(secret: Secret) -> bool:
    """Whether this service has written a Secret, or a chart has made it for it."""
    labels = secret["metadata"].get("labels") or {}
    return bool(labels.get(OURS_LABEL) == OURS_VALUE)


def asks_for_rotation(secret: Secret) -> bool:
    """Whether an administrator asks for a new authority by the annotation of a Secret."""
    annotations = secret["metadata"].get("annotations") or {}
    return annotations.get(ROTATE, "").lower() not in ("", "false")


def parse_trust(secret: Secret) -> Trust:
    """Read the authority's Secret; CertificateError says what is wrong with it."""
    data = _content(secret, AUTHORITY_KEYS)
    authorities, broken = parse_bundle(data["ca.crt"])
    if broken or not authorities:
        raise CertificateError("ca.crt is not a list of PEM certificates")
    key = _key(data["ca.key"])
    if key.public_key() != authorities[0].public_key():
        raise CertificateError("ca.key is not the key of the first certificate in ca.crt")
    annotations = secret["metadata"].get("annotations") or {}
    times = _times(annotations.get(TRUSTED_UNTIL, "{}"))
    return Trust(tuple(authorities), key, times, rotate=asks_for_rotation(secret))


def parse_pair(secret: Secret, authorities: Sequence[x509.Certificate]) -> ServingPair:
    """Read the certificate's Secret; CertificateError says what is wrong with it."""
    data = _content(secret, PAIR_KEYS)
    pair = ServingPair(data["tls.crt"], data["tls.key"])
    if issuer_of(pair.leaf, authorities) is None:
        raise CertificateError("tls.crt is signed by none of the authorities")
    _check_fits(pair)
    return pair


def to_trust_secret(kept: Trust, base: Secret) -> Secret:
    """The authority's Secret as it is to be; `base` is the one that was read, whose version is the precondition."""
    times = {key: stamp(when) for key, when in kept.trusted_until.items()}
    notes = {TRUSTED_UNTIL: orjson.dumps(times, option=orjson.OPT_SORT_KEYS).decode()}
    content = {"ca.crt": certificate_pem(*kept.authorities), "ca.key": key_pem(kept.key)}
    return _written(base, content, notes, asked=kept.rotate)


def to_pair_secret(kept: Kept, base: Secret) -> Secret:
    """The certificate's Secret as it is to be; what earlier versions kept of the authority there is taken out."""
    data = {key: value for key, value in (base.get("data") or {}).items() if key != "ca.key"}
    metadata = base["metadata"]
    notes = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != TRUSTED_UNTIL}
    bare = {**base, "data": data, "metadata": {**metadata, "annotations": notes}}
    content = {
        "tls.crt": kept.pair.certificate,
        "tls.key": kept.pair.key,
        "ca.crt": certificate_pem(*kept.authorities),
    }
    return _written(bare, content, {}, asked=kept.rotate)


def _written(base: Secret, content: Mapping[str, bytes], notes: Mapping[str, str], *, asked: bool) -> Secret:
    """A Secret with what is given in it, and all else as it was; `asked`: a request for rotation stays."""
    metadata = base["metadata"]
    before = metadata.get("annotations") or {}
    annotations = {**{key: value for key, value in before.items() if asked or key != ROTATE}, **notes}
    labels = {**(metadata.get("labels") or {}), OURS_LABEL: OURS_VALUE}
    return {
        **base,
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {**metadata, "labels": labels, "annotations": annotations},
        "data": {**(base.get("data") or {}), **{key: base64.b64encode(pem).decode() for key, pem in content.items()}},
    }


def is_same(one: Secret, other: Secret) -> bool:
    """Whether two versions of a Secret say the same."""
    return _said(one) == _said(other)


def _said(secret: Secret) -> tuple[object, ...]:
    metadata = secret["metadata"]
    return secret.get("data") or {}, metadata.get("labels") or {}, metadata.get("annotations") or {}


def _content(secret: Secret, keys: Collection[str]) -> dict[str, bytes]:
    data = {key: _decoded(secret, key) for key in keys}
    missing = [key for key, value in data.items() if not value]
    if missing:
        raise CertificateError(f"{', '.join(missing)} missing")
    return data


def _decoded(secret: Secret, key: str) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True)
    except binascii.Error as error:
        raise CertificateError(f"{key} is not base64: {error}") from error


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"ca.key is no readable PEM key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("ca.key is no elliptic-curve key")
    return key


def _check_fits(pair: ServingPair) -> None:
    """Whether key and certificate fit; that it has expired is no fault of the Secret, it is renewed."""
    pair.check(pair.leaf.not_valid_before_utc)


def _times(text: str) -> dict[str, datetime]:
    """The annotation; what is not readable counts as not noted, so that the authority stays trusted to its end."""
    try:
        found = orjson.loads(text)
        return {str(key): datetime.fromisoformat(str(value)).astimezone(UTC) for key, value in found.items()}
    except (ValueError, AttributeError):
        return {}
