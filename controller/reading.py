"""Reads for actions and parameters, whose right is the admin's choice: what to say when it is missing."""

from __future__ import annotations

from typing import Final

from app.kube.errors import Forbidden, KubeError

GRANTED_BY: Final = "the chart gives the controller the right by rbac.readReferencesIn or rbac.readReferences"


def read_error_text(error: KubeError) -> str:
    """Return the text of an error of a read; of a refusal, with what grants the right."""
    return f"{error}; {GRANTED_BY}" if isinstance(error, Forbidden) else str(error)
