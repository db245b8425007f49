"""The resource types that drplan talks to, and how their URL paths are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

DR_GROUP = "dr.bkbcs.tencent.com"
"""API group of the three kinds of drplan."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type of the API: where it is served and what its objects are called."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    reports_status: bool = field(default=True, compare=False)
    """Whether a status of its objects is served, so that somebody can be expected to write it."""

    @property
    def api_version(self) -> str:
        """`v1` for the core group, `group/version` otherwise: the `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api_path(self) -> str:
        """Path under which the group and version are served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object, or of its subresource.

        A namespaced resource without namespace gives the collection across all namespaces; naming an object
        needs the namespace and raises ValueError without it. For cluster-scoped resources it is ignored.
        """
        parts = [self.api_path]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        elif self.namespaced and name:
            raise ValueError(f"{self.kind} {name!r}: a namespace is needed, because {self.plural} are namespaced")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


WORKFLOWS = Resource(DR_GROUP, "v1alpha1", "drworkflows", "DRWorkflow")
PLANS = Resource(DR_GROUP, "v1alpha1", "drplans", "DRPlan")
EXECUTIONS = Resource(DR_GROUP, "v1alpha1", "drplanexecutions", "DRPlanExecution")

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
PODS = Resource("", "v1", "pods", "Pod")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
JOBS = Resource("batch", "v1", "jobs", "Job")

LOCALIZATIONS = Resource("apps.clusternet.io", "v1alpha1", "localizations", "Localization")
GLOBALIZATIONS = Resource("apps.clusternet.io", "v1alpha1", "globalizations", "Globalization", namespaced=False)
HELM_CHARTS = Resource("apps.clusternet.io", "v1alpha1", "helmcharts", "HelmChart")
SUBSCRIPTIONS = Resource("apps.clusternet.io", "v1alpha1", "subscriptions", "Subscription")

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
MUTATING_WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
