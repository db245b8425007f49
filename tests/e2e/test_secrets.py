"""A value that comes from a Secret shows up where it is used, and nowhere else (invariant 11, decision P9)."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from urllib.parse import quote

from tests.e2e.support import action_of, create, events_of, header, merge, snapshots_of
from tests.support.installation import Installation, actions_of, execution, http_action, plan, revert, stage, workflow
from tests.support.site import Answer

WORD = "hunter2-very-secret"
ENCODED = base64.b64encode(WORD.encode()).decode()
"""What `.data` of a Secret has in place of the word."""
TOKEN = 'tok/"quoted"+&=%41 end'
"""Reads differently in a URL, in JSON and in a header."""


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
    drplan.site.script(f"{root}/login", Answer(body=f"welcome {ENCODED}, that is {WORD}"))
    drplan.site.script(f"{root}/refuse", Answer(status=403, body=json.dumps({"no": [WORD, ENCODED, TOKEN]})))
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "credentials", "namespace": drplan.namespace}
    paths = {"password": "{.data.password}", "token": "{.metadata.annotations.token}"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "credentials", "annotations": {"token": TOKEN}},
        "stringData": {"password": WORD},
    }
    undo = {"http": {"url": f"{url}/logout?$(params.token)", "method": "POST", "body": "$(params.password)"}}
    leaky = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: '$(params.token)', namespace: {drplan.namespace}}}"
    create(
        drplan,
        secret,
        workflow(
            "w",
            [
                http_action("login", f"{url}/login", http={"headers": {"X-Pass": "$(params.password)"}}, rollback=undo),
                http_action("leak", f"{url}/$(outputs.login.body)"),
                http_action("refuse", f"{url}/refuse", http={"body": "$(params.password)"}),
                http_action("broken", "http://127.0.0.1:1/$(params.token)", retryPolicy={"limit": 0}),
                {"name": "wrong", "type": "KubernetesResource", "resource": {"manifest": leaky}},
            ],
            failurePolicy="Continue",
        ),
        plan(
            "p",
            [stage("s", "w")],
            globalParams=[
                {"name": name, "valueFrom": {"manifestRef": {**reference, "jsonPath": path}}}
                for name, path in paths.items()
            ],
        ),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert header(drplan.site.calls(f"{root}/login")[0], "X-Pass") == ENCODED
    assert status["resolvedParams"] == [{"name": name, "value": "***"} for name in paths]
    assert action_of(status, "login")["outputs"]["httpResponse"]["body"] == "welcome ***, that is ***"
    assert [action["phase"] for action in actions_of(status)] == [
        "Succeeded",
        "Succeeded",
        "Failed",
        "Failed",
        "Failed",
    ]
    drplan.wait_unlocked("p")
    create(drplan, revert("r", "p", "e"))
    reverted = drplan.wait_phase("r")
    drplan.wait(lambda: any(reason.startswith("Revert") and "ed" in reason for _, reason, _ in events_of(drplan, "r")))

    assert [call.body for call in drplan.site.calls(prefix=f"{root}/logout")] == [ENCODED]
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
    forms = {
        WORD,
        ENCODED,
        TOKEN,
        repr(TOKEN)[1:-1],
        json.dumps(TOKEN)[1:-1],
        quote(TOKEN),
        quote(TOKEN, safe=""),
        "quoted",
    }
    assert {(place, form) for place, text in places.items() for form in forms if form in text} == set()


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
