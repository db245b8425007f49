"""Actions of a workflow: one model a type (contract: api 3)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, field_validator

from app.models.base import LONG_TEXT, MANY, ApiModel, DependsOn, Duration, Int32, Name, most
from app.models.clusternet import GlobalizationSpec, HelmChartSpec, LocalizationSpec, SubscriptionSpec
from app.models.common import SecretKeyReference, SecretReference


class ActionType(StrEnum):
    """Types of actions."""

    HTTP = "HTTP"
    JOB = "Job"
    LOCALIZATION = "Localization"
    GLOBALIZATION = "Globalization"
    HELM_CHART = "HelmChart"
    SUBSCRIPTION = "Subscription"
    KUBERNETES_RESOURCE = "KubernetesResource"


class ResourceOperation(StrEnum):
    """What an action does with its object."""

    CREATE = "Create"
    APPLY = "Apply"
    PATCH = "Patch"
    DELETE = "Delete"
    REPLACE = "Replace"


class RollbackPolicy(StrEnum):
    """What a Revert does about an action that has no `rollback` block (decision R8)."""

    RESTORE = "Restore"
    DELETE = "Delete"
    NONE = "None"


PlainOperation = Literal["Create", "Apply", "Patch", "Delete"]
SubscriptionOperation = Literal["Create", "Apply", "Patch", "Delete", "Replace"]
HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class HeaderFromSecret(ApiModel):
    """A request header whose value is read from a Secret when the action runs (decision A6)."""

    name: Name
    """Name of the header, such as `Authorization`."""
    secret_key_ref: SecretKeyReference
    """Where the value is. It never reaches a status, event or log."""
    prefix: Annotated[str, most("maxLength", LONG_TEXT)] = ""
    """Text in front of the value, such as `Bearer `."""


FollowRedirects = Annotated[
    bool | Literal["AsGet"],
    WithJsonSchema({"enum": [True, False, "AsGet"], "x-kubernetes-preserve-unknown-fields": True}),
]


class Delivery(StrEnum):
    """How often a call may arrive."""

    AT_LEAST_ONCE = "AtLeastOnce"
    AT_MOST_ONCE = "AtMostOnce"


class HttpAction(ApiModel):
    """One HTTP request."""

    url: str
    """Target; templated."""
    method: HttpMethod | None = None
    """Method; GET when absent."""
    headers: Annotated[dict[str, str], most("maxProperties", MANY)] = Field(default_factory=dict)
    """Headers; values are templated, names are not."""
    body: str = ""
    """Body; templated."""
    success_codes: Annotated[tuple[int, ...], most("maxItems", MANY)] = ()
    """Status codes that count as success; empty means 200 to 299."""
    insecure_skip_verify: bool = False
    """True: the server's certificate is not checked."""
    ca_bundle: str = ""
    """PEM certificates that the server's certificate is checked against, instead of the system's."""
    client_certificate_secret_ref: SecretReference | None = None
    """A `kubernetes.io/tls` Secret (`tls.crt`, `tls.key`) in the workflow's namespace, shown to the server."""
    headers_from: Annotated[tuple[HeaderFromSecret, ...], most("maxItems", MANY)] = ()
    """Headers whose values are read from Secrets of the workflow's namespace."""
    follow_redirects: FollowRedirects | None = None
    """False: a 3xx is the answer. True, as when absent: at most ten redirects are followed, but a 301 or 302 that would
    turn POST, PUT, PATCH or DELETE into GET fails the action. AsGet: such a one is followed by a GET without body."""
    delivery: Delivery | None = None
    """AtLeastOnce, as when absent: a call whose answer was lost is sent again, with the same Idempotency-Key.
    AtMostOnce: it is not; the run stands still (phase Unknown) and asks an operator. What was certainly not sent is
    tried again."""
    request_timeout: Duration | None = None
    """Longest time of one attempt, its name look-up and redirects included, as a Go duration. When absent, what is left
    of the action's timeout."""

    @property
    def at_most_once(self) -> bool:
        """Whether a call that may have arrived must not be sent again."""
        return self.delivery is Delivery.AT_MOST_ONCE


class JobTemplate(ApiModel):
    """The template of a Job action: a spec, no metadata."""

    spec: dict[str, Any]
    """A batch/v1 JobSpec. Every text in it is templated (decision A2)."""


