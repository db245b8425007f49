"""Representative plans as data: what is run, what somebody does meanwhile, and which effects there are afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.crash.harness import Crashing
from tests.support.installation import config_map_action, plan, stage, workflow
from tests.support.site import Answer

Objects = list[dict[str, Any]]


class Planner(Protocol):
    """What the objects of a scenario are made with: a rig on a real API server, or one in memory."""

    namespace: str

    @property
    def site(self) -> Scripted:
        """The targets of HTTP actions."""

    def http(self, name: str, **more: Any) -> dict[str, Any]:
        """An HTTP action that calls the path of its name."""

    def path(self, path: str) -> str:
        """A path of the site that belongs to this test."""


class Scripted(Protocol):
    """Targets that answer what they were told to."""

    def script(self, path: str, *answers: Answer) -> None:
        """Give `path` these answers, one a call; the last one stays."""


Data = Mapping[str, str] | None
"""Data of a ConfigMap; None: there is no such ConfigMap."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one operation has to bring about.

    `calls` are the calls that it makes, by the last part of their path; `config_maps` is what is stored at its end.
    `cancels` and `removes` name the path of a call in whose midst the run is cancelled or deleted.
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    config_maps: Mapping[str, Data] = field(default_factory=dict)
    phase: str = "Succeeded"
    cancels: str = ""
    removes: str = ""
    meanwhile: Callable[[Crashing], None] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plan `p` and its objects, its Execute, and the Revert of an Execute that nothing disturbed."""

    name: str
    objects: Callable[[Planner], Objects]
    execute: Side
    revert: Side | None = None
    needs_jobs: bool = False
    """Whether Jobs have to run, which they do on the full profile only."""


def undone(drplan: Planner, name: str) -> dict[str, Any]:
    """A call that is undone by another call."""
    return drplan.http(name, rollback=drplan.http(f"un-{name}"))


def made(drplan: Planner, name: str, operation: str = "Create", **more: Any) -> dict[str, Any]:
    """An action for the ConfigMap of its name."""
    return config_map_action(name, name, drplan.namespace, operation, **more)


def by_hand(name: str) -> dict[str, Any]:
    """A ConfigMap that is there before the run."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"by": "hand", "keep": "1"}}


def _sequential(drplan: Planner) -> Objects:
    actions = [undone(drplan, "a"), made(drplan, "one"), undone(drplan, "b")]
    return [workflow("w", actions), plan("p", [stage("s", "w")])]


def _parallel(drplan: Planner) -> Objects:
    left = [undone(drplan, "a"), made(drplan, "one")]
    right = [made(drplan, "two"), undone(drplan, "b")]
    stages = [stage("both", "left", "right", parallel=True), stage("last", "end", dependsOn=["both"])]
    return [workflow("left", left), workflow("right", right), workflow("end", [drplan.http("c")]), plan("p", stages)]


def _graph(drplan: Planner) -> Objects:
    actions = [
        undone(drplan, "a"),
        {**made(drplan, "one"), "dependsOn": ["a"]},
        {**undone(drplan, "b"), "dependsOn": ["a"]},
        {**made(drplan, "two"), "dependsOn": ["one", "b"]},
    ]
    return [workflow("w", actions), plan("p", [stage("s", "w")])]


def _documents(drplan: Planner) -> Objects:
    names = ("one", "two", "three")
    manifest = "\n---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {drplan.namespace}}}\ndata: {{by: all}}"
        for name in names
    )
    action = {"name": "all", "type": "KubernetesResource", "resource": {"manifest": manifest}}
    return [workflow("w", [action, drplan.http("a")]), plan("p", [stage("s", "w")])]


def _changes(drplan: Planner) -> Objects:
    """Apply to an object that is there and to one that is not, and a Patch with a rollback of its own."""
    back = made(drplan, "patched", "Patch")
    patch = made(drplan, "patched", "Patch", rollback={"type": back["type"], "resource": dict(back["resource"])})
    patch["rollback"]["resource"]["manifest"] = back["resource"]["manifest"].replace("by: patched", "by: hand")
    actions = [made(drplan, "applied", "Apply"), made(drplan, "new", "Apply"), patch, drplan.http("a")]
    return [by_hand("applied"), by_hand("patched"), workflow("w", actions), plan("p", [stage("s", "w")])]


def _delete(drplan: Planner) -> Objects:
    actions = [drplan.http("a"), made(drplan, "old", "Delete"), drplan.http("b")]
    return [by_hand("old"), workflow("w", actions), plan("p", [stage("s", "w")])]


def _waits(drplan: Planner) -> Objects:
    waiting = made(drplan, "one", "Apply", waitReady=True, readyWhen="has(object.data.go)")
    return [workflow("w", [waiting, drplan.http("a")]), plan("p", [stage("s", "w")])]


