"""What replicas agree on: one Secret with the serving pair and the authorities that clients are to trust.

    tls.crt, tls.key   the pair that every replica serves
    ca.crt             every authority to trust, the one that signs first; during a change of authority there are two
    ca.key             the key of the first

An annotation notes until when an authority that no longer signs is trusted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
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

DATA_KEYS = ("tls.crt", "tls.key", "ca.crt", "ca.key")


@dataclass(frozen=True)
class Kept:
    """The content of the Secret, sound in itself: each key fits, and the pair is signed by one of the authorities."""

    pair: ServingPair
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

    @property
    def issuer(self) -> x509.Certificate:
        """The authority that signed the pair."""
        found = issuer_of(self.pair.leaf, self.authorities)
        assert found is not None
        return found

    def until(self, authority: x509.Certificate) -> datetime:
        """Until when an authority is trusted: to its end, unless less is noted."""
        end = authority.not_valid_after_utc
        return min(end, self.trusted_until.get(fingerprint(authority), end))

    def with_authorities(self, *authorities: x509.Certificate, until: datetime) -> Kept:
        """Trust further authorities, until a time each."""
        known = {fingerprint(authority) for authority in self.authorities}
        new = tuple(authority for authority in authorities if fingerprint(authority) not in known)
        times = {fingerprint(authority): until for authority in new}
        return replace(self, authorities=self.authorities + new, trusted_until={**self.trusted_until, **times})


def is_empty(secret: Secret) -> bool:
    """Whether a Secret is there but has nothing in it, as one that a chart made beforehand."""
    data = secret.get("data") or {}
    return not any(data.get(key) for key in DATA_KEYS)


def is_ours(secret: Secret) -> bool:
    """Whether this service has written a Secret."""
    labels = secret["metadata"].get("labels") or {}
    return bool(labels.get(OURS_LABEL) == OURS_VALUE)


def parse_secret(secret: Secret) -> Kept:
    """Read the Secret; CertificateError says what is wrong with it."""
    data = {key: _decoded(secret, key) for key in DATA_KEYS}
    missing = [key for key, value in data.items() if not value]
    if missing:
        raise CertificateError(f"{', '.join(missing)} missing")
    authorities, broken = parse_bundle(data["ca.crt"])
    if broken or not authorities:
        raise CertificateError("ca.crt is not a list of PEM certificates")
    key = _key(data["ca.key"])
    if key.public_key() != authorities[0].public_key():
        raise CertificateError("ca.key is not the key of the first certificate in ca.crt")
    pair = ServingPair(data["tls.crt"], data["tls.key"])
    if issuer_of(pair.leaf, authorities) is None:
        raise CertificateError("tls.crt is signed by none of the authorities in ca.crt")
    _check_fits(pair)
    annotations = secret["metadata"].get("annotations") or {}
    return Kept(
        pair,
        tuple(authorities),
        key,
        _times(annotations.get(TRUSTED_UNTIL, "{}")),
        rotate=annotations.get(ROTATE, "").lower() not in ("", "false"),
    )


def to_secret(kept: Kept, *, namespace: str, name: str, base: Secret | None = None) -> Secret:
    """The Secret to write; `base` is the one that was read, whose version is the precondition."""
    body: Secret = base or {"type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": namespace}}
    metadata = body["metadata"]
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != ROTATE}
    annotations[TRUSTED_UNTIL] = orjson.dumps(
        {key: stamp(when) for key, when in kept.trusted_until.items()}, option=orjson.OPT_SORT_KEYS
    ).decode()
    labels = {**(metadata.get("labels") or {}), OURS_LABEL: OURS_VALUE}
    content = {
        "tls.crt": kept.pair.certificate,
        "tls.key": kept.pair.key,
        "ca.crt": certificate_pem(*kept.authorities),
        "ca.key": key_pem(kept.key),
    }
    return {
        **body,
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {**metadata, "labels": labels, "annotations": annotations},
        "data": {**(body.get("data") or {}), **{key: base64.b64encode(pem).decode() for key, pem in content.items()}},
    }


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
