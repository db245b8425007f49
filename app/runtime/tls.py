"""Loading TLS key pairs that are held as text."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.engine.pem import certificates


def load_pem_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Load a certificate chain and its key, both PEM text, into a context.

    The ssl module only takes files, so one exists for the moment of loading: in memory where the system can (no
    writable folder is needed then), else on disk, readable by its owner only.
    Raises ssl.SSLError when they do not fit each other: then the context is broken, so try a pair that may
    be bad in a scratch context first.
    """
    with _as_file(cert.rstrip() + "\n" + key) as name:
        context.load_cert_chain(name)


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("drplan-pair", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "w") as f:
            f.write(text)
            f.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    descriptor, name = tempfile.mkstemp(prefix="drplan-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as f:
            f.write(text)
        yield name
    finally:
        Path(name).unlink()


def client_context(verify: bool, ca_bundle: str | None, client_cert: tuple[str, str] | None) -> ssl.SSLContext:
    """Return what a client verifies servers with, and shows them.

    `ca_bundle` (PEM) replaces the authorities of the system; `client_cert` is PEM certificate and PEM key. Raises
    ValueError or ssl.SSLError when one of them cannot be used.
    """
    context = ssl.create_default_context(cadata=certificates(ca_bundle) if ca_bundle is not None else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        load_pem_pair(context, *client_cert)
    return context
