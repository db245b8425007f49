"""The settings block of an action or rollback: what each type needs (rules W4-W19, W34, W35)."""

from __future__ import annotations

from typing import Any

from app.models.actions import (
    BLOCK_MEMBER,
    ActionBody,
    ActionType,
    GlobalizationAction,
    HelmChartAction,
    HttpAction,
    JobAction,
    LocalizationAction,
    ResourceAction,
    SubscriptionAction,
    block_of,
    reads_strictly,
)
from app.rules.actions.http import check_http_request
from app.rules.actions.manifest_reading import MEMBER
from app.rules.actions.manifest_rule import check_manifest
from app.rules.actions.targets import check_target
from app.rules.actions.touched import named_targets
from app.rules.findings import Spot


def check_block(spot: Spot, body: ActionBody, type_: ActionType) -> None:
    """Check that the block of `type_` is there and complete. `spot` is the action or rollback."""
    block = block_of(body, type_)
    member = BLOCK_MEMBER[type_]
    if block is None:
        rules = {"HTTP": "W4", "Job": "W6", "HelmChart": "W12", "Subscription": "W15", "KubernetesResource": "W18"}
        rule = {"Localization": "W7", "Globalization": "W11", **rules}[type_]
        spot.error(rule, f"{type_} configuration is required", member)
        return
    inner = spot.below(member)
    match block:
        case HttpAction():
            _check_http(inner, block)
        case JobAction():
            _check_job(inner, block)
        case LocalizationAction() | GlobalizationAction():
            _check_overrides(inner, block, type_)
        case HelmChartAction():
            _check_chart(inner, block)
        case SubscriptionAction():
            _check_subscription(inner, block)
        case ResourceAction():
            _check_resource(spot, block, body)
    for target in named_targets(body, type_):
        check_target(spot, target)


def _check_http(spot: Spot, http: HttpAction) -> None:
    if not http.url:
        spot.error("W5", "HTTP.URL is required", "url")
    check_http_request(spot, http)
    for index, code in enumerate(http.success_codes):
        if not 100 <= code <= 599:
            text = f"HTTP.SuccessCodes[{index}] must be an HTTP status code (100 to 599), found {code}"
            spot.error("W35", text, f"successCodes[{index}]", found=str(code), runnable=True)


def _check_job(spot: Spot, job: JobAction) -> None:
    seconds = job.ttl_seconds_after_finished
    if seconds is not None and seconds < 0:
        text = f"Job.TTLSecondsAfterFinished must not be negative, found {seconds}"
        spot.error("W35", text, "ttlSecondsAfterFinished", found=str(seconds))
    written = job.template.spec.get("ttlSecondsAfterFinished")
    if seconds is None and isinstance(written, int) and written < 0:
        text = f"Job.Template.Spec.TTLSecondsAfterFinished must not be negative, found {written}"
        spot.error("W35", text, "template.spec.ttlSecondsAfterFinished", found=str(written), runnable=True)
    policy = _descend(job.template.spec, "template", "spec", "restartPolicy")
    if policy in (None, "", "Always"):
        found = f'"{policy}"' if policy else "none"
        text = f"Job restartPolicy must be Never or OnFailure, found {found}: the API server will refuse the Job"
        spot.warn("N11", text, "template.spec.template.spec.restartPolicy")


def _descend(value: object, *members: str) -> Any:  # noqa: ANN401  (any JSON value)
    for member in members:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def _check_overrides(spot: Spot, block: LocalizationAction | GlobalizationAction, type_: ActionType) -> None:
    rules = ("W8", "W9", "W10") if type_ is ActionType.LOCALIZATION else ("W11", "W11", "W11")
    operation = block.operation or "Create"
    if not block.name:
        spot.error(rules[0], f"{type_}.Name is required", "name")
    if isinstance(block, LocalizationAction) and not block.namespace:
        spot.error(rules[0], f"{type_}.Namespace is required", "namespace")
    if operation == "Delete":
        return
    if block.spec is None:
        spot.error(rules[1], f"{type_}.Spec is required when operation={operation}", "spec")
    elif operation != "Patch":
        feed = block.spec.feed
        if feed is None or not (feed.api_version and feed.kind and feed.name):
            text = f"{type_}.Spec.Feed (apiVersion, kind, name) is required when operation={operation}"
            spot.error(rules[2], text, "spec.feed")


def _check_chart(spot: Spot, block: HelmChartAction) -> None:
    operation = block.operation or "Create"
    if not block.name:
        spot.error("W12", "HelmChart.Name is required", "name")
    if not block.namespace:
        spot.error("W12", "HelmChart.Namespace is required", "namespace")
    if operation == "Delete":
        return
    if block.spec is None:
        spot.error("W13", f"HelmChart.Spec is required when operation={operation}", "spec")
    elif operation != "Patch":
        needed = {
            "Repo": ("repo", block.spec.repo),
            "Chart": ("chart", block.spec.chart),
            "TargetNamespace": ("targetNamespace", block.spec.target_namespace),
        }
        for word, (member, value) in needed.items():
            if not value:
                spot.error("W14", f"HelmChart.Spec.{word} is required when operation={operation}", f"spec.{member}")


def _check_subscription(spot: Spot, block: SubscriptionAction) -> None:
    operation = block.operation or "Create"
    if not block.name:
        spot.error("W15", "Subscription.Name is required", "name")
    if operation == "Delete":
        return
    if block.spec is None:
        rule = "W16" if operation == "Create" else "W34"
        spot.error(rule, f"Subscription.Spec is required when operation={operation}", "spec")
    elif operation == "Create":
        if not block.spec.feeds:
            spot.error("W17", "Subscription.Spec.Feeds is required (at least one feed)", "spec.feeds")
        if not block.spec.subscribers:
            text = "Subscription.Spec.Subscribers is required (at least one subscriber)"
            spot.error("W17", text, "spec.subscribers")


def _check_resource(spot: Spot, block: ResourceAction, body: ActionBody) -> None:
    if not block.manifest.strip():
        spot.error("W18", "KubernetesResource.Manifest is required", MEMBER)
    else:
        check_manifest(spot, block.manifest, strict=reads_strictly(body))
