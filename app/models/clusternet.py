"""Clusternet's own spec types as far as actions carry them (contract: api 3.5; `apps.clusternet.io/v1alpha1`).

No member has a default here: what a user wrote is what is sent (decision W8).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.models.base import ApiModel, Int32, Int64
from app.models.common import LabelSelector, LabelSelectorRequirement

HELM_REPO_PATTERN = r"^(http|https|oci)?://(?:[a-zA-Z]|[0-9]|[$-_@.&+]|[!*\(\),]|(?:%[0-9a-fA-F][0-9a-fA-F]))+$"
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]


class Feed(ApiModel):
    """The object that is distributed or overridden."""

    api_version: str
    """apiVersion of the object; templated."""
    kind: str
    """Kind of the object; templated."""
    namespace: str | None = None
    """Namespace of the object; templated."""
    name: str
    """Name of the object; templated."""


class Override(ApiModel):
    """One change that Clusternet applies to a feed."""

    name: str | None = None
    """Name of the override; templated."""
    type: Literal["Helm", "JSONPatch", "MergePatch", "FieldJSONPatch", "FieldMergePatch"]
    """How `value` is applied."""
    value: str
    """The change itself; templated."""
    override_chart: bool | None = None
    """Whether the override applies to the HelmChart object itself."""
    field_path: str | None = None
    """Field that FieldJSONPatch and FieldMergePatch change."""
    field_format: Literal["YAML", "JSON"] | None = None
    """Format of that field's text."""


class LocalizationSpec(ApiModel):
    """Overrides for the feeds of one cluster."""

    override_policy: Literal["ApplyNow", "ApplyLater"] | None = None
    """When the overrides take effect. Clusternet's default: ApplyLater."""
    overrides: tuple[Override, ...] | None = None
    """The overrides, in order."""
    priority: Annotated[int, Field(ge=0, le=1000, json_schema_extra={"format": "int32"})] | None = None
    """Priority, 0 to 1000; 500 when a Create or Apply does not say."""
    feed: Feed | None = None
    """The object that is overridden."""


class GlobalizationSpec(LocalizationSpec):
    """Overrides for the feeds of many clusters."""

    cluster_affinity: LabelSelector | None = None
    """Clusters the overrides apply to; none means all."""


class ChartPullSecret(ApiModel):
    """The Secret that opens a chart repository."""

    name: str | None = None
    """Name of the Secret."""
    namespace: str | None = None
    """Namespace of the Secret."""


class HelmChartSpec(ApiModel):
    """A chart that Clusternet installs."""

    repo: Annotated[str, Field(json_schema_extra={"pattern": HELM_REPO_PATTERN})]
    """Repository URL: http, https or oci."""
    chart: str
    """Name of the chart."""
    version: str | None = None
    """Version of the chart; absent means the newest."""
    target_namespace: str
    """Namespace the chart is installed to."""
    chart_pull_secret: ChartPullSecret | None = None
    """Credentials of the repository."""
    create_namespace: bool | None = None
    """Make the namespace. Clusternet's default: true."""
    timeout_seconds: Int32 | None = None
    """Helm's time-out in seconds. Clusternet's default: 300."""
    plain_http: Annotated[bool | None, Field(alias="plainHTTP")] = None
    """Speak HTTP to an OCI registry."""
    wait: bool | None = None
    """Helm's --wait."""
    wait_for_job: bool | None = None
    """Helm's --wait-for-jobs."""
    replace: bool | None = None
    """Helm's --replace."""
    atomic: bool | None = None
    """Helm's --atomic at installation."""
    upgrade_atomic: bool | None = None
    """Helm's --atomic at an upgrade."""
    skip_crds: Annotated[bool | None, Field(alias="skipCRDs")] = None
    """Helm's --skip-crds."""
    replace_crds: Annotated[bool | None, Field(alias="replaceCRDs")] = None
    """Replace CRDs that exist."""
    disable_hooks: bool | None = None
    """Helm's --no-hooks."""
    force: bool | None = None
    """Helm's --force."""


