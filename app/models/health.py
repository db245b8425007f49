"""Health checks of plans and stages: what has to answer well before a run is called done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.models.actions import HeaderFromSecret, HttpAction
from app.models.base import LONG_TEXT, MANY, ApiModel, Duration, Int32, Name, most
from app.models.common import SecretReference

MOST_CHECKS = 16
"""Checks of a plan, and of each stage."""
MOST_RESOURCES = 50
"""Objects that one check looks at."""


class HttpCheck(ApiModel):
    """One request whose answer tells whether something is healthy. It may be sent any number of times."""

    url: str
    """Target; templated with the parameters of the plan and of the execution."""
    method: Literal["GET", "HEAD", "POST", "OPTIONS"] | None = None
    """Method; GET when absent. Whatever it is, the request must change nothing."""
    headers: Annotated[dict[str, str], most("maxProperties", MANY)] = Field(default_factory=dict)
    """Headers; values are templated, names are not."""
    body: str = ""
    """Body; templated."""
    success_codes: Annotated[tuple[int, ...], most("maxItems", MANY)] = ()
    """Status codes that count as healthy; empty means 200 to 299."""
    healthy_when: Annotated[str, most("maxLength", LONG_TEXT)] = ""
    """A CEL expression over `status` (a number), `headers` (texts by name in lower case), `body` (the JSON of the
    answer, null when it has none) and `text` (the body as it came) that must be true as well."""
    insecure_skip_verify: bool = False
    """True: the server's certificate is not checked."""
    ca_bundle: str = ""
    """PEM certificates that the server's certificate is checked against, instead of the system's."""
    client_certificate_secret_ref: SecretReference | None = None
    """A `kubernetes.io/tls` Secret (`tls.crt`, `tls.key`) in the plan's namespace, shown to the server."""
    headers_from: Annotated[tuple[HeaderFromSecret, ...], most("maxItems", MANY)] = ()
    """Headers whose values are read from Secrets of the plan's namespace at every attempt."""
    follow_redirects: bool | None = None
    """False: a 3xx is the answer. When absent, at most ten redirects are followed."""

    def request(self) -> HttpAction:
        """Return what is sent, as an HTTP action says it."""
        shared = {name: getattr(self, name) for name in HttpCheck.model_fields if name != "healthy_when"}
        return HttpAction(**shared)


class ResourceCheck(ApiModel):
    """One object that must be there and ready."""

    api_version: Name
    """apiVersion of the object."""
    kind: Name
    """Kind of the object."""
    namespace: Annotated[str, most("maxLength", LONG_TEXT)] = ""
    """Namespace of the object; the plan's when absent. Kinds without namespace ignore it."""
    name: Name
    """Name of the object."""
    ready_when: Annotated[str, most("maxLength", LONG_TEXT)] = ""
    """When it counts as ready, instead of the rule of its kind: the name of a condition that is True, or a CEL
    expression over `object` that gives a bool."""


class HealthCheck(ApiModel):
    """One check. It has `http` or `resources`."""

    name: Name
    """Name, unique among the checks beside it."""
    http: HttpCheck | None = None
    """A request that must be answered well."""
    resources: Annotated[tuple[ResourceCheck, ...], most("maxItems", MOST_RESOURCES)] = ()
    """Objects that must all be ready."""
    attempts: Annotated[Int32 | None, Field(ge=1, le=100)] = None
    """How many attempts may fail, the last of which fails the check; 5 when absent."""
    interval: Duration | None = None
    """From the end of one attempt to the next, as a Go duration; 3s when absent."""
    timeout: Duration | None = None
    """Longest time of one attempt, as a Go duration; 10s when absent."""


class HealthChecks(ApiModel):
    """Checks that must all be healthy before a stage counts as done."""

    checks: Annotated[tuple[HealthCheck, ...], Field(min_length=1), most("maxItems", MOST_CHECKS)]
    """The checks; all are made at the same time."""
    sustained_for: Duration | None = None
    """How long all must stay healthy without a break, as a Go duration; when absent, each once is enough."""


class PlanHealthChecks(HealthChecks):
    """Checks that must all be healthy before a run of the plan counts as done."""

    on_execute: bool = False
    """True: they end an Execute as well. They always end a Revert."""
