"""`drplan controller`: run the controller."""

from __future__ import annotations

import argparse

from app.runtime.settings import ControllerSettings, add_settings_flags, settings_from


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `controller` to the command line."""
    parser = commands.add_parser("controller", help="run the controller")
    add_settings_flags(parser, ControllerSettings)

    def run(arguments: argparse.Namespace) -> int:
        from controller.main import main

        return main(settings_from(ControllerSettings, arguments, parser))

    parser.set_defaults(run=run)