class SubGroupStrategy(ApiModel):
    """Spreading within a sub group."""

    min_clusters: Count | None = None
    """Least number of clusters."""


class Subscriber(ApiModel):
    """A set of clusters."""

    cluster_affinity: LabelSelector
    """Clusters, by label; values are templated."""
    weight: Count | None = None
    """Weight for static dividing."""
    sub_group_strategy: SubGroupStrategy | None = None
    """Spreading within this sub group."""


class ClusterSelectorTerm(ApiModel):
    """A core/v1 NodeSelectorTerm, for clusters."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_expressions: tuple[LabelSelectorRequirement, ...] | None = None
    """Requirements on labels."""
    match_fields: tuple[LabelSelectorRequirement, ...] | None = None
    """Requirements on fields."""


class PreferredCluster(ApiModel):
    """A core/v1 PreferredSchedulingTerm, for clusters."""

    weight: Int32
    """Weight of the preference, 1 to 100."""
    preference: ClusterSelectorTerm
    """Clusters that are preferred."""


class TopologySpreadConstraint(ApiModel):
    """A core/v1 TopologySpreadConstraint, for clusters."""

    max_skew: Int32
    """Greatest difference between two domains."""
    topology_key: str
    """Label that names a domain."""
    when_unsatisfiable: str
    """What happens when the rule cannot be met: `DoNotSchedule` or `ScheduleAnyway`."""
    label_selector: LabelSelector | None = None
    """Which replicas are counted."""
    min_domains: Int32 | None = None
    """Least number of domains."""
    node_affinity_policy: str | None = None
    """`Honor` or `Ignore`."""
    node_taints_policy: str | None = None
    """`Honor` or `Ignore`."""
    match_label_keys: tuple[str, ...] | None = None
    """Labels whose values are taken from the replicas."""


class DynamicDividing(ApiModel):
    """Dividing by the free capacity of clusters."""

    strategy: Literal["Spread", "Binpack"] | None = None
    """How replicas are laid out. Clusternet's default: Spread."""
    min_clusters: Int32 | None = None
    """Least number of clusters."""
    max_clusters: Int32 | None = None
    """Greatest number of clusters."""
    preferred_clusters: tuple[PreferredCluster, ...] | None = None
    """Preferences."""
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] | None = None
    """Spreading rules."""


class DividingScheduling(ApiModel):
    """How replicas are divided among clusters."""

    type: Literal["Static", "Dynamic"] | None = None
    """Static by weight, or Dynamic by capacity. Clusternet's default: Static."""
    dynamic_dividing: DynamicDividing | None = None
    """Settings of Dynamic."""


class ClusterToleration(ApiModel):
    """A core/v1 toleration, for taints of clusters."""

    key: str | None = None
    """Taint key."""
    operator: str | None = None
    """`Exists` or `Equal`."""
    value: str | None = None
    """Taint value."""
    effect: str | None = None
    """Taint effect; empty means all."""
    toleration_seconds: Int64 | None = None
    """How long a NoExecute taint is tolerated, in seconds."""


class SubscriptionSpec(ApiModel):
    """Which feeds go to which clusters."""

    scheduler_name: str | None = None
    """Clusternet scheduler; templated. Clusternet's default: `default`."""
    scheduling_by_sub_group: bool | None = None
    """Schedule each subscriber as a group of its own."""
    scheduling_strategy: Literal["Replication", "Dividing"] | None = None
    """Clusternet's default: Replication."""
    dividing_scheduling: DividingScheduling | None = None
    """Settings of Dividing."""
    priority: Int32 | None = None
    """Priority of the Subscription."""
    preemption_policy: Literal["PreemptLowerPriority", "PreemptNever"] | None = None
    """Clusternet's default: PreemptLowerPriority."""
    feeds: tuple[Feed, ...]
    """Objects that are distributed."""
    subscribers: tuple[Subscriber, ...]
    """Clusters they go to."""
    cluster_tolerations: tuple[ClusterToleration, ...] | None = None
    """Taints of clusters that are tolerated."""
