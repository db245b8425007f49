"""The resource types that drplan talks to, and how their URL paths are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from app.engine.object_names import (
    found,
    group_problem,
    name_problem,
    namespace_problem,
    plural_problem,
    subresource_problem,
    version_problem,
)
from app.kube.errors import IllegalName

DR_GROUP = "dr.bkbcs.tencent.com"
"""API group of the three kinds of drplan."""


def group_path(group: str) -> str:
    """Path under which an API group is served, one that is not the core group. Raises IllegalName."""
    if problem := group_problem(group):
        raise IllegalName(f"API group {problem}{found(group)}")
    return f"/apis/{group}"


def api_path(group: str, version: str) -> str:
    """Path under which a version of an API group is served; the core group is empty. Raises IllegalName."""
    if problem := version_problem(version):
        raise IllegalName(f"API version {problem}{found(version)}")
    return f"{group_path(group)}/{version}" if group else f"/api/{version}"


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
        """Path under which the group and version are served. Raises IllegalName."""
        return api_path(self.group, self.version)

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object, or of its subresource.

        A namespaced resource without namespace gives the collection across all namespaces; naming an object needs the
        namespace. For cluster-scoped resources it is ignored. Raises IllegalName for whatever nothing can be called: an
        empty name too, which would mean the whole collection.
        """
        parts = [self.api_path]
        if self.namespaced and namespace:
            parts += ["namespaces", self._legal("namespace", namespace, namespace_problem(namespace))]
        elif self.namespaced and name is not None:
            raise IllegalName(f"{self.kind} {name!r}: a namespace is needed, because {self.plural} are namespaced")
        parts.append(self._legal("resource", self.plural, plural_problem(self.plural)))
        if name is not None:
            parts.append(self._legal("name", name, name_problem(name)))
        if subresource is not None:
            parts.append(self._legal("sub-resource", subresource, subresource_problem(subresource)))
        return "/".join(parts)

    def _legal(self, what: str, text: str, problem: str) -> str:
        """`text` as a segment of a path."""
        if problem:
            raise IllegalName(f"{what} of a {self.kind} {problem}{found(text)}")
        return quote(text, safe="")

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
EVENTS = Resource("", "v1", "events", "Event")
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
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
