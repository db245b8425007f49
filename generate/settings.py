"""``python -m generate.settings --write docs/configuration.md``: every setting as a page, or its check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic.fields import FieldInfo

from app.runtime.settings import ENV_PREFIX, CommonSettings, ControllerSettings, WebhookSettings
from generate.files import page_command

_INTRODUCTION: Final = f"""\
# Configuration

Generated from `app/runtime/settings.py` by `make docs`; do not edit.

These are the settings of the processes. With Helm, set the chart's values instead:
[charts/drplan/README.md](../charts/drplan/README.md). A flag of this page that has no value of its
own is given by `controller.extraArgs` or `webhook.extraArgs`, a variable by `env`.

Every setting is a flag and an environment variable `{ENV_PREFIX}...`; the flag wins, and an empty
variable counts as absent. Flags of type true or false are written `--flag`, `--flag=false` or
`--no-flag`. Settings are read once, at the start. A wrong value ends the process with status 2 and
one line that names flag or variable, value, and what is accepted. An unknown flag does, too; an
unknown variable is ignored.
"""

_ELSEWHERE: Final = """\
## Variables that are known from elsewhere

| Variable | Read by | Meaning |
| --- | --- | --- |
| `KUBECONFIG` | all commands that talk to a cluster | Kubeconfig file, where `--kubeconfig` gives none. |
| `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` | all commands that talk to a cluster | Proxy of HTTP actions, of traces, \
and of the API server where the kubeconfig names none. Read as kubectl and Go's net/http read them:
CIDRs, \\ `host:port`, `.suffix`, `*`; lower-case names count where the others are absent; loopback
is never called through a \\ proxy. The chart sets them from `proxy.*`. |
| `SSL_CERT_FILE` | controller | CA certificates that HTTP actions trust. The chart sets it from `trust.*`. |
| `OTEL_EXPORTER_OTLP_ENDPOINT` | controller | [Collector of traces](tracing.md), where `--otlp-endpoint` gives none. \
When it cannot be used: one warning in the log, and no traces. |
"""


CHART_VALUES: Final[Mapping[str, str]] = {
    "--log-level": "controller.logLevel",
    "--log-format": "controller.logFormat",
    "--health-port": "controller.healthProbeAddr",
    "--metrics-port": "controller.metricsAddr",
    "--webhook-port": "webhook.port",
    "--cert-dir": "webhook.certificate.mode",
    "--cert-secret": "webhook.certificate.secretName",
    "--cert-lifetime": "webhook.certificate.lifetimeSeconds",
    "--ca-lifetime": "webhook.certificate.caLifetimeSeconds",
    "--review-timeout": "webhook.reviewTimeout",
    "--check-references": "webhook.checkReferences",
    "--api-enabled": "api.enabled",
    "--api-port": "api.port",
    "--max-connections": "webhook.maxConnections",
    "--max-connections-per-peer": "webhook.maxConnectionsPerPeer",
    "--client-ca-file": "webhook.clientCertificate.configMap",
    "--client-names": "webhook.clientCertificate.names",
    "--controller-username": "serviceAccount.controllerName",
    "--drain-seconds": "webhook.drainSeconds",
    "--leader-elect": "controller.leaderElection",
    "--shutdown-grace": "controller.shutdownGrace",
    "--egress-allow": "egress.allow",
    "--egress-deny": "egress.deny",
    "--egress-loopback": "egress.loopback",
    "--otlp-endpoint": "tracing.otlpEndpoint",
}
"""From a flag to the value of the chart that sets it."""


def settings_page() -> str:
    """Return the text of docs/configuration.md."""
    common = CommonSettings.model_fields
    sections = {
        "Both processes": common,
        "drplan webhook": _own(WebhookSettings.model_fields, common),
        "drplan controller": _own(ControllerSettings.model_fields, common),
    }
    tables = [f"## {title}\n\n{_table(fields)}" for title, fields in sections.items()]
    return "\n".join([_INTRODUCTION, *tables, _ELSEWHERE])


def _own(fields: Mapping[str, FieldInfo], common: Mapping[str, FieldInfo]) -> dict[str, FieldInfo]:
    return {name: field for name, field in fields.items() if name not in common}


def _table(fields: Mapping[str, FieldInfo]) -> str:
    rows = [" | ".join(_cells(name, field)) for name, field in fields.items()]
    head = ["Flag | Variable | Value of the chart | Default | Accepted | Meaning", "--- | --- | --- | --- | --- | ---"]
    return "".join(f"| {row} |\n" for row in (*head, *rows))


def _cells(name: str, field: FieldInfo) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    yield f"`{flag}`"
    yield f"`{ENV_PREFIX}{name.upper()}`"
    yield f"`{CHART_VALUES[flag]}`" if flag in CHART_VALUES else ""
    yield _default(field)
    yield _accepted(name, field)
    text = (field.description or "").replace("|", "\\|")
    yield f"{text[:1].upper()}{text[1:]}."


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    default = field.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) and default < 1e6 else f"`{_whole(default)}`"


def _whole(value: Any) -> Any:  # noqa: ANN401  (any default)
    return int(value) if isinstance(value, float) else value


def _accepted(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    if field.annotation not in (int, float):
        return "text, not empty" if any(isinstance(item, MinLen) for item in field.metadata) else "text"
    return ", ".join(filter(None, (_unit(name, field), _bounds(field.metadata))))


def _unit(name: str, field: FieldInfo) -> str:
    if field.annotation is float:
        return "seconds"
    return "bytes" if name.endswith("_bytes") else "whole number"


def _bounds(metadata: Sequence[Any]) -> str:
    words = {Gt: "more than {0.gt:g}", Ge: "at least {0.ge:g}", Le: "at most {0.le:.0f}"}
    found = [text.format(item) for kind, text in words.items() for item in metadata if isinstance(item, kind)]
    return ", ".join(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the page is written or up to date, 1 when `--check` found it different."""
    return page_command("generate.settings", settings_page, arguments)


if __name__ == "__main__":
    sys.exit(main())
