"""Sends reviews to the admission application in this process, as the API server would."""

from __future__ import annotations

import base64
import os
import time
import tracemalloc
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from app.kube.registrations import mutate_path, validate_path
from app.kube.resources import EXECUTIONS, PLANS, WORKFLOWS
from tests.unit.webhook.fakes import FakeLookups
from webhook.handlers import Context
from webhook.service import Limits, admission_app

Json = dict[str, Any]
CPU_SECONDS = 1.0 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 3.0
"""Processor time of one review: it grows little on a busy machine, where any other clock runs on. The limit is one
second; ordinary test runs leave room for machines that are slow themselves, and still find what hangs."""
RESOURCES = {resource.kind: resource for resource in (WORKFLOWS, PLANS, EXECUTIONS)}


def review(
    operation: str, obj: Json | None, old: Json | None = None, *, user: str = "alice", dry_run: bool = False
) -> Json:
    named = obj or old or {}
    kind = named.get("kind", "DRWorkflow")
    meta = named.get("metadata", {}) if isinstance(named.get("metadata"), dict) else {}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "review-1",
            "kind": {"group": "dr.bkbcs.tencent.com", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "dr.bkbcs.tencent.com", "version": "v1alpha1", "resource": kind.lower() + "s"},
            "name": str(meta.get("name") or ""),
            "namespace": str(meta.get("namespace") or ""),
            "operation": operation,
            "userInfo": {"username": user, "groups": ["system:authenticated"], "extra": {"k": ["v"]}},
            "object": obj,
            "oldObject": old,
            "dryRun": dry_run,
        },
    }


@dataclass
class Admission:
    """The application with a fake cluster behind it."""

    lookups: FakeLookups
    check_references: bool = True
    limits: Limits = field(default_factory=Limits)
    draining: bool = False

    def __post_init__(self) -> None:
        context = Context(self.lookups, "drplan-system", check_references=self.check_references)
        self.app = admission_app(context, self.limits, lambda: self.draining)

    async def post(self, path: str, body: bytes, **params: str) -> httpx.Response:
        """Send a body. Whatever it is, judging it takes less than a second of this process, if memory is not traced."""
        started = time.process_time()
        response = await self._send(path, body, params)
        took = time.process_time() - started
        assert took < CPU_SECONDS or tracemalloc.is_tracing(), f"the review took {took:.2f} s of processor time"
        return response

    async def _send(self, path: str, body: bytes, params: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://webhook") as client:
            return await client.post(path, content=body, params=params)

    async def send(self, path: str, body: Json, **params: str) -> Json:
        response = await self.post(path, orjson.dumps(body), **params)
        assert response.status_code == 200, response.text
        answer = orjson.loads(response.content)
        assert answer["apiVersion"] == "admission.k8s.io/v1"
        assert answer["kind"] == "AdmissionReview"
        assert answer["response"]["uid"] == "review-1"
        return dict(answer["response"])

    async def validate(self, operation: str, obj: Json | None, old: Json | None = None, **members: Any) -> Json:
        kind = (obj or old or {})["kind"]
        return await self.send(validate_path(RESOURCES[kind]), review(operation, obj, old, **members))

    async def mutate(self, operation: str, obj: Json, old: Json | None = None) -> list[Json]:
        response = await self.send(mutate_path(RESOURCES[obj["kind"]]), review(operation, obj, old))
        assert response["allowed"] is True
        if "patch" not in response:
            return []
        assert response["patchType"] == "JSONPatch"
        return list(orjson.loads(base64.b64decode(response["patch"])))