class JobAction(ApiModel):
    """Run a Job and wait for it to complete."""

    namespace: str = ""
    """Namespace of the Job; templated. `default` when empty."""
    template: JobTemplate
    """The Job."""
    ttl_seconds_after_finished: Int32 | None = None
    """Overrides the member of the same name in the template: seconds a finished Job stays; from its recorded end on."""

    @property
    def removes_itself(self) -> bool:
        """Whether the Job is removed some time after it has ended."""
        spec = self.template.spec.get("ttlSecondsAfterFinished")
        return self.ttl_seconds_after_finished is not None or spec is not None


class LocalizationAction(ApiModel):
    """Make, change or delete a Clusternet Localization."""

    operation: PlainOperation | None = None
    """What to do; Create when absent."""
    name: str
    """Name; templated."""
    namespace: str
    """Namespace, that of a ManagedCluster; templated."""
    spec: LocalizationSpec | None = None
    """Spec of the Localization. Required unless the operation is Delete."""


class GlobalizationAction(ApiModel):
    """Make, change or delete a Clusternet Globalization, which is cluster-scoped."""

    operation: PlainOperation | None = None
    """What to do; Create when absent."""
    name: str
    """Name; templated."""
    spec: GlobalizationSpec | None = None
    """Spec of the Globalization. Required unless the operation is Delete."""


class HelmChartAction(ApiModel):
    """Make, change or delete a Clusternet HelmChart."""

    operation: PlainOperation | None = None
    """What to do; Create when absent."""
    name: str
    """Name; templated."""
    namespace: str
    """Namespace; templated."""
    spec: HelmChartSpec | None = None
    """Spec of the HelmChart; every text in it is templated. Required unless the operation is Delete."""


class SubscriptionAction(ApiModel):
    """Make, change, replace or delete a Clusternet Subscription."""

    operation: SubscriptionOperation | None = None
    """What to do; Create when absent."""
    name: str
    """Name; templated."""
    namespace: str = ""
    """Namespace; templated. `default` when empty."""
    spec: SubscriptionSpec | None = None
    """Spec of the Subscription. Required unless the operation is Delete."""


class ResourceAction(ApiModel):
    """Make, change or delete any objects of the cluster."""

    operation: PlainOperation | None = None
    """What to do; Create when absent. Patch is a JSON merge patch of the manifest."""
    manifest: str
    """YAML text, one document or several; templated as text before it is parsed."""


class RetryPolicy(ApiModel):
    """How often and when a failed attempt is repeated (decision A1)."""

    limit: Int32 | None = None
    """Further attempts after the first; 3 when absent, 0 for none."""
    interval: Duration | None = None
    """First back-off as a Go duration; 5s when absent."""
    backoff_multiplier: Duration | None = None
    """Growth of the back-off, a decimal number of at least 1.0; 2.0 when absent. One back-off is at most 5 minutes."""


class HookCleanup(ApiModel):
    """When a hook's Subscription is deleted."""

    before_create: bool = False
    """Before it is made."""
    on_success: bool = False
    """After it succeeded."""
    on_failure: bool = False
    """After it failed."""


class ActionBody(ApiModel):
    """What actions and rollbacks have in common: a type and the block that belongs to it."""

    http: HttpAction | None = None
    """Settings of type HTTP."""
    job: JobAction | None = None
    """Settings of type Job."""
    localization: LocalizationAction | None = None
    """Settings of type Localization."""
    globalization: GlobalizationAction | None = None
    """Settings of type Globalization."""
    helm_chart: HelmChartAction | None = None
    """Settings of type HelmChart."""
    subscription: SubscriptionAction | None = None
    """Settings of type Subscription."""
    resource: ResourceAction | None = None
    """Settings of type KubernetesResource."""
    timeout: Duration | None = None
    """Total time from the first start, retries included, as a Go duration; 5m when absent."""
    wait_ready: bool = False
    """Wait until a Subscription's feeds or a KubernetesResource's objects are ready. Job actions always wait."""
    ready_when: Annotated[str, most("maxLength", LONG_TEXT)] = ""
    """When `waitReady` counts an object as ready, instead of the rule of its kind: the name of a condition that is
    True, or a CEL expression over `object` that gives a bool. For KubernetesResource actions."""
    retry_policy: RetryPolicy | None = None
    """Repetition of failed attempts."""
    field_validation: Literal["", "Strict", "Warn", "Ignore"] = ""
    """What the API server does about unknown and doubled fields of the objects that the action writes: refuse them,
    warn, or drop them silently. Strict when absent; Warn for Clusternet's kinds."""


