"""Parameters and references, shared by the three kinds (contract: api 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from app.models.base import LONG_NAME, LONG_TEXT, ApiModel, most

_Short = Annotated[str, most("maxLength", LONG_NAME)]
_Long = Annotated[str, most("maxLength", LONG_TEXT)]


class ParameterType(StrEnum):
    """Type of a parameter. Every resolved value is text; the type is checked before the first action."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Select(StrEnum):
    """Which object is taken when a `manifestRef` matches several."""

    LAST = "Last"
    FIRST = "First"
    SINGLE = "Single"
    ANY = "Any"


class ManifestRef(ApiModel):
    """A value read from an object of the cluster when a run starts."""

    api_version: _Short
    """apiVersion of the object. Not templated."""
    kind: _Short
    """Kind of the object. Not templated."""
    namespace: _Long = ""
    """Namespace of the object; templated. Empty means cluster-scoped, or all namespaces with `labelSelector`."""
    name: _Long = ""
    """Name of the object; templated. Exclusive with `labelSelector`."""
    label_selector: _Long = ""
    """Label selector; templated. With neither name nor selector every object of the namespace is a candidate."""
    json_path: _Long
    """Which value is taken, in kubectl's JSONPath dialect such as `{.metadata.name}`. A missing key and an empty
    result are errors."""
    select: Select = Select.LAST
    """Which one is taken when several match: `Last` and `First` by creationTimestamp, `Single` demands exactly one,
    `Any` takes the first listed."""


class ValueSource(ApiModel):
    """Where a parameter's value comes from."""

    manifest_ref: ManifestRef | None = None
    """An object of the cluster."""


class Parameter(ApiModel):
    """A named value. At each level the value is `value`, else `valueFrom`, else `default`; none of them means that the
    level below decides (decision P8).
    """

    name: _Short
    """Name: `[a-zA-Z][a-zA-Z0-9_-]*`. `mode` is reserved."""
    type: ParameterType = ParameterType.STRING
    """Type that the value must have: `number` (a decimal number), `boolean` (`true` or `false`) or `string`."""
    required: bool = False
    """True: the run does not start when no level gives a value."""
    value: str | None = None
    """The value. Never expanded again, even when it contains placeholders."""
    default: str | None = None
    """The value when neither `value` nor `valueFrom` is given."""
    description: str = ""
    """Free text."""
    value_from: ValueSource | None = None
    """Read the value from the cluster when the run starts."""


class ObjectReference(ApiModel):
    """Name and namespace of an object."""

    name: str
    """Name of the object."""
    namespace: str = ""
    """Namespace of the object."""

    @property
    def key(self) -> str:
        """`namespace/name`, as messages print a reference."""
        return f"{self.namespace}/{self.name}"

    def key_in(self, namespace: str) -> tuple[str, str]:
        """Return namespace and name; one without namespace means the `namespace` of whoever has the reference."""
        return self.namespace or namespace, self.name


class CoreReference(ApiModel):
    """A core/v1 ObjectReference: which object an action made or touched."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    api_version: str = ""
    """apiVersion of the object."""
    kind: str = ""
    """Kind of the object."""
    namespace: str = ""
    """Namespace; empty for cluster-scoped kinds."""
    name: str = ""
    """Name of the object."""
    uid: str = ""
    """UID of the object. Deletions carry it as a precondition (decision A5)."""
    resource_version: str = ""
    """resourceVersion the reference was made from."""
    field_path: str = ""
    """Part of the object that is meant."""


class LabelSelectorRequirement(ApiModel):
    """One expression of a label selector."""

    key: str
    """Label key."""
    operator: str
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: tuple[str, ...] = ()
    """Values to compare with."""


class LabelSelector(ApiModel):
    """A label selector; an empty one matches everything."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: dict[str, str] = Field(default_factory=dict)
    """Labels that must be there with these values."""
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    """Expressions that must hold."""


class SecretReference(ApiModel):
    """A Secret in the namespace of the object that names it."""

    name: Annotated[str, Field(min_length=1), most("maxLength", LONG_NAME)]
    """Name of the Secret."""


class SecretKeyReference(ApiModel):
    """One key of a Secret in the namespace of the object that names it."""

    name: Annotated[str, Field(min_length=1), most("maxLength", LONG_NAME)]
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1), most("maxLength", LONG_NAME)]
    """Key within the Secret's data."""
