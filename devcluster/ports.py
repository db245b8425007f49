"""Free loopback ports that stay ours until this process ends.

The kernel's way (bind port 0, close, use the number) races with every outgoing connection on a busy machine, and a
component restarted on its old port may find it taken. So ports come from below the ephemeral range, and each is
reserved by holding the UDP port of the same number: that leaves TCP free for the component, shows every other process
that uses this module that the number is taken, and ends with this process, leaving nothing behind.
"""

import random
import socket

FIRST, LAST = 20000, 32000
_held: dict[int, socket.socket] = {}


def free_port() -> int:
    """A loopback TCP port nobody uses, reserved among drplan's processes until this one ends.

    Raises:
        OSError: no free port was found.
    """
    for port in random.sample(range(FIRST, LAST), 200):
        token = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            token.bind(("127.0.0.1", port))
            _require_unused(port)
        except OSError:
            token.close()
            continue
        _held[port] = token
        return port
    raise OSError(f"no free port on 127.0.0.1 between {FIRST} and {LAST}")


def release(port: int) -> None:
    """Give a port back before this process ends."""
    token = _held.pop(port, None)
    if token is not None:
        token.close()


def _require_unused(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
