"""Ends the process that decodes an object with a name `poison...`, as a fault of a library would; see test_poisoned."""

import json
import os
import signal
import time
from typing import Any

from app.models import base

_decoded = base.ApiModel.model_validate.__func__  # type: ignore[attr-defined]
LONG_SECONDS = 1.5


def _from_wire(cls: type[base.ApiModel], data: Any) -> base.ApiModel:
    name = str(data.get("metadata", {}).get("name", "")) if isinstance(data, dict) else ""
    if name.startswith("poison") and "cured" not in json.dumps(data.get("spec")):
        time.sleep(LONG_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)
    found: base.ApiModel = _decoded(cls, data)
    return found


base.ApiModel.from_wire = classmethod(_from_wire)  # type: ignore[method-assign, assignment]
