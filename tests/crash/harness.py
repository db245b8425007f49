"""What the crash tests share: a controller behind the proxy, crashes at exact points, and what must hold afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.models.phases import Phase, may_follow
from devcluster.api import RequestError
from devcluster.services import ServiceProcess
from tests.support import proxy as requests
from tests.support.cluster import Cluster
from tests.support.installation import API, FINAL, Installation, actions_of, check_summary, http_action
from tests.support.proxy import Exchange, Match, Proxy, Rule, after, before
from tests.support.site import Call, Site

OWN = "drplan-system"
"""Namespace of the journal and the snapshots."""
CANCEL = "dr.bkbcs.tencent.com/cancel"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OWN}/leases/65498215.bkbcs.tencent.com"
JOURNAL_SELECTOR = "dr.bkbcs.tencent.com/component=journal"


class Crashing(Installation):
    """drplan with a controller that connects through the proxy and is killed at will."""

    def __init__(self, cluster: Cluster, site: Site, namespace: str, proxy: Proxy, controller: ServiceProcess) -> None:
        super().__init__(cluster, site, namespace)
        self.proxy = proxy
        self.controller = controller
        self.since = len(proxy.log)

    # requests of the controller about this test's objects

    def entry(self, event: str, name: str, *at: int) -> Match:
        """A journal write that holds such an entry of the execution; `at` are stage, workflow and action."""
        return requests.entry(self.namespace, event, name, *at)

    def execution_status(self, name: str, test: Callable[[dict[str, Any]], bool] = lambda status: True) -> Match:
        """A write of the status of an execution."""
        return requests.status_of(self.namespace, "drplanexecutions", name, test)

    def status_of_plan(self, name: str, test: Callable[[dict[str, Any]], bool] = lambda status: True) -> Match:
        """A write of the status of a plan."""
        return requests.status_of(self.namespace, "drplans", name, test)

    # crashing

    def killed_before(self, match: Match, nth: int = 1) -> Rule:
        """Kill the controller at a request, which does not reach the API server."""
        return self.proxy.on(match, before(self.controller.kill9), nth=nth)

    def killed_after(self, match: Match, nth: int = 1) -> Rule:
        """Kill the controller at a request that the API server has carried out, before the answer."""
        return self.proxy.on(match, after(self.controller.kill9), nth=nth)

    def crash(self, rule: Rule) -> None:
        """Wait for the kill."""
        rule.wait()
        assert not self.controller.running

    def restart(self, *, expire: bool = False) -> None:
        """Start the controller again, with all faults gone; unless the lease is to expire by itself, it is freed."""
        self.proxy.clear()
        if not expire:
            self.free_lease()
        self.controller.start()

    def free_lease(self) -> None:
        """Take the lease from its holder, which is dead."""
        self.merge(LEASE, {"spec": {"holderIdentity": ""}})

    # objects

    def url(self, path: str) -> str:
        """Address of a path of the site that belongs to this test."""
        return f"{self.site.url}{self.path(path)}"

    def path(self, path: str) -> str:
        """Path of the site that belongs to this test."""
        return f"/{self.namespace}/{path}"

    def http(self, name: str, **more: Any) -> dict[str, Any]:
        """An HTTP action that calls the path of its name."""
        return http_action(name, self.url(name), **more)

    def calls(self) -> dict[str, int]:
        """How often each path of this test was called."""
        return {path.rpartition("/")[2]: n for path, n in self.site.count(f"/{self.namespace}/").items()}

    def uid(self, kind: str, name: str) -> str:
        """The uid of an object."""
        return str(self.get(kind, name)["metadata"]["uid"])

    def exists(self, kind: str, name: str) -> bool:
        """Whether an object exists; by the API itself, without kubectl's start-up time."""
        try:
            self.get(kind, name)
        except RequestError as error:
            if error.status != 404:
                raise
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete an execution, without waiting until it is gone."""
        self.delete(f"/apis/{API}/namespaces/{self.namespace}/drplanexecutions/{name}")

    def create(self, *objects: Mapping[str, Any]) -> None:
        """Create objects by POST, without kubectl's start-up time."""
        plurals = {"DRWorkflow": "drworkflows", "DRPlan": "drplans", "DRPlanExecution": "drplanexecutions"}
        for obj in objects:
            root = f"/apis/{API}" if obj["kind"] in plurals else "/api/v1"
            plural = plurals.get(obj["kind"], "configmaps")
            self.cluster.api.request("POST", f"{root}/namespaces/{self.namespace}/{plural}", dict(obj))

    def cancel(self, name: str, value: str | None = "true") -> None:
        """Put the annotation that cancels on an execution, or remove it."""
        path = f"/apis/{API}/namespaces/{self.namespace}/drplanexecutions/{name}"
        self.merge(path, {"metadata": {"annotations": {CANCEL: value}}})

    def merge(self, path: str, patch: Mapping[str, Any]) -> None:
        """Merge-patch an object as the admin."""
        status, body = self.cluster.api.raw("PATCH", path, dict(patch), content_type="application/merge-patch+json")
        assert status == 200, body

    def delete(self, path: str) -> None:
        """Delete an object as the admin."""
        status, body = self.cluster.api.raw("DELETE", path)
        assert status in (200, 202), body

    # the controller's own things

    def own_config_maps(self, selector: str) -> list[dict[str, Any]]:
        """ConfigMaps of the controller's namespace."""
        query = selector.replace("=", "%3D").replace(",", "%2C").replace("/", "%2F")
        found = self.cluster.api.get(f"/api/v1/namespaces/{OWN}/configmaps?labelSelector={query}")
        return list(found["items"])

    def segments(self) -> list[dict[str, Any]]:
        """The journal's segments, in order."""
        return sorted(self.own_config_maps(JOURNAL_SELECTOR), key=lambda item: str(item["metadata"]["name"]))

    def stored_for(self, uid: str) -> list[str]:
        """Names of the snapshot's parts and prior states of a run."""
        found = self.own_config_maps(f"dr.bkbcs.tencent.com/execution-uid={uid}")
        return sorted(item["metadata"]["name"] for item in found)

    # what must hold

    def ended(self, name: str, phase: str = "Succeeded", plan: str = "p", timeout: float = 60.0) -> dict[str, Any]:
        """Wait for the end of a run and assert everything that holds of every run, however often it was interrupted."""
        status = self.wait_phase(name, phase, timeout=timeout)
        record = self.wait(lambda: self._record(name, plan), 30.0, f"plan {plan} has no final record of {name}")
        assert record["phase"] == phase
        assert record.get("completionTime") == status.get("completionTime")
        assert (self.plan_status(plan).get("currentExecution") or {}).get("name") != name
        assert phase == "Cancelled" or all(action["phase"] in (*FINAL, "Skipped") for action in actions_of(status))
        assert "completionTime" in status
        check_summary(status)
        self.check_history(name)
        self.check_nothing_repeated(name, status)
        return status

    def _record(self, name: str, plan: str) -> dict[str, Any] | None:
        uid = self.uid("drpe", name)
        records = [r for r in self.plan_status(plan).get("executionHistory", ()) if r.get("uid") == uid]
        assert len(records) <= 1, "an execution has two records"
        return records[0] if records and records[0]["phase"] in FINAL else None

    def check_history(self, name: str) -> None:
        """Assert that every status ever stored of an execution was legal, and that phases only moved forward."""
        uid = self.uid("drpe", name)
        mine = [r.json for r in self.proxy.accepted(self.execution_status(name), since=self.since)]
        statuses = [body["status"] for body in mine if body["metadata"]["uid"] == uid]
        for old, new in itertools.pairwise([{}, *statuses]):
            assert new.get("journalSequence", 0) >= old.get("journalSequence", 0)
            _check_forward(old, new)
            if new.get("stageStatuses"):
                check_summary(new)

    def check_nothing_repeated(self, name: str, status: Mapping[str, Any]) -> None:
        """Assert that the site was called by actions of runs only, and by none after its end was committed."""
        uid = self.uid("drpe", name)
        calls = self.site.calls(prefix=self.path(""))
        for key, address in _addresses(status):
            finished = self._committed(uid, "ActionFinished", address)
            mine = [call for call in calls if key_of(call) == f"{uid}/{key}"]
            assert finished is None or all(call.at < finished for call in mine), f"{key} was called again"

    def _committed(self, uid: str, event: str, address: list[int]) -> float | None:
        """When an entry was first stored, on the monotonic clock."""

        def has_it(exchange: Exchange) -> bool:
            entries = exchange.request.entries if exchange.accepted else []
            return any((e["u"], e["e"], e.get("at")) == (uid, event, address) for e in entries)

        found = self.proxy.exchanges(lambda request: request.writes_journal, since=self.since)
        return next((exchange.answered for exchange in found if has_it(exchange)), None)


def key_of(call: Call) -> str:
    """The Idempotency-Key of a call, which every one has."""
    [key] = [value for name, value in call.headers.items() if name.lower() == "idempotency-key"]
    return key


def _addresses(status: Mapping[str, Any]) -> Iterable[tuple[str, list[int]]]:
    """The idempotency key of every action, without the uid, and its address."""
    for s, stage in enumerate(status.get("stageStatuses", ())):
        for w, workflow in enumerate(stage.get("workflowExecutions", ())):
            for a, action in enumerate(workflow.get("actionStatuses", ())):
                yield f"{stage['name']}/{w}/{action['name']}", [s, w, a]


def _check_forward(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    assert may_follow(Phase(old.get("phase", "")), Phase(new["phase"])), (old.get("phase"), new["phase"])
    for level in ("stageStatuses", "workflowExecutions", "actionStatuses"):
        for before_, after_ in zip(old.get(level, ()), new.get(level, ()), strict=False):
            _check_forward(before_, after_)
