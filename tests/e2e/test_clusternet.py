"""Clusternet actions in runs and Reverts: every kind and operation (contract: clusternet 2 and 3; decision R8)."""

from __future__ import annotations

from typing import Any

from tests.e2e.support import CLUSTERNET, action_of, create, merge, read
from tests.support.installation import Installation, check_summary, execution, phases_of, plan, stage, workflow

FEED = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "web", "name": "nginx"}
MEMBERS = {
    "Localization": "localization",
    "Globalization": "globalization",
    "HelmChart": "helmChart",
    "Subscription": "subscription",
}


def _object(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": CLUSTERNET, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _block(kind: str, name: str, namespace: str, operation: str, **spec: Any) -> dict[str, Any]:
    place = {} if kind == "Globalization" else {"namespace": namespace}
    more = {"spec": spec} if spec else {}
    return {MEMBERS[kind]: {"operation": operation, "name": name, **place, **more}}


def _action(name: str, kind: str, block: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **block, **more}


def _chart(version: str) -> dict[str, Any]:
    return {"repo": "https://charts.example.invalid", "chart": "nginx", "targetNamespace": "web", "version": version}


def _subscription(site: str) -> dict[str, Any]:
    return {"subscribers": [{"clusterAffinity": {"matchLabels": {"site": site}}}], "feeds": [FEED]}


def _live(drplan: Installation, kind: str, name: str) -> dict[str, Any]:
    found = read(drplan, kind, name)
    assert found is not None, f"{kind} {name} is missing"
    return found


def _sites(subscription: dict[str, Any]) -> Any:
    return subscription["spec"]["subscribers"][0]["clusterAffinity"]["matchLabels"]["site"]


def test_every_operation_and_its_way_back(drplan: Installation) -> None:
    ns, glob = drplan.namespace, f"glob-{drplan.namespace}"
    create(
        drplan,
        _object("HelmChart", "chart-old", **_chart("1.0.0")),
        _object("Localization", "loc-old", feed=FEED),
        _object("Subscription", "sub-patched", **_subscription("a")),
        _object("Subscription", "sub-replaced", **_subscription("a")),
    )
    before = _live(drplan, "Subscription", "sub-replaced")["metadata"]["uid"]
    back = _block("Subscription", "sub-patched", ns, "Patch", **_subscription("a"))
    actions = [
        _action("loc-create", "Localization", _block("Localization", "loc-$(params.n)", ns, "Create", feed=FEED)),
        _action("glob-create", "Globalization", _block("Globalization", glob, ns, "Create", feed=FEED)),
        _action("chart-apply-old", "HelmChart", _block("HelmChart", "chart-old", ns, "Apply", **_chart("2.0.0"))),
        _action("chart-apply-new", "HelmChart", _block("HelmChart", "chart-new", ns, "Apply", **_chart("2.0.0"))),
        _action(
            "sub-patch",
            "Subscription",
            _block("Subscription", "sub-patched", ns, "Patch", **_subscription("b")),
            rollback=back,
        ),
        _action(
            "sub-replace", "Subscription", _block("Subscription", "sub-replaced", ns, "Replace", **_subscription("b"))
        ),
        _action("sub-create", "Subscription", _block("Subscription", "sub-new", ns, "Create", **_subscription("b"))),
        _action("loc-delete", "Localization", _block("Localization", "loc-old", ns, "Delete")),
    ]
    create(
        drplan,
        workflow("w", actions),
        plan("p", [stage("s", "w")], globalParams=[{"name": "n", "value": "new"}]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Succeeded")
    assert {name: action_of(status, name)["message"] for name in phases_of(status)} == {
        "loc-create": f"Localization {ns}/loc-new created successfully",
        "glob-create": f"Globalization {glob} created successfully",
        "chart-apply-old": f"HelmChart {ns}/chart-old applied successfully",
        "chart-apply-new": f"HelmChart {ns}/chart-new applied successfully",
        "sub-patch": f"Subscription {ns}/sub-patched patched successfully",
        "sub-replace": f"Subscription {ns}/sub-replaced created successfully",
        "sub-create": f"Subscription {ns}/sub-new created successfully",
        "loc-delete": f"Localization {ns}/loc-old deleted successfully",
    }
    uid = drplan.get("drpe", "e")["metadata"]["uid"]
    made = _live(drplan, "Localization", "loc-new")
    assert made["metadata"]["labels"]["dr.bkbcs.tencent.com/execution-uid"] == uid
    assert action_of(status, "loc-create")["outputs"]["localizationRef"] == {
        "apiVersion": CLUSTERNET,
        "kind": "Localization",
        "namespace": ns,
        "name": "loc-new",
        "uid": made["metadata"]["uid"],
    }
    assert _live(drplan, "HelmChart", "chart-old")["spec"]["version"] == "2.0.0"
    assert _sites(_live(drplan, "Subscription", "sub-patched")) == "b"
    assert _sites(_live(drplan, "Subscription", "sub-replaced")) == "b"
    assert _live(drplan, "Subscription", "sub-replaced")["metadata"]["uid"] != before
    assert read(drplan, "Localization", "loc-old") is None

    reverted = drplan.take_back("r", "p", "e")
    told = {
        name: (action_of(reverted, name)["phase"], action_of(reverted, name)["message"]) for name in phases_of(reverted)
    }
    assert told == {
        "loc-delete": ("Skipped", "No Localization to rollback"),
        "sub-create": ("Succeeded", f"Rolled back: deleted Subscription {ns}/sub-new"),
        "sub-replace": ("Succeeded", f"Rolled back: restored Subscription {ns}/sub-replaced"),
        "sub-patch": ("Succeeded", "Rolled back: executed custom rollback action"),
        "chart-apply-new": ("Succeeded", f"Rolled back: deleted HelmChart {ns}/chart-new"),
        "chart-apply-old": ("Succeeded", f"Rolled back: restored HelmChart {ns}/chart-old"),
        "glob-create": ("Succeeded", f"Rolled back: deleted Globalization {glob}"),
        "loc-create": ("Succeeded", f"Rolled back: deleted Localization {ns}/loc-new"),
    }
    assert list(told) == list(reversed(phases_of(status))), "in the order of the work"
    assert _live(drplan, "HelmChart", "chart-old")["spec"]["version"] == "1.0.0"
    assert _sites(_live(drplan, "Subscription", "sub-patched")) == "a"
    assert _sites(_live(drplan, "Subscription", "sub-replaced")) == "a"
    for kind, name in (
        ("Subscription", "sub-new"),
        ("HelmChart", "chart-new"),
        ("Globalization", glob),
        ("Localization", "loc-new"),
    ):
        assert read(drplan, kind, name) is None
    assert reverted["message"] == (
        "Plan reverted successfully: 1 stage(s) rolled back, 7 action(s) rolled back, 0 stage(s) skipped"
        "; not verified: the plan has no healthCheck"
    )
    check_summary(reverted)


def test_object_of_the_same_name_is_not_taken_over(drplan: Installation) -> None:
    ns = drplan.namespace
    create(
        drplan,
        _object("Localization", "taken", feed=FEED),
        workflow("w", [_action("a", "Localization", _block("Localization", "taken", ns, "Create", feed=FEED))]),
        plan("p", [stage("s", "w")]),
        execution("e", "p"),
    )
    status = drplan.wait_phase("e", "Failed")
    assert action_of(status, "a")["message"] == 'localizations.apps.clusternet.io "taken" already exists'
    drplan.wait_unlocked("p")
    reverted = drplan.take_back("r", "p", "e")
    assert action_of(reverted, "a")["message"] == "Original action phase was Failed, skipped rollback"
    assert read(drplan, "Localization", "taken") is not None, "the run did not make it, so nothing deletes it"


def test_every_kind_is_restored_by_a_revert(drplan: Installation) -> None:
    ns = drplan.namespace
    before: dict[str, dict[str, Any]] = {
        "Localization": {"feed": FEED, "priority": 1},
        "Globalization": {"feed": FEED, "priority": 1},
        "HelmChart": _chart("1.0.0"),
        "Subscription": _subscription("a"),
    }
    changed: dict[str, dict[str, Any]] = {
        "Localization": {"feed": FEED, "priority": 2},
        "Globalization": {"feed": FEED, "priority": 2},
        "HelmChart": _chart("2.0.0"),
        "Subscription": _subscription("b"),
    }
    actions = [_action(kind.lower(), kind, _block(kind, ns, ns, "Apply", **spec)) for kind, spec in changed.items()]
    create(drplan, *(_object(kind, ns, **spec) for kind, spec in before.items()))
    create(drplan, workflow("w", actions), plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait_phase("e", "Succeeded")
    assert all(_live(drplan, kind, ns)["spec"].items() >= spec.items() for kind, spec in changed.items())
    drplan.take_back("r", "p", "e")
    assert {kind: _live(drplan, kind, ns)["spec"] for kind in before} == before


def test_replace_waits_until_the_old_subscription_is_gone(drplan: Installation) -> None:
    ns = drplan.namespace
    held = _object("Subscription", "sub", **_subscription("a"))
    held["metadata"]["finalizers"] = ["example.invalid/clean-up"]
    replacing = _block("Subscription", "sub", ns, "Replace", **_subscription("b"))
    create(drplan, held, workflow("w", [_action("a", "Subscription", replacing)]))
    create(drplan, plan("p", [stage("s", "w")]), execution("e", "p"))
    drplan.wait(lambda: "deletionTimestamp" in _live(drplan, "Subscription", "sub")["metadata"])
    assert _sites(_live(drplan, "Subscription", "sub")) == "a"
    merge(drplan, "Subscription", "sub", {"metadata": {"finalizers": None}}, CLUSTERNET)
    drplan.wait_phase("e", "Succeeded")
    assert _sites(_live(drplan, "Subscription", "sub")) == "b"
