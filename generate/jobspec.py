r"""Extracts the schema of batch/v1 JobSpec from Kubernetes' own OpenAPI document into ``jobspec.json``.

Run it again for a newer Kubernetes:

    go mod download k8s.io/kubernetes@v1.36.3
    python -m generate.jobspec \
        "$(go env GOMODCACHE)/k8s.io/kubernetes@v1.36.3/api/openapi-spec/swagger.json" v1.36.3
    make crds

The document is part of Kubernetes (Copyright The Kubernetes Authors, Apache License 2.0). Descriptions are left out,
as are the keywords that only kubectl reads (patch strategies) and the parts of metadata that only the API server
writes. Three things are said differently, since a CRD needs it so: quantities and int-or-strings take an
integer or a text, and a key of a keyed list that is not required has a default.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = "io.k8s.api.batch.v1.JobSpec"
OUTPUT: Final = Path(__file__).parents[1] / "app" / "schema" / "jobspec.json"

QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""How a quantity is written, as in every CRD that embeds one (apimachinery, `resource.Quantity`)."""

INT_OR_STRING: Final[dict[str, Any]] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}

EMBEDDED_METADATA: Final = ("annotations", "finalizers", "labels", "name", "namespace")
"""What a user may write in the metadata of a template; the rest is the API server's."""

KEPT: Final = frozenset(
    {"type", "format", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"}
)
"""Keywords that are copied as they are."""

LIST_KEY_DEFAULTS: Final = {("ports", "protocol"): "TCP", ("imagePullSecrets", "name"): ""}
"""Defaults of list keys, by list and key: those that core/v1 has (`+default` markers of its Go types)."""

Definitions = Mapping[str, Mapping[str, Any]]


class UnexpectedSchemaError(Exception):
    """The OpenAPI document says something this program has no rule for; the message names it."""


def resolve(node: Mapping[str, Any], definitions: Definitions, name: str) -> dict[str, Any]:
    """Return the structural schema of ``node``, references replaced by what they refer to.

    ``name`` is the property or definition, for messages and for the defaults of list keys.
    """
    if "$ref" in node:
        target = node["$ref"].removeprefix("#/definitions/")
        return resolve_definition(target, definitions)
    if "enum" in node or "default" in node:
        raise UnexpectedSchemaError(f"{name}: enum and default are not expected here, look at what to do with them")
    result: dict[str, Any] = {key: node[key] for key in sorted(KEPT & node.keys())}
    if "properties" in node:
        result["properties"] = {
            key: resolve(value, definitions, key) for key, value in sorted(node["properties"].items())
        }
    if "additionalProperties" in node:
        result["additionalProperties"] = resolve(node["additionalProperties"], definitions, name)
    if "items" in node:
        result["items"] = resolve(node["items"], definitions, name)
        complete_list_keys(result, name)
    return result


def resolve_definition(target: str, definitions: Definitions) -> dict[str, Any]:
    """Return the structural schema of a definition by its full name."""
    match target.rsplit(".", 1)[-1]:
        case "Quantity":
            return {**INT_OR_STRING, "pattern": QUANTITY_PATTERN}
        case "IntOrString":
            return dict(INT_OR_STRING)
        case "ObjectMeta":
            properties = definitions[target]["properties"]
            kept = {"type": "object", "properties": {key: properties[key] for key in EMBEDDED_METADATA}}
            return resolve(kept, definitions, "metadata")
        case name:
            return resolve(definitions[target], definitions, name)


def complete_list_keys(array: dict[str, Any], name: str) -> None:
    """Give each key of a keyed list that is not required its default, as a CRD must have it."""
    item = array["items"]
    for key in array.get("x-kubernetes-list-map-keys", ()):
        if key in item.get("required", ()):
            continue
        if (name, key) not in LIST_KEY_DEFAULTS:
            raise UnexpectedSchemaError(f"{name}[].{key}: a list key that is neither required nor in LIST_KEY_DEFAULTS")
        item["properties"][key]["default"] = LIST_KEY_DEFAULTS[name, key]


def main(arguments: list[str] | None = None) -> int:
    """Write ``jobspec.json`` from the OpenAPI document named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m generate.jobspec", description=__doc__.split("\n")[0])
    parser.add_argument("document", type=Path, help="api/openapi-spec/swagger.json of the module k8s.io/kubernetes")
    parser.add_argument("version", help="version of that module, such as v1.36.3")
    options = parser.parse_args(arguments)
    definitions = json.loads(options.document.read_text(encoding="utf-8"))["definitions"]
    try:
        schema = resolve_definition(ROOT, definitions)
    except UnexpectedSchemaError as error:
        sys.stderr.write(f"{options.document}: {error}\n")
        return 1
    document = {
        "origin": f"k8s.io/kubernetes {options.version}, api/openapi-spec/swagger.json, definition {ROOT}",
        "licence": "Apache-2.0, Copyright The Kubernetes Authors",
        "made by": "python -m generate.jobspec",
        "schema": schema,
    }
    OUTPUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
