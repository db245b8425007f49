"""Making authorities and serving certificates: ECDSA P-256, times given by the caller."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_NAME = "drplan-webhook-ca"
"""Common name of every authority made here, by which they are recognised in a caBundle."""

CLOCK_SKEW = timedelta(minutes=5)
"""Certificates hold from this long before they are made, for clients whose clocks are behind."""

LOCAL_ADDRESSES = ("127.0.0.1", "::1")
COMMON_NAME_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


ALL_ADDRESSES = tuple(x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0"))


def cluster_names(service: str, namespace: str) -> tuple[str, ...]:
    """The DNS names of a Service: all that API servers call."""
    inside = f"{service}.{namespace}"
    return (service, inside, f"{inside}.svc", f"{inside}.svc.cluster.local")


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names of a serving certificate that is also used on this machine; the loopback addresses come in addition."""
    return (*cluster_names(service, namespace), "localhost")


def make_authority(now: datetime, lifetime: timedelta, names: Sequence[str] = ()) -> Authority:
    """Make an authority. Its subject has a serial number, so that no two have the same.

    With `names`, nothing it signs holds for any other DNS name, or for an address (RFC 5280, name constraints): whoever
    gets hold of its key cannot pass for anything else.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"[:16]),
        ]
    )
    builder = (
        _builder(name, name, key.public_key(), serial, now, now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    if names:
        limits = x509.NameConstraints([x509.DNSName(each) for each in names], ALL_ADDRESSES)
        builder = builder.add_extension(limits, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def is_limited_to(authority: x509.Certificate, names: Sequence[str]) -> bool:
    """Whether an authority can sign for these DNS names and for nothing else."""
    try:
        limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    permitted = [name.value for name in limits.permitted_subtrees or () if isinstance(name, x509.DNSName)]
    return sorted(permitted) == sorted(names) and set(ALL_ADDRESSES) <= set(limits.excluded_subtrees or ())


def make_certificate(
    authority: Authority, names: Sequence[str], now: datetime, lifetime: timedelta, *, local: bool = True
) -> tuple[bytes, bytes]:
    """Make a serving certificate for `names`, with `local` the loopback addresses as well, and its key; both PEM.

    It ends with its authority at the latest.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + lifetime, authority.certificate.not_valid_after_utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:COMMON_NAME_LIMIT])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    if local:
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in LOCAL_ADDRESSES]
    issuer = authority.certificate
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), x509.random_serial_number(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return certificate_pem(certificate), key_pem(key)


def made_at(certificate: x509.Certificate) -> datetime:
    """When a certificate made here was made."""
    return certificate.not_valid_before_utc + CLOCK_SKEW


def renewal_due(certificate: x509.Certificate) -> datetime:
    """When two thirds of a certificate's life are over."""
    made = made_at(certificate)
    return made + (certificate.not_valid_after_utc - made) * 2 / 3


def fingerprint(certificate: x509.Certificate) -> str:
    """What names a certificate in logs and annotations: its SHA-256, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def is_ours(certificate: x509.Certificate) -> bool:
    """Whether an authority was made here, by this or another replica."""
    return any(
        attribute.value == AUTHORITY_NAME
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    )


def certificate_pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as PEM, in their order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as PEM (PKCS 8, not encrypted)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now.replace(microsecond=0) - CLOCK_SKEW)
        .not_valid_after(end.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
