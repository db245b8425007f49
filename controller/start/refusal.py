"""Starts that are refused for good."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.kube.errors import ApiError, Conflict, is_transient
from app.models.snapshot import Snapshot


class StartRefusedError(Exception):
    """An execution that cannot start; the message becomes its own, its phase Failed."""


@contextmanager
def refused_as(what: str) -> Iterator[None]:
    """Turn a refusal of the API server that is for good into one of the start."""
    try:
        yield
    except ApiError as error:
        if is_transient(error) or isinstance(error, Conflict):
            raise
        raise StartRefusedError(f"the API server refuses {what}: {error}") from error


@contextmanager
def unfit_as_refused(snapshot: Snapshot) -> Iterator[None]:
    """Turn what a target lists and its snapshot does not have into a refusal of the start."""
    try:
        yield
    except (ValueError, LookupError) as error:
        name = snapshot.target.name if snapshot.target is not None else snapshot.plan_name
        problem = f"{type(error).__name__}: {error}"
        raise StartRefusedError(f"the status of {name} does not fit its snapshot ({problem})") from error
