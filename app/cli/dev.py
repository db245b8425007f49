"""``drplan dev up``: a whole local installation in the foreground, for trying things out and for development."""

from __future__ import annotations

import argparse
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
    RequestError,
    ServiceProcess,
    WebhookProcess,
)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.5
"""How often the running processes are looked at."""


class _StopRequestError(BaseException):
    """A signal asked for the end. Not an Exception, so that nothing on the way takes it for a failure."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``dev`` with its commands to the command line; each parser's default ``run`` is what it does."""
    dev = commands.add_parser("dev", help="a local installation for development", description=__doc__)
    up = dev.add_subparsers(dest="dev_command", required=True, metavar="COMMAND").add_parser(
        "up",
        help="start a local control plane, the webhook service and the controller",
        description=(
            "Start a local control plane with the CRDs, the webhook service and the controller, stay in the "
            "foreground, and stop everything on SIGINT or SIGTERM. The last line printed when all is ready is "
            "KUBECONFIG=<path>. Missing binaries are built once with Go (about ten minutes)."
        ),
    )
    up.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="keep everything here and use it again next time (default: a temporary directory, removed at the end)",
    )
    up.add_argument(
        "--profile",
        choices=("minimal", "full"),
        default="minimal",
        help="minimal: etcd and kube-apiserver; full: also controller-manager, scheduler and a fake node, so that "
        "Jobs run, garbage is collected and namespaces can be deleted (default: minimal)",
    )
    up.add_argument("--webhook", action=argparse.BooleanOptionalAction, default=True, help="run the webhook service")
    up.add_argument("--controller", action=argparse.BooleanOptionalAction, default=True, help="run the controller")
    up.set_defaults(run=run_up)


def run_up(arguments: argparse.Namespace) -> int:
    """Run ``drplan dev up``. Returns 0 after a signal, 1 when something could not be started or broke."""
    try:
        with _stop_on_signals(), ControlPlane(arguments.profile, arguments.dir) as plane:
            _populate(plane, webhook=arguments.webhook, controller=arguments.controller)
            print(f"KUBECONFIG={plane.kubeconfig}", flush=True)
            return _watch(plane)
    except _StopRequestError:
        return 0
    except (BinaryError, ComponentError, RequestError, OSError, RuntimeError) as error:
        print(f"drplan dev up: {error}", file=sys.stderr)
        return 1


def crds_folder() -> Path:
    """The folder of our CRDs: the repository's, or the one inside an installed package.

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
    if webhook:
        service = devcluster.start_webhook(plane)
        devcluster.register_webhooks(plane, service)
        print(f"webhook     {_addresses(service)}", flush=True)
    else:
        devcluster.unregister_webhooks(plane)
    if controller:
        print(f"controller  {_addresses(devcluster.start_controller(plane))}", flush=True)
    print(f"logs        {plane.layout.logs}")
    print(f"users       {plane.layout.kubeconfigs} (a kubeconfig each; alice has no rights)", flush=True)


def _addresses(service: ServiceProcess) -> str:
    admission = f"https://127.0.0.1:{service.webhook_port}, " if isinstance(service, WebhookProcess) else ""
    return (
        f"{admission}probes http://127.0.0.1:{service.health_port}, "
        f"metrics http://127.0.0.1:{service.metrics_port}/metrics"
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
