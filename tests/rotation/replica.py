"""`drplan webhook` with short pauses between looks at the certificates: run by the tests as a process of its own."""

from __future__ import annotations

import sys

import uvloop

from app.runtime.logging import setup_logging
from app.runtime.settings import WebhookSettings, parse_settings
from webhook.certificates.keeper import Timing
from webhook.main import main

TIMING = Timing(poll=0.5, propagation=2.0, margin=1.0)


if __name__ == "__main__":
    settings = parse_settings(WebhookSettings, sys.argv[1:])
    setup_logging(settings.log_level)
    uvloop.run(main(settings, TIMING))
