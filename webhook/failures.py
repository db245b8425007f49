"""Look-ups that fail: what was looked for, and the API server's own code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from app.kube.errors import ApiError, ApiUnavailable, KubeError

READ_SECONDS = 5.0
"""How long one read may take; the deadline of the whole review is the service's."""


class LookupFailedError(Exception):
    """The cluster could not be asked. The text begins with what was looked for; `code` and `reason` are the error's."""

    def __init__(self, message: str, *, code: int, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason

    def __reduce__(self) -> tuple[Callable[..., LookupFailedError], tuple[str]]:
        """Travel between processes."""
        return partial(LookupFailedError, code=self.code, reason=self.reason), (str(self),)


@asynccontextmanager
async def as_lookup_failure(what: str) -> AsyncIterator[None]:
    """Turn errors of the API server into LookupFailedError, with `what` in front and the error's own code."""
    try:
        yield
    except ApiError as error:
        raise LookupFailedError(f"{what}: {error}", code=error.status, reason=error.reason) from error
    except (ApiUnavailable, TimeoutError) as error:
        code = HTTPStatus.SERVICE_UNAVAILABLE
        raise LookupFailedError(
            f"{what}: {str(error) or 'timed out'}", code=code, reason="ServiceUnavailable"
        ) from error
    except (KubeError, ValueError) as error:
        code = HTTPStatus.INTERNAL_SERVER_ERROR
        raise LookupFailedError(f"{what}: {error}", code=code, reason="InternalError") from error
