"""Errors of the API: one exception, one JSON shape, and what errors of the API server become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from app.kube.errors import ApiError, ApiUnavailable, Forbidden, Gone, IllegalName, KubeError, NotFound, TooManyRequests
from app.kube.tables import MissingColumnsError
from app.service.api.models import Cause, Details, ErrorStatus

CHALLENGE = 'Bearer realm="drplan"'
"""Value of `WWW-Authenticate` where no token was given."""

_REASONS = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowed",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.MISDIRECTED_REQUEST: "MisdirectedRequest",
    HTTPStatus.UNPROCESSABLE_ENTITY: "TooLarge",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequests",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
    HTTPStatus.GATEWAY_TIMEOUT: "Timeout",
}


class ProblemError(Exception):
    """A request that is answered with an error. `causes` are single parameters with what is wrong."""

    def __init__(
        self,
        code: HTTPStatus,
        message: str,
        *,
        causes: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.causes = dict(causes or {})
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def status(self) -> ErrorStatus:
        """The error as it is answered."""
        causes = tuple(Cause(field=field, message=text) for field, text in self.causes.items())
        details = Details(causes=causes, retry_after_seconds=self.retry_after) if causes or self.retry_after else None
        reason = _REASONS.get(self.code, "InternalError")
        return ErrorStatus(code=self.code, reason=reason, message=self.message, details=details)


def bad_parameters(causes: Mapping[str, str]) -> ProblemError:
    """The error of parameters that cannot be used."""
    text = "; ".join(f"{field}: {message}" for field, message in causes.items())
    return ProblemError(HTTPStatus.BAD_REQUEST, text, causes=causes)


def unavailable(message: str) -> ProblemError:
    """The error while the API server, which knows everything, does not answer."""
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after=5)


@contextmanager
def as_problem(what: str, missing: str = "") -> Iterator[None]:
    """Turn errors of the API server into ProblemError; `what` was tried, `missing` is the text of a 404."""
    try:
        yield
    except (NotFound, IllegalName) as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, missing or f"{what}: {error}") from error
    except Gone as error:
        text = "the token in `continue` has expired; ask again without it, from the first page on"
        raise ProblemError(HTTPStatus.GONE, text) from error
    except TooManyRequests as error:
        raise unavailable(f"{what}: the API server sheds load: {error}") from error
    except Forbidden as error:
        text = f"{what}: the service's own account lacks a right, check its RBAC: {error}"
        raise ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, text) from error
    except ApiError as error:
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, f"{what}: {error}") from error
        raise unavailable(f"{what}: the API server failed: {error}") from error
    except ApiUnavailable as error:
        raise unavailable(f"{what}: {error}") from error
    except (KubeError, MissingColumnsError) as error:
        raise ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, f"{what}: {error}") from error
