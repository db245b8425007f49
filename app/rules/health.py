"""Health checks of plans and stages (rules P60 to P63; N25: the plan of a Revert has none).

What would make a check fail whatever it looks at is refused when the plan is written: a check is first made at the end
of a rollback, when nobody has time to mend it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from app.cel.healthy import HealthyWhenError, compile_healthy_when
from app.engine.durations import parse_duration
from app.engine.templates import Placeholder
from app.engine.text import short
from app.models.health import MOST_CHECKS, MOST_RESOURCES, HealthCheck, HealthChecks, HttpCheck, ResourceCheck
from app.models.plan import DRPlan, DRPlanSpec
from app.rules.actions.http import check_http_request
from app.rules.actions.targets import TargetObject, problems_of
from app.rules.actions.templated import has_placeholder, may_hold, placeholders_of
from app.rules.durations import DURATIONS
from app.rules.findings import Findings, Spot
from app.rules.parameters.declared import RESERVED, Level
from app.rules.ready_when import ready_when_problem
from app.rules.remember import remembered

SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(minutes=10)
LONGEST_TIMEOUT = timedelta(minutes=5)
LONGEST_SUSTAINED = timedelta(hours=1)
MOST_OF_PLAN = 200
"""Checks of a plan and its stages together."""
MOST_TOGETHER = 16 * 1024
"""Characters that the different expressions of all checks may have together: compiling them takes time."""
_MILLISECOND = timedelta(milliseconds=1)
_SHORT = 1024
_OWN = ("planName", "executionName", "mode")
NOT_VERIFIED = (
    "has no healthCheck, so this Revert ends without proof that the system works: add spec.healthCheck to the plan "
    "(docs/health-checks.md)"
)
"""What follows on the plan's name in N25."""


def check_verified(spec: Spot, plan: DRPlan) -> None:
    """Notice N25, about a Revert of a plan. `spec` is the Revert's spec."""
    if plan.spec.health_check is None:
        spec.warn("N25", f"plan {plan.metadata.name} {NOT_VERIFIED}", "planRef")


def check_health(spec: Spot, plan: DRPlan) -> None:
    """Check the health checks of a plan and of its stages. `spec` is the plan's spec."""
    blocks = list(blocks_of(plan.spec))
    if not blocks or not _is_within_bounds(spec, [check for _, _, block in blocks for check in block.checks]):
        return
    level = Level(plan.spec.global_params)
    for path, prefix, block in blocks:
        _check_block(spec.below(path, prefix), block, level, plan.metadata.namespace)


def _is_within_bounds(spec: Spot, checks: Sequence[HealthCheck]) -> bool:
    """Tell whether a plan has no more checks than are looked at; what is in them is not checked then."""
    if len(checks) > MOST_OF_PLAN:
        spec.error("P60", f"healthCheck: at most {MOST_OF_PLAN} checks of a plan and its stages, found {len(checks)}")
        return False
    length = sum(map(len, {text for check in checks for text in _expressions(check)}))
    if length > MOST_TOGETHER:
        told = f"healthCheck: the expressions of all checks have {length} characters, more than {MOST_TOGETHER}"
        spec.error("P62", told)
        return False
    return True


def _expressions(check: HealthCheck) -> Iterator[str]:
    if check.http is not None:
        yield check.http.healthy_when
    yield from (resource.ready_when for resource in check.resources)


def blocks_of(spec: DRPlanSpec) -> Iterator[tuple[str, str, HealthChecks]]:
    """Every block of health checks, with its path below the spec and what messages about it begin with."""
    for index, stage in enumerate(spec.stages):
        if stage.health_check is not None:
            yield f"stages[{index}].healthCheck", f"stage[{index}] '{short(stage.name)}': ", stage.health_check
    if spec.health_check is not None:
        yield "healthCheck", "", spec.health_check


def taken_by_checks(spec: DRPlanSpec) -> frozenset[str]:
    """Names of the parameters that the health checks of a plan take."""
    texts = (text for _, _, block in blocks_of(spec) for check in block.checks for _, text in _texts(check))
    found = (each for text in texts for each in placeholders_of(text))
    return frozenset(each.path[0] for each in found if each.root == "params" and each.path)


def _check_block(spot: Spot, block: HealthChecks, level: Level, namespace: str) -> None:
    if not block.checks:
        spot.error("P60", "healthCheck: at least one check is required", "checks")
    if len(block.checks) > MOST_CHECKS:
        spot.error("P60", f"healthCheck: at most {MOST_CHECKS} checks, found {len(block.checks)}", "checks")
    _check_time(spot, "healthCheck: ", "sustainedFor", block.sustained_for, timedelta(0), LONGEST_SUSTAINED)
    names: set[str] = set()
    for index, check in enumerate(block.checks[:MOST_CHECKS]):
        inner = spot.below(f"checks[{index}]", f"healthCheck.checks[{index}] '{short(check.name)}': ")
        if check.name in names:
            inner.error("P60", "duplicate name of a check", "name", found=check.name)
        names.add(check.name)
        _check_one(inner, check, level, namespace)


