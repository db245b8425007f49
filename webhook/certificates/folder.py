"""Certificates in a folder: followed while they change there, made there when there are none."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.runtime.logging import get_logger
from app.runtime.tasks import every
from webhook.certificates.live import LiveCertificate, show_end
from webhook.certificates.making import (
    Authority,
    certificate_pem,
    key_pem,
    make_authority,
    make_certificate,
    renewal_due,
)
from webhook.certificates.pair import CertificateError, ServingPair, parse_bundle

log = get_logger(__name__)

POLL_SECONDS = 10.0
"""How often the files are read; the kubelet needs up to a minute to bring a changed Secret."""

CERTIFICATE_LIFETIME = timedelta(days=365)
AUTHORITY_LIFETIME = timedelta(days=5 * 365)
"""How long what is made in a folder holds; it is renewed at a start, which is often enough for development."""


@dataclass(frozen=True)
class Files:
    """What a folder has: a pair, and the authority, empty without `ca.crt`."""

    pair: ServingPair
    authority: bytes


class FolderCertificates:
    """Keeps a live certificate as the folder has it. A pair that must not be served leaves the one before."""

    def __init__(self, folder: Path, live: LiveCertificate, *, poll: float = POLL_SECONDS) -> None:
        self._folder = folder
        self._live = live
        self._poll = poll

    def start(self, names: Sequence[str]) -> None:
        """Load the pair, after making it where there is none; CertificateError when there is nothing to serve."""
        now = datetime.now(UTC)
        try:
            make_missing(self._folder, names, now)
            files = read_files(self._folder)
        except OSError as error:
            raise CertificateError(f"cannot use the certificates in {self._folder}: {error}") from error
        files.pair.check(now)
        self._take(files, now)

    async def run(self) -> None:
        """Look for changes until cancelled."""
        await every("certificates", self._poll, self.look, tolerate=(TimeoutError,))

    async def look(self) -> None:
        """Load what is in the folder now, if it differs and is sound."""
        try:
            files = await asyncio.to_thread(read_files, self._folder)
        except (CertificateError, OSError) as error:
            self._live.refuse(f"cannot use the certificates in {self._folder}: {error}", source=str(self._folder))
            return
        self._take(files, datetime.now(UTC))

    def _take(self, files: Files, now: datetime) -> None:
        if self._live.offer(files.pair, now, source=str(self._folder)):
            authorities, _ = parse_bundle(files.authority)
            for authority in authorities[:1]:
                show_end("ca", authority)


def read_files(folder: Path) -> Files:
    """Read both files of one moment.

    The kubelet exchanges all files of a Secret at once by pointing the symlink `..data` elsewhere; so the link is
    resolved once. Raises CertificateError when a file is missing, OSError when one cannot be read.
    """
    there = _resolved(folder)
    for name in ("tls.crt", "tls.key"):
        if not (there / name).exists():
            raise CertificateError(f"{folder / name} is missing: provide tls.crt and tls.key, or neither")
    authority = there / "ca.crt"
    return Files(
        ServingPair((there / "tls.crt").read_bytes(), (there / "tls.key").read_bytes()),
        authority.read_bytes() if authority.exists() else b"",
    )


def _resolved(folder: Path) -> Path:
    data = folder / "..data"
    return Path(os.path.realpath(data)) if data.is_symlink() else folder


def make_missing(folder: Path, names: Sequence[str], now: datetime) -> None:
    """Make a pair where there is none, and renew one that was made here and has little time left.

    What was made here is known by `ca.key`. Raises CertificateError, or OSError when the folder cannot be written.
    """
    certificate, key = folder / "tls.crt", folder / "tls.key"
    if certificate.exists() or key.exists():
        made_here = (folder / "ca.key").exists() and certificate.exists() and key.exists()
        if not made_here or now < renewal_due(read_files(folder).pair.leaf):
            return
        log.info("renewing the certificate in the folder", folder=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority_of(folder, now)
    pem, pem_key = make_certificate(authority, names, now, CERTIFICATE_LIFETIME)
    _write(key, pem_key)
    _write(certificate, pem, mode=0o644)


def _authority_of(folder: Path, now: datetime) -> Authority:
    """The authority in the folder; a new one when there is none or it has little time left."""
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if certificate.exists() and key.exists():
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        except ValueError as error:
            raise CertificateError(f"ca.crt or ca.key in {folder} is not readable: {error}; remove both") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{key} is no elliptic-curve key: remove ca.crt and ca.key")
        if now < renewal_due(found):
            return Authority(found, loaded)
    made = make_authority(now, AUTHORITY_LIFETIME)
    _write(key, key_pem(made.key))
    _write(certificate, certificate_pem(made.certificate), mode=0o644)
    return made


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file in one step, so that nobody reads half of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.touch(mode=mode)
    scratch.write_bytes(content)
    scratch.replace(path)
