"""Health checks: what ends a Revert, an Execute and a stage, what is told while they are made, and how they fail."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from tests.e2e.support import cancel, config_map, create, events_of, header, stage_of
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    phases_of,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Answer

SECRET = "s3cr3t-t0ken"
UNVERIFIED = "plan bare has no healthCheck, so this Revert ends without proof that the system works"


def _asks(drplan: Installation, name: str, **more: Any) -> dict[str, Any]:
    """A check that asks the path of its name, of which the site of the test knows."""
    return {"name": name, "http": {"url": _url(drplan, name)}, "interval": "1s", **more}


def _path(drplan: Installation, name: str) -> str:
    return f"/{drplan.namespace}/{name}"


def _url(drplan: Installation, name: str) -> str:
    return f"{drplan.site.url}{_path(drplan, name)}"


def _looks(name: str, **more: Any) -> dict[str, Any]:
    """A check that a ConfigMap of that name is there."""
    found = {"apiVersion": "v1", "kind": "ConfigMap", "name": name}
    return {"name": name, "resources": [found], "interval": "1s", **more}


def _executed(drplan: Installation, name: str, *checks: dict[str, Any], **block: Any) -> None:
    """Run a plan that makes one ConfigMap, all of its own name, as `NAME-run`."""
    health = {"healthCheck": {"checks": list(checks), **block}} if checks else {}
    made = config_map_action("made", name, drplan.namespace)
    create(drplan, workflow(name, [made]), plan(name, [stage("s", name)], **health), execution(f"{name}-run", name))
    drplan.wait_phase(f"{name}-run", "Succeeded")
    drplan.wait_unlocked(name)


def _check(status: dict[str, Any], name: str) -> dict[str, Any]:
    """A check of a status; empty before the run has begun."""
    return next((check for check in status.get("healthChecks", ()) if check["name"] == name), {})


def _reason(status: dict[str, Any]) -> str:
    return str(next(item["reason"] for item in status["conditions"] if item["type"] == "Failed"))


def test_a_revert_ends_by_the_checks_of_its_plan(drplan: Installation) -> None:
    token = {"token": base64.b64encode(SECRET.encode()).decode()}
    create(drplan, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "data": token})
    asks = _asks(drplan, "web")
    asks["http"] |= {
        "url": f"{drplan.site.url}/{drplan.namespace}/$(params.path)",
        "headersFrom": [{"name": "Authorization", "secretKeyRef": {"name": "token", "key": "token"}}],
        "healthyWhen": 'body.role == "primary"',
    }
    path = _path(drplan, "web")
    made = config_map_action("made", "p", drplan.namespace)
    health = {"checks": [asks, _looks("always")]}
    create(
        drplan,
        config_map("always", {}),
        workflow("p", [made]),
        plan("p", [stage("s", "p")], healthCheck=health, globalParams=[{"name": "path", "value": "web"}]),
        execution("e", "p"),
    )
    assert "healthChecks" not in drplan.wait_phase("e", "Succeeded"), "an Execute has no checks unless it says so"
    drplan.wait_unlocked("p")
    drplan.site.script(
        path, Answer(503, f"no {SECRET} here"), Answer(200, '{"role": "standby"}'), Answer(200, '{"role": "primary"}')
    )
    drplan.site.hold(path)
    create(drplan, revert("r", "p", "e"))
    drplan.site.wait_for(path)
    drplan.wait(lambda: _check(drplan.status("r"), "always").get("phase") == "Succeeded")
    during = drplan.status("r")
    assert during["phase"] == "Running"
    assert phases_of(during) == {"made": "Succeeded"}
    assert (_check(during, "web")["phase"], _check(during, "web").get("attempt")) == ("Running", None)
    drplan.site.let_go(path)
    status = drplan.wait_phase("r", "Succeeded")
    assert status["message"] == (
        "Plan reverted successfully: 1 stage(s) rolled back, 1 action(s) rolled back, 0 stage(s) skipped; "
        "verified by 2 health checks"
    )
    web = _check(status, "web")
    assert (web["phase"], web["attempt"], web["failedAttempts"]) == ("Succeeded", 3, 2)
    assert (web["lastAnswer"], web["message"], web["type"]) == ("HTTP 200", "healthy (attempt 3)", "HTTP")
    assert web["startTime"] <= web["completionTime"]
    assert _check(status, "always")["lastAnswer"] == "1 object is ready"
    calls = drplan.site.calls(path)
    assert [header(call, "Authorization") for call in calls] == [SECRET] * 3
    assert all(later.at - earlier.at >= 0.9 for earlier, later in itertools.pairwise(calls))
    assert not any(name.lower() == "idempotency-key" for call in calls for name in call.headers)
    check_summary(status)
    drplan.wait(lambda: ("Normal", "HealthCheckSucceeded") in [event[:2] for event in events_of(drplan, "r")])
    events = events_of(drplan, "r")
    told = [note for kind, reason, note in events if (kind, reason) == ("Warning", "HealthCheckUnhealthy")]
    assert told
    assert all("Health check web is not healthy (attempt " in note for note in told)
    assert SECRET not in str(events) + str(status)
    assert drplan.wait_unlocked("p")["phase"] == "Ready"
    assert drplan.status("e")["revertedBy"] == "r"


def test_a_revert_that_is_not_healthy_fails_and_is_checked_again(drplan: Installation) -> None:
    path = _path(drplan, "web")
    _executed(drplan, "sick", _asks(drplan, "web", attempts=2), _looks("late", attempts=100))
    down = {"name": "down", "http": {"url": "http://127.0.0.1:9/"}, "attempts": 1, "timeout": "5s"}
    _executed(drplan, "down", down)
    _executed(drplan, "bare")
    drplan.site.script(path, Answer(503, "switching over"))
    create(drplan, revert("sick-1", "sick", "sick-run"), revert("down-1", "down", "down-run"))
    answer = drplan.kubectl("create", "-f", "-", stdin=revert("bare-1", "bare", "bare-run"))
    assert UNVERIFIED in answer.stderr
    status = drplan.wait_phase("sick-1", "Failed")
    assert phases_of(status) == {"made": "Succeeded"}
    failure = "not healthy after 2 attempts: unexpected status code: 503: switching over"
    assert status["message"].startswith(
        f"health check web failed: {failure} (before that: Plan reverted successfully: "
    )
    assert "revert the same execution again" in status["message"]
    assert _reason(status) == "RollbackHealthCheckFailed"
    assert (_check(status, "web")["phase"], _check(status, "web")["message"]) == ("Failed", failure)
    late = _check(status, "late")
    assert (late["phase"], late["message"]) == ("Cancelled", "not needed any more: health check web failed")
    drplan.wait_unlocked("sick")
    assert "revertedBy" not in drplan.status("sick-run")
    failed = drplan.wait_phase("down-1", "Failed")
    assert _reason(failed) == "RollbackHealthCheckFailed"
    assert "not healthy after 1 attempt: HTTP request failed: " in failed["message"]
    assert "127.0.0.1:9" in failed["message"]
    assert drplan.wait_phase("bare-1", "Succeeded")["message"].endswith("; not verified: the plan has no healthCheck")

    drplan.site.script(path, Answer(200))
    create(drplan, config_map("late", {}), revert("sick-2", "sick", "sick-run"))
    status = drplan.wait_phase("sick-2", "Succeeded")
    assert phases_of(status) == {"made": "Skipped"}
    assert status["message"].endswith("; verified by 2 health checks")
    drplan.wait_unlocked("sick")
    assert drplan.status("sick-run")["revertedBy"] == "sick-2"


def test_stages_and_executes_wait_until_they_are_healthy_and_a_cancel_ends_that(drplan: Installation) -> None:
    ns = drplan.namespace
    made = {name: workflow(name, [config_map_action(name, name, ns)]) for name in ("one", "two")}
    gate = {"checks": [_looks("gate", attempts=100)]}
    stages = [stage("one", "one", healthCheck=gate), stage("two", "two")]
    web = {"checks": [_asks(drplan, "web")], "onExecute": True, "sustainedFor": "2s"}
    failing = [stage("one", "one", healthCheck={"checks": [_looks("never", attempts=1)]}), stage("two", "two")]
    create(
        drplan,
        *made.values(),
        plan("p", stages, healthCheck=web),
        plan("q", failing),
        execution("e", "p"),
    )
    drplan.wait(lambda: _check(drplan.status("e"), "gate").get("attempt", 0) >= 1)
    status = drplan.status("e")
    assert (stage_of(status, "one")["phase"], stage_of(status, "two")["phase"]) == ("Running", "Pending")
    assert _check(status, "gate")["stage"] == "one"
    assert _check(status, "gate")["lastAnswer"] == f"ConfigMap {ns}/gate is not ready: it does not exist"
    assert status["message"].startswith("health check gate of stage one: attempt ")
    assert _check(status, "web")["phase"] == "Pending"
    create(drplan, config_map("gate", {}))
    status = drplan.wait_phase("e", "Succeeded")
    assert status["message"] == "All stages completed successfully; verified by 1 health check"
    assert _check(status, "web")["attempt"] >= 2
    assert _check(status, "web")["message"].startswith("healthy for 2s (attempt ")
    calls = drplan.site.calls(_path(drplan, "web"))
    assert calls[-1].at - calls[0].at >= 1.9
    drplan.wait_unlocked("p")

    for name in ("one", "two"):
        drplan.kubectl("delete", "configmap", name)
    status = drplan.run("f", "q", "Failed")
    failure = (
        f"health check never failed: not healthy after 1 attempt: ConfigMap {ns}/never is not ready: it does not exist"
    )
    assert status["message"] == f"Stage one failed: {failure}"
    assert _reason(status) == "HealthCheckFailed"
    assert (stage_of(status, "one")["phase"], stage_of(status, "two")["phase"]) == ("Failed", "Skipped")
    assert phases_of(status) == {"one": "Succeeded", "two": "Skipped"}

    path = _path(drplan, "web")
    drplan.site.hold(path)
    before = len(drplan.site.calls(path))
    create(drplan, revert("r", "p", "e", revertOptions={"missingResources": "Ignore"}))
    drplan.wait(lambda: len(drplan.site.calls(path)) > before)
    cancel(drplan, "r")
    status = drplan.wait_phase("r", "Cancelled")
    assert (_check(status, "web")["phase"], _check(status, "web")["message"]) == ("Cancelled", "Canceled by user")
    assert set(phases_of(status).values()) == {"Succeeded"}
    drplan.wait_unlocked("p")
    assert "revertedBy" not in drplan.status("e")
