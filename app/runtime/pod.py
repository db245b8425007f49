"""Which process of a pod is the living one.

A container that is restarted runs in the pod of its predecessor. That one has ended: kubelet starts a container only
when its runtime has reported the end of the one before. But that is not just believed, and somebody may start a second
controller in the same pod by hand. So the living one holds a socket in the abstract namespace. That belongs to the
network namespace of the pod, and it goes with its process, however that ends.
"""

from __future__ import annotations

import socket
import uuid
from dataclasses import dataclass

from app.runtime.logging import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """The name of this process among all that run, and what the names of its dead predecessors begin with."""

    name: str
    kin: str = ""
    proof: socket.socket | None = None
    """What shows that the predecessors are dead; kept until this process ends."""


def identity_of(pod_uid: str, *, component: str = "controller") -> Identity:
    """Return a new identity: host name and a random part, with the pod's uid between them when this process has one.

    Without a uid, and when another process of the pod lives, there are no kin.
    """
    host, unique = socket.gethostname(), uuid.uuid4().hex[:12]
    if not pod_uid:
        return Identity(f"{host}_{unique}")
    proof = _only_one(f"drplan-{component}/{pod_uid}")
    if proof is None:
        return Identity(f"{host}_{unique}")
    kin = f"{host}_{pod_uid}_"
    return Identity(f"{kin}{unique}", kin, proof)


def _only_one(name: str) -> socket.socket | None:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(f"\0{name}")
    except OSError as error:
        bound.close()
        log.warning("another process of this pod lives; leases of the pod are not taken at once", error=str(error))
        return None
    return bound
