"""When an object counts as ready, and how a Job ended.

Ready is what a kind's own controller says about the *present* spec (decision A8). Silence is "not yet": a status of an
older generation, or none where the kind has one, makes an object not ready. Only kinds that report no status, such as
ConfigMaps, are ready as soon as they exist. Objects come straight from the API server, so members may be absent.
"""

from app.engine.readiness.jobs import JobOutcome, job_outcome
from app.engine.readiness.judge import is_current, is_ready, meets_condition
from app.engine.readiness.pods import lingering_pods, pod_selector
from app.engine.readiness.verdict import Readiness

__all__ = [
    "JobOutcome",
    "Readiness",
    "is_current",
    "is_ready",
    "job_outcome",
    "lingering_pods",
    "meets_condition",
    "pod_selector",
]
