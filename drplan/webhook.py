"""`drplan webhook`: run the admission service."""

from __future__ import annotations

import argparse
import sys

from app.kube.errors import ConnectionConfigError
from app.runtime.descriptors import raise_descriptor_limit
from app.runtime.logging import setup_logging
from app.runtime.settings import WebhookSettings, add_settings_flags, settings_from


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `webhook` to the command line; its default `run` is what it does."""
    parser = commands.add_parser("webhook", help="run the admission service", description=__doc__)
    add_settings_flags(parser, WebhookSettings)
    parser.set_defaults(run=lambda arguments: run_webhook(settings_from(WebhookSettings, arguments, parser)))


def run_webhook(settings: WebhookSettings) -> int:
    """Run the admission service until SIGTERM or SIGINT. Returns 1, with one line, when it cannot start."""
    import uvloop

    from app.service.server import PortError
    from webhook.certificates.pair import CertificateError
    from webhook.main import main

    setup_logging(settings.log_level, settings.log_format == "json")
    raise_descriptor_limit()
    code = 0
    try:
        uvloop.run(main(settings))
    except* (ConnectionConfigError, CertificateError, PortError) as problems:
        for problem in problems.exceptions:
            print(f"drplan webhook: {problem}", file=sys.stderr)
        code = 1
    return code