def _go(drplan: Crashing) -> None:
    """Make ready what the run waits for."""
    drplan.wait(lambda: drplan.exists("cm", "one"), 90.0, "the object that is waited for was never made")
    path = f"/api/v1/namespaces/{drplan.namespace}/configmaps/one"
    drplan.merge(path, {"data": {"go": "1"}})


def _retries(drplan: Planner) -> Objects:
    often = {"retryPolicy": {"limit": 3, "interval": "100ms", "backoffMultiplier": "1.0"}}
    for path in ("b", "un-b"):
        drplan.site.script(drplan.path(path), Answer(503), Answer(429, headers={"Retry-After": "0"}), Answer(200))
    again = drplan.http("b", rollback=drplan.http("un-b", **often), **often)
    return [workflow("w", [made(drplan, "one"), again, drplan.http("a")]), plan("p", [stage("s", "w")])]


def _fails(drplan: Planner) -> Objects:
    drplan.site.script(drplan.path("bad"), Answer(400))
    actions = [undone(drplan, "a"), made(drplan, "one"), drplan.http("bad"), drplan.http("never")]
    return [workflow("w", actions), plan("p", [stage("s", "w")])]


def _job(drplan: Planner) -> Objects:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.invalid/tool"}]}
    template = {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}
    job = {"name": "job", "type": "Job", "job": {"namespace": drplan.namespace, "template": template}}
    return [workflow("w", [undone(drplan, "a"), job, drplan.http("b")]), plan("p", [stage("s", "w")])]


HAND = {"by": "hand", "keep": "1"}
SCENARIOS = (
    Scenario(
        "sequential",
        _sequential,
        Side({"a": 1, "b": 1}, {"one": {"by": "one"}}),
        Side({"un-a": 1, "un-b": 1}, {"one": None}),
    ),
    Scenario(
        "parallel",
        _parallel,
        Side({"a": 1, "b": 1, "c": 1}, {"one": {"by": "one"}, "two": {"by": "two"}}),
        Side({"un-a": 1, "un-b": 1}, {"one": None, "two": None}),
    ),
    Scenario(
        "graph",
        _graph,
        Side({"a": 1, "b": 1}, {"one": {"by": "one"}, "two": {"by": "two"}}),
        Side({"un-a": 1, "un-b": 1}, {"one": None, "two": None}),
    ),
    Scenario(
        "documents",
        _documents,
        Side({"a": 1}, {name: {"by": "all"} for name in ("one", "two", "three")}),
        Side({}, dict.fromkeys(("one", "two", "three"))),
    ),
    Scenario(
        "changes",
        _changes,
        Side(
            {"a": 1},
            {"applied": {**HAND, "by": "applied"}, "new": {"by": "new"}, "patched": {**HAND, "by": "patched"}},
        ),
        Side({}, {"applied": HAND, "new": None, "patched": HAND}),
    ),
    Scenario("delete", _delete, Side({"a": 1, "b": 1}, {"old": None})),
    Scenario(
        "waits",
        _waits,
        Side({"a": 1}, {"one": {"by": "one", "go": "1"}}, meanwhile=_go),
        Side({}, {"one": None}),
    ),
    Scenario(
        "retries",
        _retries,
        Side({"a": 1, "b": 3}, {"one": {"by": "one"}}),
        Side({"un-b": 3}, {"one": None}),
    ),
    Scenario(
        "fails",
        _fails,
        Side({"a": 1, "bad": 1}, {"one": {"by": "one"}}, phase="Failed"),
        Side({"un-a": 1}, {"one": None}),
    ),
    Scenario(
        "cancelled",
        _sequential,
        Side({"a": 1}, {"one": None}, phase="Cancelled", cancels="a"),
    ),
    Scenario(
        "cancelled-back",
        _sequential,
        Side({"a": 1, "b": 1}, {"one": {"by": "one"}}),
        Side({"un-b": 1}, {"one": {"by": "one"}}, phase="Cancelled", cancels="un-b"),
    ),
    Scenario("deleted", _sequential, Side({"a": 1}, {"one": None}, phase="Cancelled", removes="a")),
    Scenario(
        "deleted-back",
        _sequential,
        Side({"a": 1, "b": 1}, {"one": {"by": "one"}}),
        Side({"un-b": 1}, {"one": {"by": "one"}}, phase="Cancelled", removes="un-b"),
    ),
    Scenario("job", _job, Side({"a": 1, "b": 1}), Side({"un-a": 1}), needs_jobs=True),
)


def operations(scenario: Scenario) -> tuple[str, ...]:
    """The operations whose writes are disturbed: a scenario about the way back repeats no Execute of another one."""
    if scenario.name.endswith("-back"):
        return ("Revert",)
    return ("Execute", "Revert") if scenario.revert else ("Execute",)


def side(scenario: Scenario, operation: str) -> Side:
    """What an operation has to bring about."""
    wanted = scenario.execute if operation == "Execute" else scenario.revert
    assert wanted is not None
    return wanted
