"""`drplan version`: which build this is, as `drplan_build_info` says it of a running process."""

from __future__ import annotations

import argparse

from app.runtime.build import this_build


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `version` to the command line; its default `run` is what it does."""
    parser = commands.add_parser("version", help="print version, commit and Python", description=__doc__)
    parser.add_argument("--short", action="store_true", help="print the version alone")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    build = this_build()
    print(
        build.version if arguments.short else f"drplan {build.version} (commit {build.commit}, Python {build.python})"
    )
    return 0
