"""`python -m drplan` is the `drplan` command."""

import sys

from drplan.main import main

sys.exit(main())
