"""`python -m app.cli` is the `drplan` command."""

import sys

from app.cli.main import main

sys.exit(main())
