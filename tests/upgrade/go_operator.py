"""The Go operator as far as an upgrade meets it: its CRDs, what it stores, which executions it would run.

The schemas of statuses are written down from its API by hand. Those of specs are ours without what we added.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.cluster import CRDS

Schema = dict[str, Any]
GROUP = "dr.bkbcs.tencent.com"
PLURALS = {"DRWorkflow": "drworkflows", "DRPlan": "drplans", "DRPlanExecution": "drplanexecutions"}
ADDED_TO_SPECS = {
    "DRWorkflow": {"caBundle", "clientCertificateSecretRef", "headersFrom", "followRedirects"},
    "DRPlan": {"maxParallelStages"},
    "DRPlanExecution": {"revertOptions"},
}
"""Members of specs that only we have."""
ENDED = ("Succeeded", "Failed", "Canceled")
"""Phases in which it leaves an execution alone; any other is run from the first stage."""

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}


def _object(required: str = "", **properties: Schema) -> Schema:
    made: Schema = {"type": "object", "properties": properties}
    return {**made, "required": required.split()} if required else made


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _enum(values: str) -> Schema:
    return {"type": "string", "enum": values.split()}


NODE = _enum("Pending Running Succeeded Failed Skipped Canceled")
TIMES = {"startTime": TIME, "completionTime": TIME}
REFERENCE = _object("name", name=TEXT, namespace=TEXT)
CORE_REFERENCE = _object(
    apiVersion=TEXT, kind=TEXT, namespace=TEXT, name=TEXT, uid=TEXT, resourceVersion=TEXT, fieldPath=TEXT
)
CONDITION = _object(
    "lastTransitionTime message reason status type",
    lastTransitionTime=TIME,
    message=TEXT,
    observedGeneration={"type": "integer", "format": "int64", "minimum": 0},
    reason={"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
    status=_enum("True False Unknown"),
    type=TEXT,
)
CONDITIONS = {**_list(CONDITION), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
OUTPUTS = _object(
    jobRef=CORE_REFERENCE,
    localizationRef=CORE_REFERENCE,
    globalizationRef=CORE_REFERENCE,
    helmChartRef=CORE_REFERENCE,
    subscriptionRef=CORE_REFERENCE,
    subscriptionRefs=_list(CORE_REFERENCE),
    resourceRef=CORE_REFERENCE,
    httpResponse=_object("statusCode", statusCode=NUMBER, body=TEXT),
)
CLUSTER = _object(
    "cluster clusterID phase",
    cluster=TEXT,
    clusterID=TEXT,
    phase=_enum("Pending Running Succeeded Failed Skipped"),
    message=TEXT,
    **TIMES,
)
ACTION = _object(
    "name phase",
    name=TEXT,
    phase=NODE,
    retryCount=NUMBER,
    message=TEXT,
    outputs=OUTPUTS,
    clusterStatuses=_list(CLUSTER),
    **TIMES,
)
WORKFLOW = _object(
    "workflowRef phase",
    workflowRef=REFERENCE,
    phase=NODE,
    duration=TEXT,
    progress=TEXT,
    currentAction=TEXT,
    message=TEXT,
    actionStatuses=_list(ACTION),
    **TIMES,
)
STAGE = _object(
    "name phase",
    name=TEXT,
    phase=NODE,
    parallel=FLAG,
    dependsOn=_list(TEXT),
    duration=TEXT,
    message=TEXT,
    workflowExecutions=_list(WORKFLOW),
    **TIMES,
)
SUMMARY = _object(
    **{
        f"{word}{level}": NUMBER
        for word in ("total", "completed", "running", "pending", "failed")
        for level in ("Stages", "Workflows")
    }
)
RECORD = _object("name namespace operationType", name=TEXT, namespace=TEXT, operationType=TEXT, phase=TEXT, **TIMES)
STATUSES = {
    "DRWorkflow": _object(phase=_enum("Ready Invalid"), conditions=CONDITIONS, observedGeneration=NUMBER),
    "DRPlan": _object(
        phase=_enum("Ready Executed Invalid"),
        conditions=CONDITIONS,
        lastExecutionTime=TIME,
        lastExecutionRef=TEXT,
        currentExecution=REFERENCE,
        lastProcessedTrigger=TEXT,
        executionHistory={**_list(RECORD), "maxItems": 10},
        observedGeneration=NUMBER,
    ),
    "DRPlanExecution": _object(
        phase=_enum("Pending Running Succeeded Failed Canceled Unknown"),
        stageStatuses=_list(STAGE),
        summary=SUMMARY,
        message=TEXT,
        conditions=CONDITIONS,
        **TIMES,
    ),
}


def crds() -> list[dict[str, Any]]:
    """Its three CRDs: no columns, no short names, no selectable fields."""
    return [_crd(kind, plural) for kind, plural in PLURALS.items()]


def our_crds() -> list[dict[str, Any]]:
    """Ours, as the chart installs them."""
    return [yaml.safe_load((CRDS / f"{GROUP}_{plural}.yaml").read_text()) for plural in PLURALS.values()]


def _crd(kind: str, plural: str) -> dict[str, Any]:
    ours = yaml.safe_load((CRDS / f"{GROUP}_{plural}.yaml").read_text())
    schema = ours["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = _without(schema["properties"]["spec"], ADDED_TO_SPECS[kind])
    properties = {**schema["properties"], "spec": spec, "status": copy.deepcopy(STATUSES[kind])}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": properties}},
    }
    return {
        "apiVersion": ours["apiVersion"],
        "kind": ours["kind"],
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": plural[:-1]},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _without(schema: Schema, members: set[str]) -> Schema:
    """A copy of a schema without some properties, at whatever depth."""
    if "properties" in schema:
        kept = {name: _without(item, members) for name, item in schema["properties"].items() if name not in members}
        return {**schema, "properties": kept}
    if isinstance(schema.get("items"), dict):
        return {**schema, "items": _without(schema["items"], members)}
    return copy.deepcopy(schema)


def would_run(execution: Mapping[str, Any]) -> bool:
    """Whether it would start this execution, from its first stage."""
    return (execution.get("status") or {}).get("phase", "") not in ENDED
