"""Repeating failed attempts, and running out of time (decision A1). Gaps have lower bounds only."""

from __future__ import annotations

from itertools import pairwise

from tests.e2e.support import action_of, create, header
from tests.support.installation import (
    Installation,
    check_summary,
    config_map_action,
    execution,
    http_action,
    phases_of,
    plan,
    stage,
    workflow,
)
from tests.support.site import Answer

JITTER = 0.2


def _gaps(drplan: Installation, path: str) -> list[float]:
    return [later.at - earlier.at for earlier, later in pairwise(drplan.site.calls(path))]


def test_back_off_grows_and_the_last_attempt_counts(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/flaky"
    drplan.site.script(path, Answer(status=503), Answer(status=500), Answer(status=429), Answer(body="at last"))
    policy = {"limit": 3, "interval": "200ms", "backoffMultiplier": "2.0"}
    create(
        drplan,
        workflow("w", [http_action("flaky", drplan.site.url + path, retryPolicy=policy)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    action = action_of(drplan.wait_phase("e", "Succeeded"), "flaky")
    assert (action["attempt"], action["retryCount"]) == (4, 3)
    assert action["message"] == "HTTP POST succeeded with status 200"
    assert action["outputs"]["httpResponse"] == {"statusCode": 200, "body": "at last"}
    assert "nextAttemptTime" not in action
    for gap, interval in zip(_gaps(drplan, path), (0.2, 0.4, 0.8), strict=True):
        assert gap >= interval * (1 - JITTER)


def test_back_off_may_be_shorter_than_the_write_that_records_the_failure(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/flaky"
    drplan.site.script(path, *[Answer(status=503)] * 5, Answer())
    policy = {"limit": 5, "interval": "1ms", "backoffMultiplier": "1.0"}
    create(
        drplan,
        workflow("w", [http_action("flaky", drplan.site.url + path, retryPolicy=policy)]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    assert action_of(drplan.wait_phase("e", "Succeeded"), "flaky")["retryCount"] == 5


def test_every_attempt_carries_the_same_idempotency_key(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/flaky"
    drplan.site.script(path, Answer(status=503), Answer())
    create(
        drplan,
        workflow("w", [http_action("flaky", drplan.site.url + path, retryPolicy={"interval": "10ms"})]),
        plan("p", [stage("s 1", "w")]),
        execution("e", "p"),
    )
    drplan.wait_phase("e", "Succeeded")
    uid = drplan.get("drpe", "e")["metadata"]["uid"]
    keys = {header(call, "Idempotency-Key") for call in drplan.site.calls(path)}
    assert keys == {f"{uid}/s%201/0/flaky"}


def test_retry_after_is_heeded(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/busy"
    drplan.site.script(path, Answer(status=429, headers={"Retry-After": "2"}), Answer())
    create(
        drplan,
        workflow("w", [http_action("busy", drplan.site.url + path, retryPolicy={"interval": "10ms"})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    drplan.site.wait_for(path)

    def waiting() -> bool:
        stages = drplan.status("e").get("stageStatuses")
        return bool(stages) and "nextAttemptTime" in action_of(drplan.status("e"), "busy")

    drplan.wait(waiting)
    during = action_of(drplan.status("e"), "busy")
    assert during["phase"] == "Running"
    assert during["message"] == "attempt failed, will be repeated: unexpected status code: 429"
    assert during["outputs"]["httpResponse"]["statusCode"] == 429
    drplan.wait_phase("e", "Succeeded")
    [gap] = _gaps(drplan, path)
    assert gap >= 2.0


def test_exhausted_retries_say_how_often_it_was_tried(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/down"
    drplan.site.script(path, Answer(status=502, body="bad gateway"))
    create(
        drplan,
        workflow("w", [http_action("down", drplan.site.url + path, retryPolicy={"limit": 2, "interval": "10ms"})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    action = action_of(status, "down")
    assert action["message"] == "action failed after 2 retries: unexpected status code: 502: bad gateway"
    assert (action["attempt"], action["retryCount"]) == (3, 2)
    assert action["outputs"]["httpResponse"] == {"statusCode": 502, "body": "bad gateway"}, "kept on failure too"
    assert len(drplan.site.calls(path)) == 3
    check_summary(status)


def test_limit_zero_and_lasting_failures_are_not_repeated(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.script(f"{root}/once", Answer(status=503))
    drplan.site.script(f"{root}/forbidden", Answer(status=403))
    drplan.site.script(f"{root}/teapot", Answer(status=200))
    create(
        drplan,
        workflow(
            "w",
            [
                http_action("once", f"{url}/once", retryPolicy={"limit": 0, "interval": "10ms"}),
                http_action("forbidden", f"{url}/forbidden", retryPolicy={"limit": 5, "interval": "10ms"}),
                http_action("teapot", f"{url}/teapot", http={"successCodes": [418]}, retryPolicy={"interval": "10ms"}),
            ],
            failurePolicy="Continue",
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert {name: action_of(status, name)["message"] for name in phases_of(status)} == {
        "once": "unexpected status code: 503",
        "forbidden": "unexpected status code: 403",
        "teapot": "status code 200 not in success codes: ok",
    }
    assert set(drplan.site.count(root).values()) == {1}


def test_refused_connection_is_repeated(drplan: Installation) -> None:
    create(
        drplan,
        workflow("w", [http_action("x", "http://127.0.0.1:1/", retryPolicy={"limit": 1, "interval": "10ms"})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    action = action_of(drplan.wait_phase("e", "Failed"), "x")
    assert action["retryCount"] == 1
    assert action["message"].startswith("action failed after 1 retries: HTTP request failed: ")


def test_http_action_that_takes_too_long_fails_and_is_not_repeated(drplan: Installation) -> None:
    path = f"/{drplan.namespace}/slow"
    drplan.site.hold(path)
    create(
        drplan,
        workflow("w", [http_action("slow", drplan.site.url + path, timeout="1s", retryPolicy={"interval": "10ms"})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    [call] = drplan.site.wait_for(path)
    action = action_of(drplan.wait_phase("e", "Failed"), "slow")
    drplan.site.let_go(path)
    assert action["message"].startswith("timed out after 1s")
    assert action["attempt"] == 1
    assert drplan.site.calls(path) == [call]


def test_timeout_counts_from_the_first_start_and_includes_the_waiting(drplan: Installation) -> None:
    """The next attempt would begin after the time-out, so there is none."""
    path = f"/{drplan.namespace}/down"
    drplan.site.script(path, Answer(status=503))
    create(
        drplan,
        workflow("w", [http_action("down", drplan.site.url + path, timeout="2s", retryPolicy={"interval": "1m"})]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    action = action_of(drplan.wait_phase("e", "Failed"), "down")
    assert len(drplan.site.calls(path)) == 1
    assert "unexpected status code: 503" in action["message"]


def test_object_that_does_not_become_ready_in_time(drplan: Installation) -> None:
    """The minimal profile has no controllers, so a Deployment is never rolled out; a ConfigMap is ready at once."""
    deployment = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {drplan.namespace}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: example/web}}]}}
"""
    create(
        drplan,
        workflow(
            "w",
            [
                config_map_action("quick", "marker", drplan.namespace, waitReady=True),
                {
                    "name": "slow",
                    "type": "KubernetesResource",
                    "waitReady": True,
                    "timeout": "1s",
                    "resource": {"operation": "Create", "manifest": deployment},
                },
            ],
        ),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert phases_of(status) == {"quick": "Succeeded", "slow": "Failed"}
    action = action_of(status, "slow")
    assert action["message"].startswith("timed out after 1s: ")
    assert action["outputs"]["resourceRef"]["name"] == "web", "what was made is recorded, so a Revert can delete it"
    reverted = drplan.take_back("r", "p", "e")
    assert action_of(reverted, "slow")["message"] == (
        f"Rolled back: deleted resource Deployment {drplan.namespace}/web"
    )
