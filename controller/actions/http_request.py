"""What an HTTP action sends: rendered texts, secrets read when they are needed, the idempotency key, its trace."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from app.engine.http_headers import belongs_to_connection, is_header_name
from app.engine.templates import RenderBudget, RenderedTooLargeError, UnresolvedPlaceholdersError, render, secret_values
from app.engine.text import short
from app.kube.errors import ApiError, KubeError, NotFound, is_transient
from app.kube.resources import SECRETS
from app.models.actions import HttpAction
from app.runtime.tracing import TRACEPARENT
from controller.actions.base import ActionContext
from controller.reading import read_error_text

IDEMPOTENCY_HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """Everything a request needs. `secrets` are the values that must not be shown."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    client_cert: tuple[str, str] | None = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    secret_headers: frozenset[str] = frozenset()
    """Names, in lower case, of the headers that hold one of them."""


class CannotPrepareError(Exception):
    """The request cannot be made up; nothing was sent. The text has all problems and no secrets."""

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


async def prepare(block: HttpAction, context: ActionContext, *, keyed: bool = True) -> PreparedRequest:
    """Render the texts of `block` and read its Secrets. Raises CannotPrepareError.

    `keyed`: the request has an idempotency key, because it may be sent again and must have its effect once.
    """
    _demand_own_headers(block)
    url, body, headers = _rendered(block, context)
    secrets = _SecretReader(context)
    hidden: set[str] = set()
    for source in block.headers_from:
        key = source.secret_key_ref
        value = (await secrets.text(key.name, key.key, f'header "{source.name}"')).strip()
        hidden |= {value, source.prefix + value}
        _set(headers, source.name, source.prefix + value)
    client_cert = None
    if block.client_certificate_secret_ref is not None:
        name = block.client_certificate_secret_ref.name
        certificate = await secrets.text(name, "tls.crt", "the client certificate")
        client_cert = (certificate, await secrets.text(name, "tls.key", "the client certificate's key"))
    given = {name.lower() for name in headers}
    if keyed and IDEMPOTENCY_HEADER.lower() not in given:
        headers[IDEMPOTENCY_HEADER] = context.identity
    if TRACEPARENT not in given and (parent := context.traces.traceparent(context.identity)):
        headers[TRACEPARENT] = parent
    return PreparedRequest(
        method=block.method or "GET",
        url=url,
        headers=headers,
        body=body.encode("utf-8", "replace") if body else None,
        client_cert=client_cert,
        secrets=frozenset(hidden - {""}),
        secret_headers=_secret_headers(block, headers, secret_values(context.scope)),
    )


def _demand_own_headers(block: HttpAction) -> None:
    """Refuse headers of the connection, which admission refuses too: the workflow may be older than that rule."""
    names = [*block.headers, *(source.name for source in block.headers_from)]
    if refused := [name for name in names if belongs_to_connection(name)]:
        raise CannotPrepareError(
            f"the header {', '.join(map(short, refused))} belongs to the connection, which the controller makes: "
            "leave it out"
        )
    if refused := [name for name in names if not is_header_name(name)]:
        raise CannotPrepareError(
            f"{', '.join(map(short, refused))} is no name of a header: letters, digits and - are accepted"
        )


def _secret_headers(block: HttpAction, headers: dict[str, str], values: frozenset[str]) -> frozenset[str]:
    held = {name.lower() for name, value in headers.items() if any(secret in value for secret in values if secret)}
    return frozenset(held | {source.name.lower() for source in block.headers_from})


def _rendered(block: HttpAction, context: ActionContext) -> tuple[str, str, dict[str, str]]:
    problems: list[str] = []
    budget = RenderBudget()

    def rendered(what: str, text: str) -> str:
        try:
            return render(text, context.scope, budget)
        except RenderedTooLargeError as error:
            raise CannotPrepareError(f"failed to render the request: {error}") from error
        except UnresolvedPlaceholdersError as error:
            problems.append(f"failed to render {what}: {error}")
            return ""

    url = rendered("URL", block.url)
    body = rendered("body", block.body)
    last = {name.lower(): name for name in block.headers}
    headers = {name: rendered(f'header "{name}"', block.headers[name]) for name in last.values()}
    if problems:
        raise CannotPrepareError("; ".join(problems))
    return url, body, headers


def _set(headers: dict[str, str], name: str, value: str) -> None:
    """Set a header in place of any of the same name in other letter case."""
    for present in [other for other in headers if other.lower() == name.lower()]:
        del headers[present]
    headers[name] = value


class _SecretReader:
    """Reads each Secret of the workflow's namespace once an attempt."""

    def __init__(self, context: ActionContext) -> None:
        self._kube = context.kube
        self._namespace = context.workflow_namespace
        self._data: dict[str, dict[str, str]] = {}

    async def text(self, name: str, key: str, what: str) -> str:
        where = f"Secret {self._namespace}/{name}"
        data = self._data.get(name)
        if data is None:
            data = self._data[name] = await self._read(name, f"failed to read {what} from {where}")
        if key not in data:
            present = ", ".join(sorted(data)) or "nothing"
            raise CannotPrepareError(f'failed to read {what} from {where}: it has no key "{key}", only {present}')
        try:
            return base64.b64decode(data[key]).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise CannotPrepareError(f'failed to read {what} from {where}: key "{key}" is no UTF-8 text') from error

    async def _read(self, name: str, failure: str) -> dict[str, str]:
        try:
            secret = await self._kube.get(SECRETS, name, namespace=self._namespace)
        except NotFound as error:
            raise CannotPrepareError(f"{failure}: {error}; create it in the workflow's namespace") from error
        except KubeError as error:
            after = error.retry_after if isinstance(error, ApiError) else None
            text = f"{failure}: {read_error_text(error)}"
            raise CannotPrepareError(text, retryable=is_transient(error), retry_after=after) from error
        return dict(secret.get("data") or {})
