"""A small synchronous client of the API server, for setting a cluster up; the product's own client is app.kube."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"


class RequestError(Exception):
    """The API server refused a request."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        super().__init__(f"{method} {path}: HTTP {status}: {message}")
        self.status = status
        self.message = message


class Api:
    """Requests to one API server as one user. Each request has a connection of its own, so threads may share it."""

    def __init__(self, server: str, ca_pem: bytes, token: str) -> None:
        self.server = server
        self._token = token
        self._context = ssl.create_default_context(cadata=ca_pem.decode())
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def raw(
        self,
        method: str,
        path: str,
        body: Object | bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> tuple[int, bytes]:
        """One request, with JSON or with bytes as they are; returns status and body whatever the status.

        Raises:
            OSError, http.client.HTTPException: no connection, or it broke.
        """
        address = urlsplit(self.server)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=timeout, context=self._context
        )
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
            data = None
            if body is not None:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                headers["Content-Type"] = content_type
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def request(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object:
        """One request for an object.

        Raises:
            RequestError: any status of 400 or more.
        """
        status, data = self.raw(method, path, body, content_type)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = {"message": data.decode(errors="replace")}
        if status >= 400:
            raise RequestError(method, path, status, str(answer.get("message", "")))
        if not isinstance(answer, dict):
            raise RequestError(method, path, status, "the answer is no object")
        return answer

    def get(self, path: str) -> Object:
        """Read one object or list."""
        return self.request("GET", path)

    def ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        try:
            return self.raw("GET", "/readyz", timeout=5.0)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def path_of(self, document: Object) -> str:
        """The path of an object by its apiVersion, kind, namespace (default ``default``) and name."""
        version, kind = document["apiVersion"], document["kind"]
        plural, namespaced = self._discover(version, kind)
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        metadata = document["metadata"]
        if namespaced:
            base += f"/namespaces/{quote(metadata.get('namespace', 'default'))}"
        return f"{base}/{plural}/{quote(metadata['name'])}"

    def _discover(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._plurals:
            listing = self.get(f"/api/{version}" if "/" not in version else f"/apis/{version}")
            for entry in listing["resources"]:
                if "/" not in entry["name"]:
                    self._plurals[version, entry["kind"]] = (entry["name"], entry["namespaced"])
        try:
            return self._plurals[version, kind]
        except KeyError:
            raise RequestError("GET", version, 404, f"the server has no kind {kind} in {version}") from None

    def apply(self, document: Object) -> Object:
        """Create or change an object (server-side apply)."""
        path = f"{self.path_of(document)}?fieldManager=devcluster&force=true"
        return self.request("PATCH", path, document, APPLY)

    def apply_all(self, documents: Iterable[Object]) -> None:
        """Apply objects in order."""
        for document in documents:
            self.apply(document)

    def install_crds(self, folder: Path, timeout: float = 20.0) -> list[str]:
        """Apply every CustomResourceDefinition of a folder, and wait until each is served. Returns their names.

        Raises:
            FileNotFoundError: the folder has no YAML file.
            TimeoutError: one was not established in time.
        """
        crds = [crd for crd in load_folder(folder) if crd["kind"] == "CustomResourceDefinition"]
        self.apply_all(crds)
        for crd in crds:
            self._await_crd(crd, timeout)
        return [crd["metadata"]["name"] for crd in crds]

    def _await_crd(self, crd: Object, timeout: float) -> None:
        name, plural = crd["metadata"]["name"], crd["spec"]["names"]["plural"]
        versions = [version["name"] for version in crd["spec"]["versions"] if version["served"]]
        paths = [f"/apis/{crd['spec']['group']}/{version}" for version in versions]
        wait_for(lambda: self._established(name), timeout, f"CRD {name} to be established")
        wait_for(lambda: all(self._serves(path, plural) for path in paths), timeout, f"{name} to be served")

    def _established(self, name: str) -> bool:
        crd = self.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        conditions = {item["type"]: item for item in (crd.get("status", {}).get("conditions") or [])}
        refused = conditions.get("NamesAccepted", {})
        if refused.get("status") == "False":
            raise RequestError("GET", name, 409, f"names not accepted: {refused.get('message')}")
        return bool(conditions.get("Established", {}).get("status") == "True")

    def _serves(self, path: str, plural: str) -> bool:
        status, data = self.raw("GET", path)
        if status != 200 or plural not in {entry["name"] for entry in json.loads(data)["resources"]}:
            return False
        return self.raw("GET", f"{path}/{plural}?limit=1")[0] == 200


def load_folder(folder: Path) -> list[Object]:
    """Every object of a folder's YAML files, in the order of the file names.

    Raises:
        FileNotFoundError: the folder has no YAML file.
    """
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not files:
        raise FileNotFoundError(f"{folder} has no YAML file")
    return [document for file in files for document in load_file(file)]


def load_file(file: Path) -> list[Object]:
    """Every object of a YAML file."""
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def wait_for(done: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll until ``done()``.

    Raises:
        TimeoutError: not within ``timeout`` seconds; names ``what``.
    """
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(0.05)
