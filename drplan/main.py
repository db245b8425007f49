"""The entry point of `drplan`; each command brings its own flags and imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from drplan import controller, dev, downgrade, lint, selftest, version, webhook


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code of the process."""
    parser = argparse.ArgumentParser(prog="drplan", description="Disaster-recovery runbooks as Kubernetes objects")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    controller.add_commands(commands)
    webhook.add_commands(commands)
    lint.add_commands(commands)
    selftest.add_commands(commands)
    downgrade.add_commands(commands)
    dev.add_commands(commands)
    version.add_commands(commands)
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