def _check_one(spot: Spot, check: HealthCheck, level: Level, namespace: str) -> None:
    if not check.name:
        spot.error("P60", "name is required", "name")
    if (check.http is None) == (not check.resources):
        given = "both are given" if check.http is not None else "none is given"
        spot.error("P60", f"a check has either http or resources, {given}")
    if check.attempts is not None and not 1 <= check.attempts <= 100:
        spot.error("P61", f"attempts must be from 1 to 100, found {check.attempts}", "attempts")
    _check_time(spot, "", "interval", check.interval, SHORTEST_INTERVAL, LONGEST_INTERVAL)
    _check_time(spot, "", "timeout", check.timeout, _MILLISECOND, LONGEST_TIMEOUT)
    if check.http is not None:
        _check_http(spot.below("http"), check.http)
    if len(check.resources) > MOST_RESOURCES:
        spot.error("P60", f"at most {MOST_RESOURCES} resources, found {len(check.resources)}", "resources")
    for index, resource in enumerate(check.resources[:MOST_RESOURCES]):
        _check_resource(spot.below(f"resources[{index}]", f"resources[{index}]: "), resource, namespace)
    for path, text in _texts(check):
        for placeholder in placeholders_of(text):
            _check_placeholder(spot, path, placeholder, level)


def _check_time(spot: Spot, prefix: str, member: str, text: str | None, least: timedelta, most: timedelta) -> None:
    if not text:
        return
    if problem := _time_problem(text, least, most):
        spot.error("P61", f"{prefix}{member} {problem}", member, found=short(text))


def _time_problem(text: str, least: timedelta, most: timedelta) -> str:
    try:
        time = parse_duration(text)
    except ValueError as error:
        return f"cannot be read: {error} ({DURATIONS})"
    if least <= time <= most and (time or least):
        return ""
    return _bounds(text, least, most)


def _bounds(text: str, least: timedelta, most: timedelta) -> str:
    told = f"from {_told(least)} to {_told(most)}" if least else f"more than nothing and at most {_told(most)}"
    return f"must be {told}, found {short(text)}"


def _told(time: timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds % 3600 == 0:
        return f"{seconds / 3600:.0f}h"
    return f"{seconds / 60:.0f}m" if seconds % 60 == 0 else f"{seconds:.0f}s"


def _check_http(spot: Spot, http: HttpCheck) -> None:
    if not http.url:
        spot.error("P62", "HTTP.URL is required", "url")
    scratch = Findings(own_namespace=spot.findings.own_namespace, certificates=spot.findings.certificates)
    check_http_request(scratch.at(""), http.request())
    spot.findings.certificates = scratch.certificates
    for found in scratch.errors:
        spot.error("P62", found.message, found.path, found=found.found)
    for index, code in enumerate(http.success_codes):
        if not 100 <= code <= 599:
            text = f"HTTP.SuccessCodes[{index}] must be an HTTP status code (100 to 599), found {code}"
            spot.error("P62", text, f"successCodes[{index}]", found=str(code))
    if http.body and http.method in (None, "GET", "HEAD"):
        spot.error("P62", f"HTTP.Body has no effect on {http.method or 'GET'}: use method POST, or remove it", "body")
    if http.healthy_when and (problem := _healthy_when_problem(http.healthy_when)):
        spot.error("P62", problem, "healthyWhen", found=short(http.healthy_when))


@remembered(_SHORT)
def _healthy_when_problem(text: str) -> str:
    try:
        compile_healthy_when(text)
    except HealthyWhenError as error:
        return str(error)
    return ""


def _check_resource(spot: Spot, resource: ResourceCheck, namespace: str) -> None:
    texts = ("apiVersion", resource.api_version), ("kind", resource.kind), ("name", resource.name)
    for member, text in (*texts, ("namespace", resource.namespace)):
        if has_placeholder(text):
            spot.error("P63", f"{member} has a placeholder; a health check names its objects as they are", member)
            return
    target = TargetObject(
        "", "", resource.api_version, resource.kind, resource.namespace or namespace, resource.name, in_manifest=False
    )
    for problem in problems_of(target, spot.findings.own_namespace):
        spot.error("P62", problem.text, problem.part)
    if resource.ready_when and (why := ready_when_problem(resource.ready_when)):
        spot.error("P62", why, "readyWhen", found=short(resource.ready_when))


def _texts(check: HealthCheck) -> Iterator[tuple[str, str]]:
    """The texts of a check that are templated, with their paths."""
    if check.http is None:
        return
    for path, text in (("http.url", check.http.url), ("http.body", check.http.body)):
        if may_hold(text):
            yield path, text
    for name, text in check.http.headers.items():
        if may_hold(text):
            yield f"http.headers.{short(name)}", text


def _check_placeholder(spot: Spot, path: str, placeholder: Placeholder, level: Level) -> None:
    """Rule P63: the value is there in every run, also in a Revert of one that was started long ago."""
    if placeholder.root in _OWN or placeholder.path == (RESERVED,):
        return
    if placeholder.root == "outputs":
        why = "a health check sees no outputs of actions"
    elif len(placeholder.path) > 1:
        why = f"parameters are texts, write $(params.{placeholder.path[0]})"
    elif placeholder.path[0] not in level.values:
        name = placeholder.path[0]
        why = f"spec.globalParams gives no parameter '{short(name)}' a value" + spot.meant(name, level.values)
    else:
        return
    spot.error("P63", f"{placeholder.text} in {path} cannot be resolved: {why}", path, found=placeholder.text)
