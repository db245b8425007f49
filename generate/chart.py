"""Writes the chart's README and values.schema.json from values.yaml: its comments, its defaults and the limits here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

_MARK: Final = "# -- "
"""What begins a description, as in helm-docs; it is about the key below it, and goes on in `# ` lines."""
_KEY: Final = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z0-9_]+):")
_INTRODUCTION: Final = """\
<!-- Generated from values.yaml by `make crds`; do not edit. -->
# Helm chart: values

[docs/install.md](../../docs/install.md) says how to install it. A value that is not in this table
is refused.

| Value | Default | Meaning |
| --- | --- | --- |
"""

Schema = dict[str, Any]
_LEVELS: Final = ["debug", "info", "warning", "error"]
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_COUNT_OR_UNSET: Final[Schema] = {"type": ["integer", "null"], "minimum": 0}
_LIFETIME: Final[Schema] = {"type": ["integer", "null"], "minimum": 10}
_PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_ADDRESS: Final[Schema] = {"type": ["string", "integer"], "pattern": "^(.*:)?[0-9]+$"}
_SERVICE: Final[Schema] = {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}
_AT_ONCE: Final[Schema] = {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+%$"}
_GRACE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 60}
_DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"}
_PROXY: Final[Schema] = {"type": "string", "pattern": "^(https?://.+)?$"}
_STRINGS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_RULES: Final[Schema] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["verbs"],
        "additionalProperties": False,
        "properties": dict.fromkeys(("apiGroups", "resources", "resourceNames", "verbs", "nonResourceURLs"), _STRINGS),
    },
}
_EGRESS: Final[Schema] = {"type": "array", "items": {"type": "string", "pattern": "^[^, ]+$"}}
LIMITS: Final[dict[str, Schema]] = {
    "replicaCount": _COUNT,
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "controller.replicas": _COUNT_OR_UNSET,
    "controller.logLevel": {"anyOf": [{"enum": _LEVELS}, _COUNT, {"type": "string", "pattern": "^[0-9]+$"}]},
    "controller.logFormat": {"enum": ["json", "console"]},
    "controller.metricsAddr": _ADDRESS,
    "controller.healthProbeAddr": _ADDRESS,
    "controller.shutdownGrace": _GRACE,
    "controller.terminationGracePeriodSeconds": _COUNT_OR_UNSET,
    "controller.extraArgs": _STRINGS,
    "controller.podDisruptionBudget.maxUnavailable": _AT_ONCE,
    "webhook.replicas": _COUNT_OR_UNSET,
    "webhook.logLevel": {"anyOf": [{"enum": ["", *_LEVELS]}, _COUNT, {"type": "string", "pattern": "^[0-9]+$"}]},
    "webhook.port": _PORT,
    "webhook.service.type": _SERVICE,
    "webhook.service.port": _PORT,
    "webhook.maxConnections": {"type": "integer", "minimum": 8},
    "webhook.maxConnectionsPerPeer": {"type": "integer", "minimum": 4},
    "webhook.clientCertificate.names": _STRINGS,
    "webhook.failurePolicy": {"enum": ["Fail", "Ignore"]},
    "webhook.timeoutSeconds": {"type": "integer", "minimum": 1, "maximum": 30},
    "webhook.reviewTimeout": {"type": "number", "exclusiveMinimum": 0},
    "webhook.drainSeconds": _GRACE,
    "webhook.terminationGracePeriodSeconds": _COUNT_OR_UNSET,
    "webhook.certificate.mode": {"enum": ["self-managed", "cert-manager", "secret"]},
    "webhook.certificate.autoGenerate": {"type": ["boolean", "null"]},
    "webhook.certificate.lifetimeSeconds": _LIFETIME,
    "webhook.certificate.caLifetimeSeconds": _LIFETIME,
    "webhook.certificate.certManager.duration": _DURATION,
    "webhook.certificate.certManager.renewBefore": _DURATION,
    "webhook.autoscaling.minReplicas": {"type": "integer", "minimum": 1},
    "webhook.autoscaling.maxReplicas": {"type": "integer", "minimum": 1},
    "webhook.autoscaling.targetCPUUtilizationPercentage": {"type": "integer", "minimum": 1},
    "webhook.extraArgs": _STRINGS,
    "webhook.podDisruptionBudget.maxUnavailable": _AT_ONCE,
    "api.port": _PORT,
    "rbac.readReferencesIn": _STRINGS,
    "rbac.extraRules": _RULES,
    "rbac.additionalRules": _RULES,
    "egress.allow": _EGRESS,
    "egress.deny": _EGRESS,
    "proxy.httpProxy": _PROXY,
    "proxy.httpsProxy": _PROXY,
    "metrics.type": _SERVICE,
    "metrics.port": _PORT,
    "tracing.otlpEndpoint": {"type": "string", "pattern": "^(https?://[^/ ]+(/.*)?)?$"},
    "metrics.serviceMonitor.interval": _DURATION,
    "metrics.serviceMonitor.scrapeTimeout": _DURATION,
}
"""What a value must be, where its default does not say it all."""

HINTED: Final = ("crds.install", "serviceAccount.name", "controller.reconcileFrequency", "controller.enableHTTP2")
"""Values of the Go operator's chart that the templates refuse with a hint, which the schema must not forestall."""


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value."""

    path: str
    """Dotted, e.g. `webhook.service.port`."""
    default: Any
    meaning: str


def documented(values: str) -> Iterator[Value]:
    """Every value of a values.yaml that a `# --` comment describes, in its order."""
    defaults = yaml.safe_load(values)
    parents: list[tuple[int, str]] = []
    meaning = ""
    for line in values.splitlines():
        if line.strip().startswith(_MARK):
            meaning = line.strip().removeprefix(_MARK)
        elif meaning and line.strip().startswith("# "):
            meaning += line.strip().removeprefix("#")
        elif match := _KEY.match(line):
            indent = len(match["indent"])
            parents = [(depth, name) for depth, name in parents if depth < indent] + [(indent, match["name"])]
            if meaning:
                yield Value(".".join(name for _, name in parents), _at(defaults, parents), meaning)
            meaning = ""


def chart_readme(values: str) -> str:
    """Return the README of a chart, given the text of its values.yaml."""
    return _INTRODUCTION + "".join(
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.meaning} |\n" for value in documented(values)
    )


def chart_schema(values: str) -> str:
    """Return the values.schema.json of a chart: unknown values are refused at every level that is documented."""
    root = _level()
    root["properties"]["global"] = {"type": "object"}
    for value in documented(values):
        limits = LIMITS.get(value.path) or _by_default(value)
        _put(root, value.path, {"description": value.meaning, **limits})
    for path in HINTED:
        _put(root, path, {"description": "Of the Go operator's chart: refused with a hint."})
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **root}, indent=2) + "\n"


def _level() -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _put(root: Schema, path: str, schema: Schema) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        root = root["properties"].setdefault(parent, _level())
    root["properties"][name] = schema


def _by_default(value: Value) -> Schema:
    """Return the schema of a value that may be anything of its default's type; lists are of objects."""
    match value.default:
        case bool():
            return {"type": "boolean"}
        case str():
            return {"type": "string"}
        case dict():
            return {"type": "object"}
        case list():
            return {"type": "array", "items": {"type": "object"}}
    raise ValueError(f"values.yaml: {value.path} is {value.default!r}: say in generate/chart.py what it may be")


def _at(values: Any, parents: list[tuple[int, str]]) -> Any:  # noqa: ANN401  (any YAML value)
    for _, name in parents:
        values = values[name]
    return values
