"""`drplan downgrade`: the way back to the Go operator, by making what is stored fit for it (decision D1)."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.kube.errors import ConnectionConfigError, KubeError, NotFound
from app.kube.resources import LEASES

if TYPE_CHECKING:
    from app.kube.client import KubeClient
    from app.kube.lease import LeaderLease
    from controller.downgrade import Findings, Found

_DESCRIPTION = """Prepare for going back to the Go operator: end every run, spell Cancelled as Canceled, release locks,
and remove what that operator does not know from every status. Without --apply nothing is written."""
_EPILOG = """Needs get and list on the three kinds; with --apply also update on their status, and in --namespace get and
update on the Lease and get, list, create, update and delete on ConfigMaps. docs/upgrade.md says what to do before and
after."""
_SHOWN = 6
"""Changes of one object that are printed."""


class DowngradeError(Exception):
    """Why nothing was written, and what to do about it."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `downgrade` to the command line; its default `run` is what it does."""
    parser = commands.add_parser(
        "downgrade", help="make stored objects fit for the Go operator again", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("--kubeconfig", help="kubeconfig file; found as by the other commands without it")
    parser.add_argument(
        "--namespace", "-n", default="drplan-system", help="namespace of the controller (default: drplan-system)"
    )
    parser.add_argument("--apply", action="store_true", help="write; no controller may run")
    parser.add_argument(
        "--end-runs", action="store_true", help="with --apply: end executions that have not ended, instead of refusing"
    )
    parser.add_argument(
        "--lease-name", default="65498215.bkbcs.tencent.com", metavar="NAME", help="as of the controller"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for the Lease of a controller that has just ended (default: 30)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from app.runtime.logging import setup_logging
    from controller.downgrade import RunsInFlightError
    from controller.journal import DamagedSegmentError, DeposedError

    setup_logging("error", json=False)
    try:
        asyncio.run(_downgrade(arguments))
    except (
        DowngradeError,
        RunsInFlightError,
        ConnectionConfigError,
        KubeError,
        DamagedSegmentError,
        DeposedError,
    ) as problem:
        print(f"drplan downgrade: {problem}", file=sys.stderr)
        return 1
    return 0


async def _downgrade(arguments: argparse.Namespace) -> None:
    from app.kube.client import KubeClient
    from app.kube.config import load_connection
    from controller.downgrade import demand_ended, examine

    async with KubeClient(load_connection(arguments.kubeconfig)) as kube:
        findings = await examine(kube)
        _print(findings)
        if not arguments.apply:
            print(f"dry run: nothing was written; {_counted(findings)}. Write with --apply")
        elif not findings.in_flight and not findings.changes:
            print("nothing to do")
        else:
            if not arguments.end_runs:
                demand_ended(findings)
            await _apply(kube, arguments)


async def _apply(kube: KubeClient, arguments: argparse.Namespace) -> None:
    """Convert while holding the Lease, so that no controller of either kind works meanwhile."""
    from app.kube.lease import LeaderLease
    from app.kube.leased import LeasedKubeClient
    from controller.downgrade import convert

    identity = f"drplan-downgrade_{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    await _demand_lease(kube, arguments)
    lease = LeaderLease(kube, namespace=arguments.namespace, name=arguments.lease_name, identity=identity)
    try:
        async with asyncio.timeout(arguments.wait) as patience:

            async def work() -> None:
                patience.reschedule(None)
                await convert(
                    LeasedKubeClient(kube, lease.remaining),
                    arguments.namespace,
                    identity,
                    lambda: datetime.now(UTC),
                    print,
                    end_runs=arguments.end_runs,
                )

            await lease.lead(work)
    except TimeoutError:
        raise DowngradeError(_held(arguments, lease)) from None
    print("done: the Go operator can take over; it must be the only controller that runs from now on")


def _held(arguments: argparse.Namespace, lease: LeaderLease) -> str:
    return (
        f"the Lease {arguments.namespace}/{arguments.lease_name} is held by {lease.holder or 'nobody'}; nothing was "
        f"written. Stop every controller first: kubectl scale deployment -n {arguments.namespace} "
        "-l app.kubernetes.io/component=controller --replicas=0"
    )


async def _demand_lease(kube: KubeClient, arguments: argparse.Namespace) -> None:
    """Refuse a wrong namespace, which would find the Lease free while a controller works elsewhere."""
    try:
        await kube.get(LEASES, arguments.lease_name, namespace=arguments.namespace)
    except NotFound:
        raise DowngradeError(
            f"there is no Lease {arguments.namespace}/{arguments.lease_name}, so no controller has ever led there; "
            "nothing was written. Give the controller's namespace with --namespace"
        ) from None


def _print(findings: Findings) -> None:
    for found in findings.in_flight:
        print(f"has not ended: {found}: {', '.join(found.texts)}")
    for found in findings.changes:
        print(f"to convert: {found}: {_shortened(found)}")
    for found in findings.notes:
        for text in found.texts:
            print(f"runs otherwise: {found}: {text}")


def _shortened(found: Found) -> str:
    more = len(found.texts) - _SHOWN
    return ", ".join(found.texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _counted(findings: Findings) -> str:
    return f"{len(findings.in_flight)} execution(s) have not ended, {len(findings.changes)} object(s) to convert"
