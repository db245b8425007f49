"""The certificates the API server trusts: read from a folder, or made there on first use."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.runtime.tls import load_pem_pair

VALID_FOR = timedelta(days=365)
"""How long a certificate made here is valid."""

CLOCK_SKEW = timedelta(minutes=5)


class CertificateError(Exception):
    """There is no usable certificate; the text says which file is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """A serving certificate with its key, and the authority that signed it, all PEM."""

    certificate: str
    key: str
    authority: str
    """Empty when the folder has no `ca.crt`."""
    not_after: datetime

    def context(self) -> ssl.SSLContext:
        """A server context. Raises CertificateError when certificate and key do not fit each other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            load_pem_pair(context, self.certificate, self.key)
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(f"tls.crt and tls.key do not fit each other: {error}; renew both") from error
        return context

    def problem(self, now: datetime) -> str | None:
        """What is wrong with them at `now`, for the readiness probe."""
        return f"the certificate expired at {self.not_after:%Y-%m-%dT%H:%M:%SZ}" if now >= self.not_after else None


def service_names(service: str, namespace: str) -> list[str]:
    """The DNS names that the certificate is valid for, beside 127.0.0.1."""
    inside = f"{service}.{namespace}.svc"
    return ["localhost", inside, f"{inside}.cluster.local"]


def certificates(folder: Path | None, names: list[str]) -> Certificates:
    """The pair `tls.crt` and `tls.key` of `folder`; made there, with `ca.crt` and `ca.key`, when both are missing.

    Without a folder they live in this process only. Raises CertificateError.
    """
    if folder is None:
        authority, key = _authority()
        return _serving(authority, key, names)
    try:
        if not (folder / "tls.crt").exists() and not (folder / "tls.key").exists():
            _create(folder, names)
        return _read(folder)
    except OSError as error:
        raise CertificateError(f"cannot use the certificates in {folder}: {error}") from error


def _read(folder: Path) -> Certificates:
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).exists():
            raise CertificateError(f"{folder / name} is missing: provide tls.crt and tls.key, or neither")
    certificate = (folder / "tls.crt").read_text()
    authority = folder / "ca.crt"
    try:
        not_after = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError as error:
        raise CertificateError(f"{folder / 'tls.crt'} is no PEM certificate: {error}") from error
    return Certificates(
        certificate=certificate,
        key=(folder / "tls.key").read_text(),
        authority=authority.read_text() if authority.exists() else "",
        not_after=not_after,
    )


def _create(folder: Path, names: list[str]) -> None:
    """Make a serving pair in `folder`, signed by the authority there, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "ca.crt").exists() and (folder / "ca.key").exists():
        authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        loaded = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{folder / 'ca.key'} is no elliptic-curve key: remove ca.crt and ca.key")
        key = loaded
    else:
        authority, key = _authority()
        _write(folder / "ca.key", _key_pem(key))
        _write(folder / "ca.crt", _pem(authority), mode=0o644)
    made = _serving(authority, key, names)
    _write(folder / "tls.key", made.key)
    _write(folder / "tls.crt", made.certificate, mode=0o644)


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file in one step, so that nobody reads half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.touch(mode=mode)
    scratch.write_text(text)
    scratch.replace(path)


def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "drplan-webhook-ca")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _serving(authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, names: list[str]) -> Certificates:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        _builder(subject, authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Certificates(_pem(certificate), _key_pem(key), _pem(authority), certificate.not_valid_after_utc)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID_FOR)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
