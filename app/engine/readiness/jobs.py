"""How a Job ended."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.readiness.verdict import (
    READY,
    Object,
    Readiness,
    condition_of,
    failed,
    number,
    spec_of,
    status_of,
    waiting,
)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How far a Job is."""

    finished: bool
    succeeded: bool = False
    reason: str = ""
    """The machine-readable reason of a failure, for example `BackoffLimitExceeded`."""
    message: str = ""
    """The Job controller's own words, or how many pods are done while it runs."""


def job_outcome(job: Object) -> JobOutcome:
    """Whether the Job has ended and how; only its Complete and Failed conditions decide."""
    over = condition_of(job, "Failed")
    if over.get("status") == "True":
        return JobOutcome(True, False, str(over.get("reason", "")), str(over.get("message", "")))
    if condition_of(job, "Complete").get("status") == "True":
        return JobOutcome(finished=True, succeeded=True)
    spec, status = spec_of(job), status_of(job)
    if spec.get("suspend") is True:
        return JobOutcome(finished=False, message="the Job is suspended")
    progress = f"{number(status, 'succeeded')} of {number(spec, 'completions', 1)} pods completed"
    return JobOutcome(
        finished=False, message=f"{progress}, {number(status, 'active')} active, {number(status, 'failed')} failed"
    )


def job(obj: Object) -> Readiness:
    """Judge a Job: it is ready when it is complete."""
    outcome = job_outcome(obj)
    if not outcome.finished:
        return waiting(outcome.message)
    return READY if outcome.succeeded else failed(f"{outcome.reason}: {outcome.message}")
