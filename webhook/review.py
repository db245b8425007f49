"""The envelope: AdmissionReview v1 in, AdmissionReview v1 out (contract: admission 2; decision W6)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from app.engine.text import cut
from app.models.stored import members
from app.rules.findings import LONGEST_TOLD, Finding, Report, denial, with_rules
from app.rules.levels import loads_cut

REVIEW_VERSION = "admission.k8s.io/v1"

MOST_CAUSES = 500
"""Findings in `details.causes`: an object of some megabytes can have a hundred thousand."""

MOST_WARNINGS = 100

JsonObject = dict[str, Any]


class EnvelopeError(ValueError):
    """The body is no AdmissionReview; the text says why. The answer is HTTP 400."""


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Kind(_Part):
    """Group, version and kind."""

    group: str = ""
    version: str = ""
    kind: str = ""


class UserInfo(_Part):
    """Who asks, as the API server knows them."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Request(_Part):
    """What the API server wants to know. Objects stay plain: the handlers decode what they need of them."""

    uid: str = Field(min_length=1)
    kind: Kind = Kind()
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    operation: str = ""
    user_info: UserInfo = UserInfo()
    object: Any = None
    old_object: Any = None
    dry_run: bool | None = None

    @property
    def new(self) -> JsonObject:
        """The object as sent; empty when there is none."""
        return members(self.object)

    @property
    def old(self) -> JsonObject:
        """The stored object; empty when there is none."""
        return members(self.old_object)


class _Review(_Part):
    api_version: Literal["admission.k8s.io/v1"]
    kind: Literal["AdmissionReview"]
    request: Request


def parse_review(body: bytes) -> Request:
    """The request in a body. Raises EnvelopeError."""
    try:
        data = loads_cut(body)
    except orjson.JSONDecodeError as error:
        raise EnvelopeError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise EnvelopeError("the body is not an AdmissionReview: a JSON object is expected")
    try:
        return _named(_Review.model_validate(data).request)
    except ValidationError as error:
        wrong = sorted({".".join(map(str, details["loc"])) for details in error.errors()})
        raise EnvelopeError(
            f"the body is not an AdmissionReview of {REVIEW_VERSION}: wrong or missing: {', '.join(wrong)}"
        ) from error


def _named(request: Request) -> Request:
    """The request with the name of its stored object: each review of the deletion of a collection comes without one."""
    metadata = request.old.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) and not request.name else None
    return request.model_copy(update={"name": name}) if isinstance(name, str) else request


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one review."""

    allowed: bool
    code: int = HTTPStatus.OK
    reason: str = ""
    message: str = ""
    findings: Sequence[Finding] = ()
    """What refuses the object: rule ids for the log, field paths and texts for `details.causes`."""
    warnings: Sequence[str] = ()
    patch: Sequence[Mapping[str, Any]] = ()
    """JSON patch operations; empty means that nothing changes."""


ALLOWED = Verdict(allowed=True)


def verdict_of(report: Report) -> Verdict:
    """The verdict that a report leads to."""
    warnings = _warnings(report)
    if report.ok:
        return Verdict(allowed=True, warnings=warnings)
    return Verdict(
        allowed=False,
        code=HTTPStatus.FORBIDDEN,
        reason="Forbidden",
        message=with_rules(denial(report), report.errors) if report.listed else denial(report),
        findings=report.errors,
        warnings=warnings,
    )


def _warnings(report: Report) -> tuple[str, ...]:
    """The warnings, each with the id of its rule where it has one."""
    by_text = {notice.message: notice for notice in report.notices}
    return tuple(with_rules(text, [by_text[text]] if text in by_text else ()) for text in report.warnings)


def refused(code: int, reason: str, message: str, findings: Sequence[Finding] = ()) -> Verdict:
    """A refusal that no rule made: an object that cannot be read, a look-up that failed."""
    return Verdict(allowed=False, code=code, reason=reason, message=message, findings=findings)


def answer(request: Request, verdict: Verdict) -> bytes:
    """The AdmissionReview that carries a verdict."""
    response: JsonObject = {"uid": request.uid, "allowed": verdict.allowed}
    if verdict.warnings:
        response["warnings"] = _shortened(verdict.warnings)
    if verdict.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(list(verdict.patch))).decode()
    status: JsonObject = {"code": int(verdict.code)}
    if not verdict.allowed:
        status |= {"status": "Failure", "message": verdict.message}
        if verdict.reason:
            status["reason"] = verdict.reason
        status["details"] = _details(request, verdict.findings)
    response["status"] = status
    return orjson.dumps({"apiVersion": REVIEW_VERSION, "kind": "AdmissionReview", "response": response})


def _details(request: Request, findings: Sequence[Finding]) -> JsonObject:
    details: JsonObject = {"name": request.name, "group": request.kind.group, "kind": request.kind.kind}
    if findings:
        details["causes"] = [
            {
                "reason": "FieldValueInvalid",
                "field": cut(finding.path, 4 * LONGEST_TOLD),
                "message": cut(finding.message, 4 * LONGEST_TOLD),
            }
            for finding in findings[:MOST_CAUSES]
        ]
    return details


def _shortened(warnings: Sequence[str]) -> list[str]:
    """The warnings, each once, as many as a user can read."""
    different = list(dict.fromkeys(warnings))
    told = [cut(text, 4 * LONGEST_TOLD) for text in different[:MOST_WARNINGS]]
    return [*told, f"and {len(different) - MOST_WARNINGS} more warnings"] if len(different) > MOST_WARNINGS else told
