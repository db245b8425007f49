"""Both processes have exactly the chart's default rights in these tests; what more one needs it is given by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.api import Api, wait_for
from devcluster.rights import EFFECTIVE_SECONDS, RBAC
from tests.security.chart_rights import ROLES, accounts_of, apply_tested, rendered_roles
from tests.support.cluster import Cluster


@pytest.fixture(autouse=True)
def default_rights(request: pytest.FixtureRequest) -> None:
    """For tests on the shared installation; those with a control plane of their own take `as_installed`."""
    if "installed" in request.fixturenames:
        request.getfixturevalue("installed_with_default_rights")


@pytest.fixture(scope="package")
def installed_with_default_rights(installed: Cluster) -> Iterator[None]:
    """The shared installation with the chart's rights until the last of these tests; then as it was."""
    as_installed(installed.api)
    yield
    apply_tested(installed.api)
    wait_for(lambda: may(installed.api, "get", "", "secrets"), EFFECTIVE_SECONDS, "the rights of other tests")


def as_installed(api: Api) -> None:
    """Give both processes the roles that the chart renders by default, and nothing else."""
    for role in rendered_roles():
        api.apply(role)
    api.request("DELETE", f"{RBAC}/clusterrolebindings/drplan-dev-targets")
    for verb, group, resource in (
        ("get", "", "secrets"),
        ("list", "", "configmaps"),
        ("create", "apps", "deployments"),
    ):
        wait_for(
            lambda asked=(verb, group, resource): not may(api, *asked),  # type: ignore[misc]
            EFFECTIVE_SECONDS,
            f"the right to {verb} {resource} to go",
        )
    assert accounts_of(api) == ROLES


def may(api: Api, verb: str, group: str, resource: str) -> bool:
    """Whether the controller has a right in any namespace."""
    attributes: dict[str, Any] = {"verb": verb, "group": group, "resource": resource, "namespace": "default"}
    spec = {"user": "system:serviceaccount:drplan-system:drplan-controller", "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"])
