"""Fixtures around one real control plane per test process, and a small object to use it with."""

from __future__ import annotations

import itertools
import json
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import ControlPlane, Profile
from tests.support.planes import plane_fixture

REPOSITORY = Path(__file__).resolve().parents[2]
CRDS = REPOSITORY / "crds"


@dataclass(frozen=True, slots=True)
class Kubectl:
    """What one kubectl command answered."""

    command: str
    rc: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both outputs together."""
        return self.stdout + self.stderr

    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.stdout)


class KubectlError(AssertionError):
    """A kubectl command that should have worked did not."""


class Cluster:
    """A running control plane with our CRDs and Clusternet's, as tests use it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.api = plane.api
        self.audit = plane.audit
        self._kubectl = str(plane.kubectl())
        self._numbers = itertools.count(1)

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.plane.kubeconfig

    def kubeconfig_of(self, identity: str) -> Path:
        """The kubeconfig of ``controller``, ``webhook``, ``alice`` or an added user."""
        return self.plane.identity(identity).kubeconfig

    def kubectl(
        self,
        *arguments: str,
        stdin: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        identity: str = "admin",
        namespace: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> Kubectl:
        """Run kubectl.

        Args:
            *arguments: the command, without ``--kubeconfig``.
            stdin: text, an object or several objects for ``-f -``.
            identity: who runs it.
            namespace: for ``--namespace``.
            check: raise KubectlError when it fails.
            timeout: seconds until it is ended.
        """
        command = [self._kubectl, f"--kubeconfig={self.kubeconfig_of(identity)}"]
        if namespace is not None:
            command.append(f"--namespace={namespace}")
        command += arguments
        result = subprocess.run(
            command, input=_as_yaml(stdin), capture_output=True, text=True, timeout=timeout, check=False
        )
        answer = Kubectl("kubectl " + " ".join(arguments), result.returncode, result.stdout, result.stderr)
        if check and answer.rc != 0:
            raise KubectlError(f"{answer.command}: exit code {answer.rc}\n{answer.text}")
        return answer

    def apply(
        self,
        documents: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        namespace: str | None = None,
        check: bool = True,
    ) -> Kubectl:
        """``kubectl apply -f -`` of YAML text or objects."""
        return self.kubectl("apply", "-f", "-", stdin=documents, namespace=namespace, check=check)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """One object as kubectl shows it."""
        answer = self.kubectl("get", kind, name, "-o", "json", namespace=namespace).json()
        assert isinstance(answer, dict)
        return answer

    def namespace(self, prefix: str = "test") -> str:
        """A new namespace of its own for a test. It stays; names never repeat."""
        name = f"{prefix}-{next(self._numbers)}-{uuid.uuid4().hex[:6]}"
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name


def _as_yaml(documents: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> str | None:
    if documents is None or isinstance(documents, str):
        return documents
    if isinstance(documents, Mapping):
        documents = [documents]
    return yaml.safe_dump_all([dict(document) for document in documents], sort_keys=False)


def _running(profile: Profile) -> Iterator[Cluster]:
    with ControlPlane(profile) as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        yield Cluster(plane)


@plane_fixture(scope="session", split=True)
def cluster() -> Iterator[Cluster]:
    """One control plane of the minimal profile for this test process."""
    yield from _running("minimal")


@plane_fixture(scope="session")
def full_cluster() -> Iterator[Cluster]:
    """One control plane of the full profile for this test process: Jobs run, owners collect, namespaces go."""
    yield from _running("full")


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A new namespace in ``cluster``."""
    return cluster.namespace()


@pytest.fixture
def full_namespace(full_cluster: Cluster) -> str:
    """A new namespace in ``full_cluster``."""
    return full_cluster.namespace()


@pytest.fixture
def make_namespace(cluster: Cluster) -> Callable[[str], str]:
    """Makes further namespaces in ``cluster``."""
    return cluster.namespace
