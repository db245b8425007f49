"""The CustomResourceDefinitions: names, columns and selectable fields (contract: api 1; decision D5)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from app.models import GROUP, VERSION, ApiModel, DRPlan, DRPlanExecution, DRWorkflow
from app.schema.structural import MODEL, Schema, model_schema, node_at, without_markers
from app.schema.tables import DEFAULTS, JOB_SPEC_PATHS, LIST_KEYS

CATEGORY: Final = "dr"
"""`kubectl get dr` lists all three kinds."""

_HEADER: Final = "# Generated from app/models by `python -m generate.crds --write crds`; do not edit.\n"
_JOB_SPEC: Final = Path(__file__).with_name("jobspec.json")


@dataclass(frozen=True, slots=True)
class Column:
    """A column that `kubectl get` prints."""

    name: str
    json_path: str
    type: str = "string"
    wide: bool = False
    """Only printed with `-o wide`."""


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class KindInfo:
    """What a CRD says beside its schema."""

    model: type[ApiModel]
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind, such as `DRPlan`."""
        return self.model.__name__

    @property
    def singular(self) -> str:
        """The name of one object in lower case, such as `drplan`."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """The resource, such as `drplans`."""
        return f"{self.singular}s"

    @property
    def file_name(self) -> str:
        """Name of the CRD's file, after controller-gen's custom."""
        return f"{GROUP}_{self.plural}.yaml"


KINDS: Final = (
    KindInfo(
        model=DRWorkflow,
        short_name="drw",
        columns=(Column("Phase", ".status.phase"), Column("Actions", ".status.actionCount", "integer"), _AGE),
    ),
    KindInfo(
        model=DRPlan,
        short_name="drp",
        columns=(
            Column("Phase", ".status.phase"),
            Column("Last", ".status.lastExecutionRef"),
            Column("Current", ".status.currentExecution.name"),
            Column("Last-Run", ".status.executionHistory[0].name"),
            Column("Result", ".status.executionHistory[0].phase"),
            Column("When", ".status.executionHistory[0].completionTime", "date"),
            _AGE,
        ),
    ),
    KindInfo(
        model=DRPlanExecution,
        short_name="drpe",
        columns=(
            Column("Plan", ".spec.planRef"),
            Column("Operation", ".spec.operationType"),
            Column("Phase", ".status.phase"),
            Column("Progress", ".status.progress"),
            Column("Duration", ".status.duration"),
            _AGE,
            Column("Message", ".status.message"),
            Column("Mode", ".spec.mode", wide=True),
            Column("Target", ".spec.revertExecutionRef", wide=True),
            Column("Reverted-By", ".status.revertedBy", wide=True),
            Column("Started", ".status.startTime", wide=True),
            Column("Completed", ".status.completionTime", wide=True),
        ),
        selectable=(".spec.planRef", ".status.phase"),
    ),
)
"""The three kinds, in the order in which their objects are created."""


def kind_schema(info: KindInfo) -> Schema:
    """Return the schema of a kind with its defaults. Objects carry `MODEL`, the name of their model."""
    schema = model_schema(info.model)
    properties = schema["properties"]
    properties["apiVersion"] = {"description": f"`{GROUP}/{VERSION}`.", "type": "string"}
    properties["kind"] = {"description": f"`{info.kind}`.", "type": "string"}
    properties["metadata"] = {"type": "object"}
    for path, keys in LIST_KEYS[info.kind].items():
        node_at(schema, path).update({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})
    for path in JOB_SPEC_PATHS.get(info.kind, ()):
        node = node_at(schema, path)
        description = node["description"]
        node.clear()
        node.update({"description": description, MODEL: "JobSpec", **_job_spec()})
    for path, value in DEFAULTS[info.kind].items():
        node_at(schema, path)["default"] = value
    return schema


def custom_resource_definition(info: KindInfo) -> dict[str, Any]:
    """Return the CRD of a kind, ready to be applied."""
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {
                "name": column.name,
                "type": column.type,
                "jsonPath": column.json_path,
                **({"priority": 1} if column.wide else {}),
            }
            for column in info.columns
        ],
        "schema": {"openAPIV3Schema": without_markers(kind_schema(info))},
    }
    if info.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in info.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{info.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": info.kind,
                "listKind": f"{info.kind}List",
                "plural": info.plural,
                "singular": info.singular,
                "shortNames": [info.short_name],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes each object in full, never as an alias of an earlier one."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def to_yaml(document: dict[str, Any]) -> str:
    """Return a CRD as YAML text with a header that says where it comes from."""
    return _HEADER + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def _job_spec() -> Schema:
    schema: Schema = json.loads(_JOB_SPEC.read_text(encoding="utf-8"))["schema"]
    return schema