class Rollback(ActionBody):
    """What takes an action back, instead of the automatic rollback. Of any type (decision A4)."""

    name: str = ""
    """Name; that of the action when empty."""
    type: ActionType | None = None
    """Type; when absent, that of the only block given, else that of the action."""

    @field_validator("type", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        """Drop the `type: ""` that the Go operator's webhook adds to a rollback without one (contract: api 7)."""
        return None if value == "" else value


class Action(ActionBody):
    """One step of a workflow."""

    name: Name
    """Name, unique within the workflow."""
    type: ActionType
    """Selects the block that applies."""
    rollback: dict[str, Any] | None = None
    """What takes this action back: an action of any type, without a required name."""
    rollback_policy: RollbackPolicy | None = None
    """What a Revert does without a `rollback`. Restore: what the action created is deleted, what it changed gets the
    changed fields back, what it deleted is created again. Delete: what it created is deleted, the rest stays. None:
    all stays. When absent, as Restore, but Patch needs a `rollback`, and what was deleted stays deleted."""
    depends_on: DependsOn = ()
    """Actions that must be done first. When any action of the workflow has one, all run as a graph."""
    when: Annotated[str, most("maxLength", LONG_TEXT)] = ""
    """Run only if this holds: clauses `mode == "install"` joined by `||`, or a CEL expression that gives a bool."""
    hook_type: str = ""
    """Helm hook the action came from."""
    cluster_execution_mode: Literal["", "Global", "PerCluster"] = ""
    """PerCluster runs a Subscription on each cluster by itself."""
    hook_cleanup: HookCleanup | None = None
    """When a hook's Subscription is deleted."""

    def custom_rollback(self) -> Rollback | None:
        """Return the decoded `rollback` block, or None. Raises `pydantic.ValidationError` when it is malformed."""
        return None if self.rollback is None else Rollback.from_wire(self.rollback)


BLOCK_OF_TYPE: dict[ActionType, str] = {
    ActionType.HTTP: "http",
    ActionType.JOB: "job",
    ActionType.LOCALIZATION: "localization",
    ActionType.GLOBALIZATION: "globalization",
    ActionType.HELM_CHART: "helm_chart",
    ActionType.SUBSCRIPTION: "subscription",
    ActionType.KUBERNETES_RESOURCE: "resource",
}
"""From a type to the attribute of `ActionBody` that holds its settings."""

BLOCK_MEMBER: dict[ActionType, str] = {
    type_: ActionBody.model_fields[name].alias or name for type_, name in BLOCK_OF_TYPE.items()
}
"""From a type to the wire name of its block."""


def block_of(body: ActionBody, type_: ActionType) -> ApiModel | None:
    """Return the settings block of `body` that belongs to `type_`, or None when it is missing."""
    return getattr(body, BLOCK_OF_TYPE[type_])  # type: ignore[no-any-return]


def rollback_type(rollback: Rollback, action_type: ActionType) -> ActionType:
    """Return the type a rollback runs as.

    `type` when given (decision A4); else the type of its only block; else the action's type, as in the Go operator.
    """
    if rollback.type is not None:
        return rollback.type
    given = [type_ for type_ in BLOCK_OF_TYPE if block_of(rollback, type_) is not None]
    return given[0] if len(given) == 1 else action_type


def rollback_policy_of(body: ActionBody) -> RollbackPolicy | None:
    """Return the policy of an action; None when it says nothing, or when a `rollback` block takes it back."""
    return body.rollback_policy if isinstance(body, Action) and body.rollback is None else None


def reads_strictly(body: ActionBody) -> bool:
    """Tell whether doubled keys of a KubernetesResource action's manifest are refused; a Delete sends none of it."""
    deletes = operation_of(body, ActionType.KUBERNETES_RESOURCE) is ResourceOperation.DELETE
    return body.field_validation in ("", "Strict") and not deletes


def operation_of(body: ActionBody, type_: ActionType) -> ResourceOperation | None:
    """Return the operation of an object action, Create when it says none; None for HTTP and Job."""
    if type_ in (ActionType.HTTP, ActionType.JOB):
        return None
    block = block_of(body, type_)
    written = getattr(block, "operation", None)
    return ResourceOperation(written) if written else ResourceOperation.CREATE
