"""Headers of HTTP requests that belong to the connection and not to the author of an action."""

from __future__ import annotations

import re

_OF_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_PREFIX = "proxy-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def belongs_to_connection(name: str) -> bool:
    """Whether a header decides where a request ends, who gets it or how the connection goes on.

    Authors must not choose their values. Else two servers on the way might disagree where a request ends, and take a
    part of its body for another request. Or it would reach a host that no policy has seen. These are the headers of RFC
    9110, 7.6.1, and `Host`, `Content-Length`, `Expect` and everything that begins with `Proxy-`. Servers behind CGI and
    WSGI take `_` for `-`, so it counts as one.
    """
    lower = name.strip().lower().replace("_", "-")
    return lower in _OF_CONNECTION or lower.startswith(_PREFIX)


def is_header_name(name: str) -> bool:
    """Whether a header can be called so (RFC 9110, 5.6.2); anything else might be another header to some server."""
    return _TOKEN.fullmatch(name) is not None
