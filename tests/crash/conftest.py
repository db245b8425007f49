"""A control plane whose controller connects through the proxy; every test gets it running and leaves it running."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devcluster import ControlPlane, Profile, register_webhooks, start_controller, start_webhook
from devcluster.services import ServiceProcess
from tests.crash.harness import Crashing
from tests.support.cluster import CRDS, Cluster
from tests.support.planes import plane_fixture
from tests.support.proxy import Proxy
from tests.support.site import Site

LONG_LEASE = ("--lease-duration=15", "--renew-deadline=10", "--retry-period=0.4")
"""A lease that a busy machine does not lose: what takes over from a killed controller frees it first."""


class Rig:
    """The processes that all crash tests of one test process share."""

    def __init__(self, plane: ControlPlane, proxy: Proxy) -> None:
        self.plane = plane
        self.proxy = proxy
        self.cluster = Cluster(plane)
        self.controller = self.start("controller")

    def start(self, name: str, *arguments: str, wait: bool = True) -> ServiceProcess:
        """Start a controller that the proxy knows as `name`."""
        kubeconfig = self.proxy.kubeconfig(name, self.plane.identity("controller").token, self.plane.directory)
        flags = (f"--kubeconfig={kubeconfig}", *(arguments or LONG_LEASE))
        return start_controller(self.plane, name=name, arguments=flags, wait=wait)


@contextmanager
def running_rig(folder: Path, profile: Profile = "minimal") -> Iterator[Rig]:
    """A control plane with webhook service and, behind a proxy, a controller; `folder` takes a certificate."""
    with ControlPlane(profile) as plane:
        plane.api.install_crds(CRDS)
        plane.install_clusternet()
        authority = folder / "ca.pem"
        authority.write_bytes(plane.authority.pem)
        register_webhooks(plane, start_webhook(plane))
        with Proxy(plane.server, authority).serving() as proxy:
            rig = Rig(plane, proxy)
            yield rig
            rig.controller.kill9()


@plane_fixture(scope="session", split=True)
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The processes on a minimal control plane."""
    with running_rig(tmp_path_factory.mktemp("proxy")) as rig:
        yield rig


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the controllers said when a test has failed."""
    report = yield
    found = getattr(item, "funcargs", {}).get("rig")
    if report.when == "call" and report.failed and isinstance(found, Rig):
        for process in found.plane.services:
            report.sections.append((f"end of the log of {process.name}", process.last_lines(40)))
    return report


@pytest.fixture
def drplan(rig: Rig, site: Site) -> Iterator[Crashing]:
    """drplan behind the proxy, with a new namespace."""
    crashing = Crashing(rig.cluster, site, rig.cluster.namespace("crash"), rig.proxy, rig.controller)
    if not rig.controller.running:
        crashing.restart()
    yield crashing
    rig.proxy.clear()
    rig.controller.resume() if rig.controller.running else None


@contextmanager
def replaced(rig: Rig, drplan: Crashing, name: str, *arguments: str) -> Iterator[Crashing]:
    """drplan with a controller of other settings in the place of the usual one."""
    rig.controller.kill9()
    drplan.free_lease()
    drplan.controller = rig.start(name, *arguments)
    yield drplan
    rig.proxy.clear()
    drplan.controller.kill9()
    drplan.free_lease()
