"""Why an HTTP call got no answer, in few words and without secrets."""

from __future__ import annotations

import aiohttp

from app.runtime.http_connect import Hop

CONNECT_SECONDS = 10.0
"""Longest time for a connection, TLS included."""
NO_URL = "the URL is not valid; an http:// or https:// address with a host is needed"


class HttpSendError(Exception):
    """No answer came. `retryable` tells whether the same call may succeed later; the text holds no secrets.

    `in_doubt` tells that the request may have arrived all the same, `timed_out` that the call's own time was over.
    """

    def __init__(self, message: str, *, retryable: bool, in_doubt: bool = False, timed_out: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.in_doubt = in_doubt
        self.timed_out = timed_out


def unsent(message: str, *, retryable: bool, timed_out: bool = False) -> HttpSendError:
    """Return the error of a call of which certainly nothing was sent, which is worth knowing."""
    return HttpSendError(f"{message} (nothing was sent)", retryable=retryable, timed_out=timed_out)


def send_error(head: str, cause: BaseException, hop: Hop) -> HttpSendError:
    """Say in few words why no answer to `head` (method and origin) came."""
    if isinstance(cause, aiohttp.InvalidURL):
        return unsent(f"{head}: {NO_URL}", retryable=False)
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        retryable = cause.status in (408, 429) or cause.status >= 500
        return unsent(f"{head}: the proxy refused the connection with status {cause.status}", retryable=retryable)
    if hop.held_back:
        return unsent(f"{head}: held back, as this controller may not lead any more", retryable=True)
    if not hop.sent:
        return _unsent_error(head, cause)
    if hop.head.flooded:
        return HttpSendError(f"{head}: interim answers (1xx) and no final one", retryable=True, in_doubt=True)
    if hop.head.hopeless:
        return HttpSendError(f"{head}: the answer is no HTTP", retryable=True, in_doubt=True)
    if isinstance(cause, ValueError):
        text = "the request cannot be sent: a header or the URL has characters that HTTP forbids"
        return unsent(f"{head}: {text}", retryable=False)
    return HttpSendError(f"{head}: the connection broke before an answer came", retryable=True, in_doubt=True)


def _unsent_error(head: str, cause: BaseException) -> HttpSendError:
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        reason = getattr(cause.certificate_error, "verify_message", "") or "verification failed"
        return unsent(f"{head}: the server's certificate is not trusted: {reason}", retryable=False)
    if isinstance(cause, aiohttp.ClientSSLError):
        return unsent(f"{head}: the TLS handshake failed", retryable=True)
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return unsent(f"{head}: no connection within {CONNECT_SECONDS:g}s", retryable=True)
    if isinstance(cause, aiohttp.ClientConnectorError):
        what = (
            "cannot connect to the proxy" if isinstance(cause, aiohttp.ClientProxyConnectionError) else "cannot connect"
        )
        return unsent(f"{head}: {what}: {_os_reason(cause.os_error)}", retryable=True)
    if isinstance(cause, ValueError):
        text = "the request cannot be sent: a header or the URL has characters that HTTP forbids"
        return unsent(f"{head}: {text}", retryable=False)
    return unsent(f"{head}: the connection broke while it was made", retryable=True)


def _os_reason(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    return text.partition(" [")[0].lower() if "Connect call failed" not in text else "connection refused"
