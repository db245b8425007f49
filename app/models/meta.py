"""The parts of `metadata` and `status` that all kinds share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.models.base import ApiModel, Time

ConditionStatus = Literal["True", "False", "Unknown"]
CONDITION_TYPE_PATTERN = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)
"""CamelCase, or `foo.example.com/CamelCase`, as metav1 has it."""


class ObjectMeta(ApiModel):
    """The members of Kubernetes object metadata that this project reads."""

    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`, as messages print an object."""
        return f"{self.namespace}/{self.name}"


class Condition(ApiModel):
    """One condition, as `metav1.Condition`."""

    type: Annotated[str, Field(max_length=316, pattern=CONDITION_TYPE_PATTERN)]
    """Type of the condition in CamelCase."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """The `metadata.generation` the condition was computed from."""
    last_transition_time: Time
    """When the status of the condition last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """One CamelCase word that a program can act on."""
    message: Annotated[str, Field(max_length=32768)]
    """Details for a person."""
