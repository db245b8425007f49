"""A value that comes from a Secret shows up where it is used, and nowhere else (invariant 11, decision P9)."""

from __future__ import annotations

import base64
import gzip
import zlib

from tests.e2e.support import create, events_of, header, merge, snapshots_of
from tests.support.installation import Installation, actions_of, execution, http_action, plan, revert, stage, workflow
from tests.support.site import Answer

WORD = "hunter2-very-secret"
ENCODED = base64.b64encode(WORD.encode()).decode()


def _contents(item: dict[str, object]) -> str:
    """Everything in a snapshot ConfigMap as text, unpacked."""
    texts = [str(item)]
    data = item.get("binaryData")
    assert isinstance(data, dict)
    for value in data.values():
        raw = base64.b64decode(value)
        for unpack in (gzip.decompress, zlib.decompress, bytes):
            try:
                texts.append(unpack(raw).decode("utf-8"))
                break
            except (OSError, zlib.error, UnicodeDecodeError):
                continue
    return "\n".join(texts)


def test_secret_parameter_is_used_but_never_shown(drplan: Installation) -> None:
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    # The site gives the secret away in its answers: in a body that is kept, and in one that belongs to a failure.
    drplan.site.script(f"{root}/login", Answer(body=f"welcome {WORD}"))
    drplan.site.script(f"{root}/refuse", Answer(status=403, body=f"no: {WORD}"))
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": "credentials",
        "namespace": drplan.namespace,
        "jsonPath": "{.data.password}",
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials"},
        "stringData": {"password": WORD},
    }
    undo = {"http": {"url": f"{url}/logout", "method": "POST", "body": "$(params.password)"}}
    create(
        drplan,
        secret,
        workflow(
            "w",
            [
                http_action("login", f"{url}/login", http={"headers": {"X-Pass": "$(params.password)"}}, rollback=undo),
                http_action("leak", f"{url}/$(outputs.login.body)"),
                http_action("refuse", f"{url}/refuse", http={"body": "$(params.password)"}),
                http_action("broken", "http://127.0.0.1:1/$(params.password)", retryPolicy={"limit": 0}),
            ],
            failurePolicy="Continue",
        ),
        plan("p", [stage("s", "w")], globalParams=[{"name": "password", "valueFrom": {"manifestRef": reference}}]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    # The value of a Secret is base64 in the object, and that is what the jsonPath reads.
    assert header(drplan.site.calls(f"{root}/login")[0], "X-Pass") in (WORD, ENCODED)
    assert {"name": "password", "value": "***"} in status["resolvedParams"]
    assert actions_of(status)[0]["phase"] == "Succeeded"
    drplan.wait_unlocked("p")
    create(drplan, revert("r", "p", "e"))
    reverted = drplan.wait_phase("r")
    drplan.wait(lambda: any(reason.startswith("Revert") and "ed" in reason for _, reason, _ in events_of(drplan, "r")))

    used = header(drplan.site.calls(f"{root}/login")[0], "X-Pass")
    uid = drplan.get("drpe", "e")["metadata"]["uid"]
    kept = snapshots_of(drplan, uid)
    assert kept, "the run has a snapshot"
    assert any('"password"' in _contents(item) for item in kept), "the snapshot can be read by this test"
    journal = drplan.cluster.api.request("GET", "/api/v1/namespaces/drplan-system/configmaps")["items"]
    places = {
        "status": str(status),
        "status of the Revert": str(reverted),
        "plan": str(drplan.get("drp", "p")),
        "events": str(events_of(drplan, "e") + events_of(drplan, "r")),
        "snapshots": "\n".join(_contents(item) for item in kept),
        "journal": str([item for item in journal if item["metadata"]["name"].startswith("drplan-journal-")]),
        "log": "\n".join(path.read_text() for path in drplan.cluster.plane.layout.logs.glob("controller*")),
    }
    assert "Started executing action login" in places["events"]
    assert drplan.namespace in places["log"]
    assert {place for place, text in places.items() if used in text} == set()


def test_secret_is_read_when_the_action_runs(drplan: Installation) -> None:
    """A password that was rotated in mid-run is used as it is then."""
    root, url = f"/{drplan.namespace}", f"{drplan.site.url}/{drplan.namespace}"
    drplan.site.hold(f"{root}/first")
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": "credentials",
        "namespace": drplan.namespace,
        "jsonPath": "{.metadata.annotations.token}",
    }
    create(
        drplan,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "credentials", "annotations": {"token": "old-token"}},
        },
        workflow(
            "w", [http_action(name, f"{url}/{name}", http={"body": "$(params.token)"}) for name in ("first", "second")]
        ),
        plan("p", [stage("s", "w")], globalParams=[{"name": "token", "valueFrom": {"manifestRef": reference}}]),
        execution("e", "p"),
    )
    drplan.site.wait_for(f"{root}/first")
    rotated = {"metadata": {"annotations": {"token": "new-token"}}}
    merge(drplan, "Secret", "credentials", rotated, api_version="v1")
    drplan.site.let_go(f"{root}/first")
    drplan.wait_phase("e", "Succeeded")
    assert [call.body for call in drplan.site.calls(prefix=root)] == ["old-token", "new-token"]
