"""The base of every API model: camelCase on the wire, unknown fields ignored, values never mutated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator
from pydantic.alias_generators import to_camel

GROUP = "dr.bkbcs.tencent.com"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


def rfc3339(moment: datetime) -> str:
    """Return `moment` as Kubernetes writes `metav1.Time`: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)


def _held(value: object, handler: ValidatorFunctionWrapHandler) -> datetime:
    """Decode a time; the API server takes more than Python can count with, which becomes the nearest that it can.

    Whoever writes a status must not make an object unreadable by it.
    """
    if isinstance(value, str) and value.startswith("0000-"):
        return _FIRST
    moment: datetime = handler(value)
    if _FIRST.year < moment.year < _LAST.year:
        return moment
    return max(_FIRST, min(moment.replace(tzinfo=UTC), _LAST))


Time = Annotated[datetime, WrapValidator(_held), PlainSerializer(rfc3339, return_type=str, when_used="always")]
"""A point in time. RFC 3339 in whole seconds on the wire, finer in memory (contract: api 1)."""


def rfc3339_micro(moment: datetime) -> str:
    """Return `moment` as Kubernetes writes `metav1.MicroTime`: UTC, six digits of the second, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


MicroTime = Annotated[
    datetime, WrapValidator(_held), PlainSerializer(rfc3339_micro, return_type=str, when_used="always")
]
"""A point in time that must be the same after a restart, to the microsecond. RFC 3339 on the wire."""

Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
"""An integer whose schema has the format int32."""

Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
"""An integer whose schema has the format int64."""


def most(keyword: str, number: int) -> Any:  # noqa: ANN401 - what Field gives
    """Return a limit for the schema of the API alone, such as `maxItems`: the API server refuses what is beyond it.

    Models do not enforce it, so that objects which were stored without it stay readable.
    """
    return Field(json_schema_extra={keyword: number})


MANY_ACTIONS = 2_000
"""Actions of a workflow: a status has room for no more."""
MANY = 1_000
"""Stages, workflows of a stage, parameters, and dependencies of one node."""
LONG_NAME = 512
LONG_TEXT = 4_096
"""Characters of a condition."""
Name = Annotated[str, Field(min_length=1), most("maxLength", LONG_NAME)]
"""A name that is free text."""
Duration = Annotated[str, most("maxLength", 256)]
"""A duration as Go writes it, or a number."""
DependsOn = Annotated[tuple[str, ...], most("maxItems", MANY)]


class ApiModel(BaseModel):
    """A part of an API object.

    Python names are snake_case, wire names camelCase by alias; both are accepted as input. Unknown fields are
    ignored, as the API server prunes them. Instances are frozen: a change is a `model_copy(update=...)`.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        serialize_by_alias=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON-ready form: aliases, absent values omitted, only what was set or differs from a default."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)

    def written(self) -> dict[str, Any]:
        """Return just the members that the user wrote, in wire form, without any default of the model.

        Payloads that are sent on to the API server use this, so that a Patch changes only what it says (decision W8).
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Validate a decoded JSON object. Raises `pydantic.ValidationError`."""
        return cls.model_validate(data)
