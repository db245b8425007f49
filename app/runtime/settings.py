"""Settings of the processes: every one is a flag and an environment variable, checked once at the start.

A setting `health_port` is the flag `--health-port` and the variable `DRPLAN_HEALTH_PORT`; the flag wins. A wrong
value ends the process with one line that names the flag or variable, the value and what is accepted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.engine.egress import Egress, parse_rules
from app.runtime.collector import SHARED_VARIABLE, collector_problem
from app.runtime.metrics import Component

ENV_PREFIX = "DRPLAN_"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Lifetime = Annotated[float, Field(ge=10, le=100 * 365 * 86400)]
"""Seconds a certificate holds."""

S = TypeVar("S", bound=BaseSettings)


class CommonSettings(BaseSettings):
    """What both processes share."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)
    component: ClassVar[Component | None] = None
    """Whose settings these are."""

    kubeconfig: str | None = Field(
        None, description="kubeconfig file; without it KUBECONFIG, the pod's service account, ~/.kube/config"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level logged")
    log_format: Literal["json", "console"] = Field("json", description="json lines, or console for people")
    bind_address: str = Field("0.0.0.0", description="address that all ports listen on")  # noqa: S104  # nosec
    health_port: Port = Field(8081, description="port of /healthz and /readyz; 0 takes a free one")
    metrics_port: Port = Field(8080, description="port of /metrics; 0 turns it off")


class WebhookSettings(CommonSettings):
    """Settings of the admission service."""

    component = Component.WEBHOOK

    webhook_port: Port = Field(9443, description="port of the HTTPS admission paths; 0 takes a free one")
    cert_dir: str | None = Field(
        None,
        description="folder with tls.crt, tls.key (and ca.crt), reloaded when they change, made there when both are "
        "missing",
    )
    cert_secret: str | None = Field(
        None,
        description="Secret in the namespace in which the service keeps the certificate that it makes and renews; it "
        "must exist, and may be empty. Used without cert_dir. Without both, a self-signed certificate lives in the "
        "process",
    )
    cert_ca_secret: str | None = Field(
        None,
        description="Secret in the namespace with the authority of cert_secret and its key; it must exist, and may be "
        "empty. Default: the name of cert_secret and `-ca`",
    )
    mutating_webhook: str = Field(
        "drplan-mutating-webhook-configuration",
        description="MutatingWebhookConfiguration whose caBundle is kept with cert_secret; an empty flag: none",
    )
    validating_webhook: str = Field(
        "drplan-validating-webhook-configuration",
        description="ValidatingWebhookConfiguration whose caBundle is kept with cert_secret; an empty flag: none",
    )
    cert_lifetime: Lifetime = Field(
        90 * 86400.0, description="seconds a serving certificate of cert_secret holds; renewed after two thirds"
    )
    ca_lifetime: Lifetime = Field(
        365 * 86400.0,
        description="seconds an authority of cert_secret holds, at least three times cert_lifetime; renewed after two "
        "thirds",
    )
    service_name: str = Field("drplan-webhook", min_length=1, description="Service that the API server calls")
    namespace: str = Field("drplan-system", min_length=1, description="namespace of that Service")
    max_request_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="largest admission review that is read, in bytes"
    )
    review_timeout: Seconds = Field(
        8.0,
        description="seconds from the head of a review in which its body arrives (else 408) and it is judged (else it "
        "is refused); less where the API server says that it waits less, at least 0.5",
    )
    max_concurrent_reviews: int = Field(
        64, ge=1, description="reviews answered at once; beyond that the answer is 429 with Retry-After"
    )
    check_references: bool = Field(
        True,
        description="refuse references to workflows that the user may not use, and to objects that they may not read "
        "(SubjectAccessReview)",
    )
    max_connections: int = Field(
        256, ge=8, description="connections that the admission port holds; beyond that the one of least use ends"
    )
    max_connections_per_peer: int = Field(
        192,
        ge=4,
        description="of these, connections of one peer, which is an IPv4 address or a /64 of IPv6; at least what the "
        "API servers need that come from one address",
    )
    client_ca_file: str | None = Field(
        None,
        description="PEM file of the authority whose client certificates the admission port demands; an API server "
        "has one to show only if its AdmissionConfiguration gives it. Without it every caller is heard",
    )
    client_names: str = Field(
        "",
        description="names, with commas between them, of which such a certificate must have one (common name, DNS "
        "name or URI); empty: any certificate of that authority",
    )
    api_enabled: bool = Field(True, description="serve the read-only API under /api/v1")
    api_port: Port = Field(
        9444,
        description="port of the HTTPS read-only API; 0 takes a free one. That of webhook_port: both on one port, as "
        "it was before",
    )
    api_auth: Literal["unless-loopback", "always"] = Field(
        "unless-loopback",
        description="who needs a bearer token of the cluster for that API: everybody, or nobody while bind_address is "
        "a loopback address",
    )
    max_concurrent_api_requests: int = Field(
        16, ge=1, description="requests to that API answered at once; beyond that the answer is 429 with Retry-After"
    )
    controller_username: str = Field(
        "system:serviceaccount:drplan-system:drplan-controller",
        description="user name of the controller, whose own metadata writes are not reviewed",
    )
    drain_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        5.0, description="seconds that reviews are still answered after SIGTERM"
    )

    @property
    def accepted_callers(self) -> frozenset[str]:
        """The names of `client_names`."""
        return frozenset(filter(None, (name.strip() for name in self.client_names.split(","))))

    @model_validator(mode="after")
    def _callers_fit(self) -> Self:
        if self.accepted_callers and not self.client_ca_file:
            raise ValueError("client_names needs client_ca_file, the authority that signed their certificates")
        if self.client_ca_file and self.api_enabled and self.api_port == self.webhook_port != 0:
            raise ValueError(
                "client_ca_file closes the admission port to users of the API: give the API another port (api_port)"
            )
        if self.max_connections_per_peer > self.max_connections:
            raise ValueError(
                f"max_connections_per_peer ({self.max_connections_per_peer}) must be at most max_connections "
                f"({self.max_connections})"
            )
        return self

    @model_validator(mode="after")
    def _authority_outlives_certificates(self) -> Self:
        """Check that an authority that is about to be replaced still covers a whole certificate."""
        if self.ca_lifetime < 3 * self.cert_lifetime:
            raise ValueError(
                f"ca_lifetime ({self.ca_lifetime:.0f} s) must be at least three times cert_lifetime "
                f"({self.cert_lifetime:.0f} s)"
            )
        return self


