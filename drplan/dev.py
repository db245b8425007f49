"""``drplan dev``: commands for development. What they need is imported when one of them runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_ELSEWHERE = (
    "drplan dev: this installation has no local control plane, which is for development and left out of images and "
    "wheels: in a checkout of the repository, run `make setup` and then `.venv/bin/drplan dev up`"
)


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
    up.add_argument(
        "--controller",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run the controller; without, the command that runs it is printed, to be used under a debugger",
    )
    up.set_defaults(run=_run_up)


def _run_up(arguments: argparse.Namespace) -> int:
    try:
        import devcluster  # noqa: F401  (not in the image, nor in the wheel)
    except ModuleNotFoundError as error:
        if error.name != "devcluster":
            raise
        print(_ELSEWHERE, file=sys.stderr)
        return 1
    from drplan.dev_up import run_up

    return run_up(arguments.dir, arguments.profile, webhook=arguments.webhook, controller=arguments.controller)
