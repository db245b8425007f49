"""A control plane where the controller works alone, without admission."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcluster import ControlPlane, start_controller
from tests.support.cluster import CRDS, Cluster
from tests.support.installation import Installation
from tests.support.planes import plane_fixture
from tests.support.site import Site


@plane_fixture(scope="session")
def unguarded_cluster() -> Iterator[Cluster]:
    """The controller alone: it has to hold its own against whatever is stored."""
    with ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        start_controller(plane)
        yield Cluster(plane)


@pytest.fixture
def unguarded(unguarded_cluster: Cluster, site: Site) -> Installation:
    """drplan without admission, with a new namespace. Tests that use it belong to the xdist group `unguarded`."""
    return Installation(unguarded_cluster, site, unguarded_cluster.namespace("unguarded"))