class ControllerSettings(CommonSettings):
    """Settings of the controller."""

    component = Component.CONTROLLER

    namespace: str = Field(
        "drplan-system", min_length=1, description="namespace of the lease, the journal and the snapshots"
    )
    leader_elect: bool = Field(True, description="take the leader lease before working; needed with replicas")
    lease_name: str = Field(
        "65498215.bkbcs.tencent.com", min_length=1, description="name of the leader lease (the Go operator's)"
    )
    identity: str | None = Field(
        None,
        min_length=1,
        description="name of this process in the lease, unique among all that run; without it host name, pod uid and a "
        "random part",
    )
    pod_uid: str = Field(
        "",
        description="uid of the pod that this process runs in: a restarted container takes the lease of its own pod "
        "without waiting until it expires; not used with identity",
    )
    lease_duration: Seconds = Field(15.0, description="seconds a lease holds without renewal")
    renew_deadline: Seconds = Field(10.0, description="seconds without renewal after which the leader gives up")
    retry_period: Seconds = Field(2.0, description="seconds between attempts to take or renew the lease")
    write_timeout: Seconds = Field(
        10.0,
        description="seconds that the answer to a write of an action may take; no write is sent when the lease has "
        "less left, so lease_duration must be at least this and retry_period",
    )
    status_interval: Seconds = Field(
        0.5, description="seconds between two status writes of one run; more with many runs at once"
    )
    max_effects: int = Field(
        500,
        ge=10,
        le=100_000,
        description="attempts of actions under way at once, over all runs; actions beyond it wait and are not begun, "
        "and one run never takes all of them. Fewer where the process may open fewer descriptors",
    )
    shutdown_grace: Annotated[float, Field(ge=0, le=60)] = Field(
        7.0, description="seconds that running actions get after SIGTERM"
    )
    unknown_after: Seconds = Field(
        120.0, description="seconds a write may be in doubt before its run is shown as Unknown"
    )
    resume_within: Annotated[float, Field(gt=0, le=365 * 86400)] = Field(
        1800.0,
        description="seconds without a living controller within which the next one lets interrupted runs go on by "
        "themselves; after that they are shown as Unknown and ask",
    )
    last_work_file: str = Field(
        "",
        description="file that names the object which is worked on, where a restarted container finds it again: an "
        "object at which the process ended is set aside. Empty: none",
    )
    egress_allow: str = Field(
        "",
        description="where HTTP actions may connect to: addresses, CIDRs, hosts (example.com with all below it, "
        ".example.com only what is below it) or *, each with :PORT or :FIRST-LAST if need be, separated by commas. "
        "Empty: everywhere but what egress_deny and docs/security.md say",
    )
    egress_deny: str = Field("", description="where they may not, in the same form; wins over egress_allow")
    egress_loopback: bool = Field(
        False, description="let HTTP actions connect to addresses of the controller's own host (127.0.0.1, localhost)"
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector that gets the traces of runs (OTLP by HTTP, at /v1/traces below it), such "
        f"as http://collector.monitoring.svc:4318; without one {SHARED_VARIABLE} counts. An empty flag: no traces",
    )

    @field_validator("egress_allow", "egress_deny")
    @classmethod
    def _has_rules(cls, rules: str) -> str:
        parse_rules(rules)
        return rules

    @property
    def egress(self) -> Egress:
        """The policy of the three egress settings."""
        return Egress.parse(self.egress_allow, self.egress_deny, loopback=self.egress_loopback)

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_a_collector(cls, endpoint: str | None) -> str | None:
        if endpoint and (problem := collector_problem(endpoint)):
            raise ValueError(problem)
        return endpoint

    @model_validator(mode="after")
    def _lease_times_fit(self) -> Self:
        """Hold to the rule of client-go: duration > renew deadline > retry period with jitter; and room for a write."""
        if not self.lease_duration > self.renew_deadline:
            raise ValueError(
                f"lease_duration ({self.lease_duration:g} s) must be greater than renew_deadline "
                f"({self.renew_deadline:g} s)"
            )
        if not self.renew_deadline > 1.2 * self.retry_period:
            raise ValueError(
                f"renew_deadline ({self.renew_deadline:g} s) must be greater than 1.2 times retry_period "
                f"({self.retry_period:g} s)"
            )
        if self.lease_duration < self.write_timeout + self.retry_period:
            raise ValueError(
                f"lease_duration ({self.lease_duration:g} s) must be at least write_timeout ({self.write_timeout:g} s) "
                f"and retry_period ({self.retry_period:g} s) together: a write must be answered within the lease; "
                "take a longer lease or a shorter write_timeout"
            )
        return self


