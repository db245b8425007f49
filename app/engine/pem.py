"""Certificates that are held as text (PEM)."""

from __future__ import annotations

BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def certificates(bundle: str) -> str:
    """Return a bundle of certificates as the ssl module takes it: ASCII.

    What stands around the certificates are comments in any script, as in Mozilla's bundle. Raises ValueError when there
    is no certificate; ssl would trust the system's authorities then.
    """
    if BEGIN_CERTIFICATE not in bundle:
        raise ValueError(f"no certificate: {BEGIN_CERTIFICATE} is missing")
    return bundle.encode("ascii", "ignore").decode()
