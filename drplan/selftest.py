"""`drplan selftest`: whether the API server is reached, the three kinds are served and admission works."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from app.kube.errors import ConnectionConfigError, KubeError
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS

if TYPE_CHECKING:
    from app.kube.client import KubeClient

_DENIED: Final[dict[str, Any]] = {
    "apiVersion": "dr.bkbcs.tencent.com/v1alpha1",
    "kind": "DRWorkflow",
    "metadata": {"name": "drplan-selftest"},
    "spec": {"actions": [{"name": "probe", "type": "HTTP", "http": {"url": ""}}]},
}
"""Accepted by the schema, refused by the admission service; only ever sent as a dry run."""


class SelftestError(Exception):
    """What does not work, and what to look at."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `selftest` to the command line; its default `run` is what it does."""
    parser = commands.add_parser(
        "selftest",
        help="check an installation",
        description=__doc__,
        epilog="Needs `list` on the three kinds and `create` on DRWorkflows in the namespace; nothing is stored.",
    )
    parser.add_argument("--kubeconfig", help="kubeconfig file; found as by the other commands without it")
    parser.add_argument("--namespace", "-n", default="default", help="namespace to ask in (default: default)")
    parser.add_argument(
        "--admission",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether admission is part of the installation (default: yes)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        asyncio.run(_check(arguments.kubeconfig, arguments.namespace, admission=arguments.admission))
    except (SelftestError, ConnectionConfigError) as problem:
        print(f"drplan selftest: {problem}", file=sys.stderr)
        return 1
    return 0


async def _check(kubeconfig: str | None, namespace: str, *, admission: bool) -> None:
    from app.kube.client import KubeClient
    from app.kube.config import load_connection

    async with KubeClient(load_connection(kubeconfig)) as kube:
        await _kinds_are_served(kube, namespace)
        if admission:
            await _admission_refuses(kube, namespace)


async def _kinds_are_served(kube: KubeClient, namespace: str) -> None:
    for resource in (WORKFLOWS, PLANS, EXECUTIONS):
        try:
            await kube.list(resource, namespace=namespace, limit=1)
        except KubeError as e:
            raise SelftestError(
                f"cannot list {resource} in namespace {namespace}: {e}; see whether the CRDs are installed"
            ) from e
    print(f"ok: {kube.server} serves the three kinds")


async def _admission_refuses(kube: KubeClient, namespace: str) -> None:
    try:
        await kube.create(WORKFLOWS, _DENIED, namespace=namespace, dry_run=True)
    except KubeError as e:
        if "admission webhook" in str(e) and "denied the request" in str(e):
            print("ok: admission refuses a DRWorkflow that cannot work")
            return
        raise SelftestError(f"admission does not answer as it should: {e}; see the logs of the admission pods") from e
    raise SelftestError(
        "a DRWorkflow that cannot work was accepted (as a dry run), so the API server does not call the admission "
        "service; see the ValidatingWebhookConfiguration: its failurePolicy, Service and caBundle"
    )