def parse_settings(cls: type[S], argv: Sequence[str], *, prog: str | None = None) -> S:
    """Return the settings by flags and environment; wrong ones end the process with one line and status 2."""
    parser = settings_parser(cls, prog=prog)
    return settings_from(cls, parser.parse_args(argv), parser)


def settings_parser(cls: type[BaseSettings], *, prog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser with one flag for every field of `cls`."""
    parser = _OneLineParser(prog=prog, description=_first_line(cls), allow_abbrev=False)
    add_settings_flags(parser, cls)
    return parser


def add_settings_flags(parser: argparse.ArgumentParser, cls: type[BaseSettings]) -> None:
    """Add one flag for every field of `cls` to a parser, a subcommand's for instance.

    Booleans are `--flag`, `--flag=false` and `--no-flag`.
    """
    for name, field in cls.model_fields.items():
        help_text = f"{field.description} (env {ENV_PREFIX}{name.upper()}{_default_text(field)})".replace("%", "%%")
        if field.annotation is bool:
            parser.add_argument(
                _flag(name),
                dest=name,
                nargs="?",
                const="true",
                default=argparse.SUPPRESS,
                metavar="true|false",
                help=help_text,
            )
            parser.add_argument(
                f"--no-{_kebab(name)}",
                dest=name,
                action="store_const",
                const="false",
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )
        else:
            parser.add_argument(
                _flag(name), dest=name, default=argparse.SUPPRESS, metavar=_metavar(field), help=help_text
            )


def settings_from(cls: type[S], namespace: argparse.Namespace, parser: argparse.ArgumentParser) -> S:
    """Build the settings from parsed flags (other attributes are ignored); a wrong value is a parser error."""
    flags = {name: value for name, value in vars(namespace).items() if name in cls.model_fields}
    try:
        return cls(**flags)
    except ValidationError as e:
        parser.exit(2, f"{parser.prog}: {'; '.join(_problem(error, flags) for error in e.errors())}\n")


class _OneLineParser(argparse.ArgumentParser):
    """argparse without the usage text in front of an error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            sys.stderr.write(message)
        sys.exit(status)


def _problem(error: Any, flags: dict[str, str]) -> str:  # noqa: ANN401  (pydantic's ErrorDetails)
    text = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return text
    name = str(error["loc"][0])
    variable = f"{ENV_PREFIX}{name.upper()}"
    source = _flag(name) if name in flags else variable
    given = flags.get(name, os.environ.get(variable, error["input"]))
    return f"{source}: found {given!r}: {text[:1].lower()}{text[1:]}"


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _flag(name: str) -> str:
    return f"--{_kebab(name)}"


def _default_text(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    return f", default {str(field.default).lower() if isinstance(field.default, bool) else field.default}"


def _metavar(field: FieldInfo) -> str:
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return "|".join(choices)
    if field.annotation is int:
        return "N"
    return "SECONDS" if field.annotation is float else "TEXT"


def _first_line(cls: type[BaseSettings]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]
