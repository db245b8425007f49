"""Loading TLS key pairs that are held as text."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path


def load_pem_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Load a certificate chain and its key, both PEM text, into a context.

    The ssl module only takes files, so one exists for the moment of loading, readable by its owner only.
    Raises ssl.SSLError when they do not fit each other: then the context is broken, so try a pair that may
    be bad in a scratch context first.
    """
    descriptor, name = tempfile.mkstemp(prefix="drplan-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w") as f:
            f.write(cert.rstrip() + "\n" + key)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
