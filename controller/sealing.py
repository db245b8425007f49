"""The seal of a status: shows the controller, when it takes a run up again, that it wrote the status itself.

A keyed checksum over everything else in the status. The key is in the run's snapshot, in the controller's namespace.
What somebody changed has no valid seal; a status of earlier that is put back has one, and a journal that goes on
elsewhere.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import orjson

SEAL = "seal"


def new_seal_key() -> str:
    """Return the secret of a new run."""
    return secrets.token_hex(32)


def seal_of(key: str, uid: str, status: Mapping[str, Any]) -> str:
    """Return the seal that belongs to the stored form of the status of the run `uid`."""
    sealed = {name: value for name, value in status.items() if name != SEAL}
    content = orjson.dumps({"uid": uid, "status": sealed}, option=orjson.OPT_SORT_KEYS)
    return hmac.digest(bytes.fromhex(key), content, "sha256").hex()


def is_sealed(key: str, uid: str, status: Mapping[str, Any]) -> bool:
    """Tell whether a stored status has its seal."""
    return hmac.compare_digest(str(status.get(SEAL) or ""), seal_of(key, uid, status))
