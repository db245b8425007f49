"""What a release has stored, as files: read out of a control plane, and put into another one with uids and all.

Objects are put into etcd itself, because the API server gives every new object a uid of its own, and the records of
a run are named by its uid.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

from devcluster import ControlPlane
from tests.crash.harness import OWN
from tests.support.cluster import REPOSITORY
from tests.support.installation import API

FIXTURES = REPOSITORY / "tests" / "upgrade" / "fixtures"
NAMESPACE = "recorded"
CONFIG_MAPS = "/api/v1/namespaces/{namespace}/configmaps"
LISTS = {
    "workflows": (f"/apis/{API}/namespaces/{NAMESPACE}/drworkflows", "dr.bkbcs.tencent.com/drworkflows"),
    "plans": (f"/apis/{API}/namespaces/{NAMESPACE}/drplans", "dr.bkbcs.tencent.com/drplans"),
    "executions": (f"/apis/{API}/namespaces/{NAMESPACE}/drplanexecutions", "dr.bkbcs.tencent.com/drplanexecutions"),
    "objects": (CONFIG_MAPS.format(namespace=NAMESPACE), "configmaps"),
    "kept": (CONFIG_MAPS.format(namespace=OWN), "configmaps"),
    "leases": (f"/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases", "leases"),
}
"""Files of a fixture: where their objects are listed, and where etcd has them."""


def save(plane: ControlPlane, folder: Path) -> None:
    """Write what is stored to a folder, one file a list."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (path, _) in LISTS.items():
        answer = plane.api.get(path)
        kind = str(answer["kind"]).removesuffix("List")
        found = [_plain({"apiVersion": answer["apiVersion"], "kind": kind, **item}) for item in answer["items"]]
        (folder / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def load(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the objects of one file of a fixture."""
    found = json.loads((folder / f"{name}.json").read_text())
    assert isinstance(found, list)
    return found


def put(plane: ControlPlane, folder: Path) -> None:
    """Store a fixture in a control plane whose controller does not run yet."""
    plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    [servers] = [word for word in plane.components["kube-apiserver"].command if word.startswith("--etcd-servers=")]
    etcd = servers.partition("=")[2]
    for name, (_, root) in LISTS.items():
        for obj in load(folder, name):
            metadata = obj["metadata"]
            _put(etcd, f"/registry/{root}/{metadata['namespace']}/{metadata['name']}", json.dumps(obj))


def _put(etcd: str, key: str, value: str) -> None:
    body = {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value.encode()).decode()}
    request = urllib.request.Request(f"{etcd}/v3/kv/put", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**obj, "metadata": metadata}
