"""Messages of runs (contract: lifecycle 6 and 12.2; decisions P4, R1 to R7)."""

from __future__ import annotations

from typing import Final

PENDING: Final = "pending"
CANCELED_BY_USER: Final = "Canceled by user"
EXECUTION_CANCELED: Final = "Execution canceled by user"
NOT_STARTED: Final = "Not started: "
"""How the message of everything begins that a failure or a cancel kept from starting."""
NOT_KNOWN: Final = "it is not known whether this was done: "
"""How the message of an action begins that must not be done twice and may have been done."""
ALL_ACTIONS_COMPLETED: Final = "All actions completed successfully"
ALL_ACTIONS_SKIPPED: Final = "All actions were skipped"
ONE_OR_MORE_ACTIONS_FAILED: Final = "One or more actions failed"
ALL_WORKFLOWS_SKIPPED: Final = "All workflows skipped"
ONE_OR_MORE_WORKFLOWS_FAILED: Final = "One or more workflows failed"
ALL_STAGES_COMPLETED: Final = "All stages completed successfully"
ONE_OR_MORE_STAGES_FAILED: Final = "One or more stages failed"
NOTHING_DONE: Final = f"{ALL_STAGES_COMPLETED}; every action was skipped"
NOTHING_DELETED: Final = "Nothing was deleted: every action was skipped in mode delete"
NOT_VERIFIED: Final = "not verified: the plan has no healthCheck"
"""What a Revert says that nothing has proved to have left a working system."""
CANCELED_BEFORE_CHECKS: Final = f"{CANCELED_BY_USER} before the health checks were made"
NOTHING_TO_CHECK: Final = "nothing was done in this stage"
WORKFLOW_REVERTED: Final = "Workflow reverted successfully"
WORKFLOW_NOTHING_REVERTED: Final = "No action had anything to roll back"


def running(action: str) -> str:
    """Message of an action while an attempt of it runs."""
    return f"action {action} running"


def waiting_for_retry(message: str) -> str:
    """Message of an action between two attempts."""
    return f"attempt failed, will be repeated: {message}"


def no_more_time(message: str, attempt: int, before: str) -> str:
    """Message of an action whose time was up at an attempt after one that failed because of `before`."""
    return f"{message}; attempt {attempt} had failed: {before}"


def undecided(message: str) -> str:
    """Message of an action of which nobody knows whether it was done."""
    return f"{NOT_KNOWN}{message}"


def taken_as_done(message: str) -> str:
    """Message of an action that an operator says was done."""
    return f"taken as done, as an operator said; before, {message}"


def canceled_waiting(message: str) -> str:
    """Message of an action that a cancel met between two attempts."""
    return f"{CANCELED_BY_USER} while waiting for a retry: {message}"


def canceled_undecided(message: str) -> str:
    """Message of an action that a cancel met while an operator was asked about it."""
    return f"{CANCELED_BY_USER}; {message}"


def exhausted(retries: int, message: str) -> str:
    """Message of an action whose last permitted attempt failed."""
    return f"action failed after {retries} retries: {message}" if retries else message


def dependency_failed(kind: str, name: str) -> str:
    """Message of a stage or action that depends on one that failed or never ran."""
    return f'{NOT_STARTED}{kind} "{name}" it depends on did not succeed'


def action_failed(name: str, message: str) -> str:
    """Return what a workflow says about the action that failed it."""
    return f"action {name} failed: {message}"


def workflow_failed(key: str, message: str) -> str:
    """Return what a sequential stage says about the workflow that failed it."""
    return f"workflow {key} failed: {message}" if message else f"workflow {key} failed"


def stage_failed(name: str, message: str) -> str:
    """Return what the execution says about the stage that stopped it."""
    return f"Stage {name} failed: {message}" if message else f"Stage {name} failed"


def kept_back(cause: str) -> str:
    """Message of what a failure elsewhere kept from starting."""
    return f"{NOT_STARTED}{cause}"


def stage_halts(name: str) -> str:
    """Message of what a stage that has failed, or is bound to, keeps from starting."""
    return kept_back(f'stage "{name}" failed (failurePolicy Stop)')


def cut_short(done: int, total: int) -> str:
    """Message of a workflow that began and was not allowed to go on."""
    return f"stopped after {done} of {total} actions"


def without_lead(message: str) -> str:
    """Return the cause in the message of what was kept from starting, to be told within another message."""
    return message.removeprefix(NOT_STARTED)


def unhealthy(failed: int, attempts: int, answer: str) -> str:
    """Message of a health check whose last permitted attempt failed."""
    if failed < attempts:
        return f"not healthy: {failed} of {attempts} attempts failed, the last one: {answer}"
    return f"not healthy after {attempts} attempt{'s' if attempts > 1 else ''}: {answer}"


def healthy(attempts: int, sustained: str) -> str:
    """Message of a health check that has ended well."""
    for_long = f" for {sustained}" if sustained else ""
    return f"healthy{for_long} (attempt {attempts})"


def check_failed(name: str, message: str) -> str:
    """Return what a stage and a run say about the health check that failed them."""
    return f"health check {name} failed: {message}"


def check_not_needed(name: str) -> str:
    """Message of a health check that another one made pointless."""
    return f"not needed any more: health check {name} failed"


def verified(checks: int) -> str:
    """Return what a run says whose health checks have all ended well."""
    return f"verified by {checks} health check{'s' if checks > 1 else ''}"
