"""A certificate with its key as it comes from a folder or a Secret, and whether it may be served."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from app.runtime.tls import load_pem_pair


class CertificateError(Exception):
    """There is no usable certificate; the text says what is wrong with which one and what to do."""


@dataclass(frozen=True)
class ServingPair:
    """A serving certificate (with its chain, if it has one) and its key, both PEM, not checked yet."""

    certificate: bytes
    key: bytes = field(repr=False)

    @cached_property
    def leaf(self) -> x509.Certificate:
        """The serving certificate itself; CertificateError when there is none."""
        try:
            return x509.load_pem_x509_certificate(self.certificate)
        except ValueError as error:
            raise CertificateError(f"tls.crt is no PEM certificate: {error}") from error

    @property
    def not_after(self) -> datetime:
        """When it ends."""
        return self.leaf.not_valid_after_utc

    def names(self) -> frozenset[str]:
        """DNS names it is for."""
        try:
            found = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return frozenset()
        return frozenset(found.value.get_values_for_type(x509.DNSName))

    def expired(self, now: datetime) -> bool:
        """Whether no client accepts it any more."""
        return now >= self.not_after

    def check(self, now: datetime) -> None:
        """Raise CertificateError when it must not be served: not readable, not a pair, outside its time.

        Tried in a context of its own, because a pair that does not fit breaks the context it is loaded into.
        """
        leaf = self.leaf
        try:
            load_pem_pair(new_context(), self.certificate.decode(), self.key.decode())
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(f"tls.crt and tls.key do not fit each other: {error}; renew both") from error
        if self.expired(now):
            raise CertificateError(f"the certificate expired at {stamp(self.not_after)}; renew it")
        if now < leaf.not_valid_before_utc:
            raise CertificateError(
                f"the certificate is not valid before {stamp(leaf.not_valid_before_utc)}, and it is {stamp(now)}: "
                "check the clocks"
            )

    def missing_names(self, wanted: Sequence[str]) -> list[str]:
        """Which of the names it does not cover; a wildcard stands for one label."""
        have = self.names()
        return [name for name in wanted if name not in have and f"*.{name.partition('.')[2]}" not in have]


def new_context() -> ssl.SSLContext:
    """A server's TLS context, TLS 1.2 or newer, that has no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def stamp(when: datetime) -> str:
    """A time as Kubernetes writes it."""
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def parse_bundle(pem: bytes) -> tuple[list[x509.Certificate], int]:
    """The certificates of a bundle, and how many parts of it are none; Go's readers skip those, too."""
    found: list[x509.Certificate] = []
    broken = 0
    for block in _blocks(pem):
        try:
            found.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            broken += 1
    return found, broken


def issuer_of(leaf: x509.Certificate, authorities: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The authority that signed a certificate."""
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority
    return None


def _blocks(pem: bytes) -> list[bytes]:
    """The parts between `BEGIN` lines; a text without any is one part, unless it is blank."""
    head, *rest = pem.split(b"-----BEGIN ")
    blocks = [b"-----BEGIN " + part for part in rest]
    return blocks if blocks or not head.strip() else [head]
