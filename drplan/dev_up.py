"""What ``drplan dev up`` does: a whole local installation in the foreground, until a signal ends it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import app
import devcluster
from devcluster import (
    BinaryError,
    ComponentError,
    ControlPlane,
    ManagedProcess,
    Profile,
    RequestError,
    ServiceProcess,
    WebhookProcess,
)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.5
"""How often the running processes are looked at."""


class _StopRequestError(BaseException):
    """A signal asked for the end. Not an Exception, so that nothing on the way takes it for a failure."""


def run_up(directory: Path | None, profile: Profile, *, webhook: bool, controller: bool) -> int:
    """Run ``drplan dev up``. Returns 0 after a signal, 1 when something could not be started or broke."""
    try:
        with _stop_on_signals(), ControlPlane(profile, directory) as plane:
            _populate(plane, webhook=webhook, controller=controller)
            print(f"KUBECONFIG={plane.kubeconfig}", flush=True)
            return _watch(plane)
    except _StopRequestError:
        return 0
    except (BinaryError, ComponentError, RequestError, OSError, RuntimeError) as error:
        print(f"drplan dev up: {error}", file=sys.stderr)
        return 1


def crds_folder() -> Path:
    """Return the folder of our CRDs: the repository's, or the one inside an installed package.

    Raises:
        FileNotFoundError: neither is there.
    """
    package = Path(app.__file__).parent
    for folder in (package.parent / "crds", package / "crds"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the CRDs are missing: no folder {package.parent / 'crds'} and none inside the package")


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[None]:
    """Turn the first stop signal into `_StopRequestError`; what follows it, while everything ends, is ignored."""

    def stop(_signum: int, _frame: FrameType | None) -> None:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        raise _StopRequestError

    before = {signum: signal.signal(signum, stop) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _populate(plane: ControlPlane, *, webhook: bool, controller: bool) -> None:
    print(f"API server  {plane.server}", flush=True)
    plane.api.install_crds(crds_folder())
    plane.install_clusternet()
    admission = devcluster.start_webhook(plane, wait=False) if webhook else None
    running = devcluster.start_controller(plane, wait=False) if controller else None
    if admission is not None:
        admission.wait_ready()
        devcluster.register_webhooks(plane, admission)
        print(f"webhook     {_addresses(admission)}", flush=True)
    else:
        devcluster.unregister_webhooks(plane)
    if running is not None:
        running.wait_ready()
        print(f"controller  {_addresses(running)}", flush=True)
    else:
        print(f"controller  not started; run it yourself:\n  {shlex.join(devcluster.controller_command(plane))}")
    print(f"logs        {plane.layout.logs}")
    print(f"users       {plane.layout.kubeconfigs} (a kubeconfig each; alice has no rights)", flush=True)


def _addresses(service: ServiceProcess) -> str:
    own = ""
    if isinstance(service, WebhookProcess):
        own = f"https://127.0.0.1:{service.webhook_port}, API https://127.0.0.1:{service.api_port}/api/v1, "
    return (
        f"{own}probes http://127.0.0.1:{service.health_port}, metrics http://127.0.0.1:{service.metrics_port}/metrics"
    )


def _watch(plane: ControlPlane) -> int:
    """Look after the processes until a signal comes; returns when a component of the control plane ended."""
    reported: set[ManagedProcess] = set()
    while True:
        time.sleep(LOOK_SECONDS)
        for component in plane.components.values():
            if not component.running:
                print(f"drplan dev up: {_ended(component)}", file=sys.stderr)
                return 1
        for service in plane.services:
            if not service.running and service not in reported:
                reported.add(service)
                again = shlex.join(service.command)
                print(
                    f"drplan dev up: {_ended(service)}\nthe rest goes on; run it again with:\n  {again}",
                    file=sys.stderr,
                )


def _ended(process: ManagedProcess) -> str:
    return str(process.failure(f"ended with exit code {process.returncode}"))
