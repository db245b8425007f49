"""Names, namespaces and apiVersions that lead out of the path of a request, and objects that nobody may touch.

Whoever writes workflows may write them into manifests, or have a run read them. The corpus has them too, so that
fuzzing mixes them and the benchmark `hostile` sends them.
"""

from __future__ import annotations

from app.models.base import API_VERSION as API

OWN = "drplan-system"
CANARY = "canary"
NAME = "must not be '.' or '..', or have '/' or '%' in it"
NAMESPACE = "must consist of lower case letters, digits and '-'"
VERSION = "must be <version> or <group>/<version>"
MINE = f"namespace {OWN} is the controller's own"

HOSTILE: tuple[tuple[str, str, str, str, str], ...] = (
    ("v1", "ConfigMap", f"{OWN}/configmaps/{CANARY}", "..", NAME),
    ("v1", "ConfigMap", f"{OWN}/configmaps", CANARY, NAMESPACE),
    ("v1", "ConfigMap", "NS", f"../../{OWN}/configmaps/{CANARY}", NAME),
    ("v1", "ConfigMap", "NS", "..", NAME),
    ("v1", "ConfigMap", "NS", ".", NAME),
    ("v1", "ConfigMap", "NS", f"%2e%2e%2f..%2f{OWN}%2fconfigmaps%2f{CANARY}", NAME),
    ("v1", "ConfigMap", "NS", f"..%252f{CANARY}", NAME),
    ("v1", "Pod", "NS", "pod/log", NAME),
    ("v1", "ServiceAccount", "NS", "default/token", NAME),
    ("v1", "Namespace", "NS", "default/finalize", NAME),
    ("v1", "ConfigMap", "NS", f"a\u2028{CANARY}", "must not have control characters"),
    ("v1", "ConfigMap", "NS", f"a\u200b{CANARY}", "must not have control characters"),
    ("v1", "ConfigMap", f"{OWN}.", CANARY, NAMESPACE),
    ("v1", "ConfigMap", "NS", "x" * 254, "must have at most 253 bytes"),
    ("v1", "ConfigMap", "NS", "ü" * 127, "must have at most 253 bytes"),
    ("v1", "ConfigMap", f"{OWN}?x=", CANARY, NAMESPACE),
    ("v1", "ConfigMap", f"NS%5C..%5C{OWN}", CANARY, NAMESPACE),
    ("v1", "ConfigMap", "DRPLAN-SYSTEM", CANARY, NAMESPACE),
    ("v1", "ConfigMap", OWN, CANARY, MINE),
    ("v1", "Namespace", "NS", OWN, MINE),
    ("/v1", "Secret", "NS", "x", VERSION),
    ("../api/v1/configmaps?x=/y", "ConfigMap", "NS", CANARY, VERSION),
    ("dr.bkbcs.tencent.com./v1alpha1", "DRPlan", "NS", "p", VERSION),
    ("coordination\u2024k8s.io/v1", "Lease", "NS", "x", VERSION),
    ("v1#", "ConfigMap", "NS", CANARY, VERSION),
    (f"../api/v1/namespaces/{OWN}/configmaps/{CANARY}/v1", "ConfigMap", "NS", "x", VERSION),
    ("apps/v1/deployments", "Deployment", "NS", "x", VERSION),
    ("v1", "configmaps/x", "NS", CANARY, "kind must be a word of letters and digits"),
    ("v1", "secret", "NS", "x", "serves no kind"),
    ("v1", "Event", "NS", "x", "this belongs to Events"),
    ("events.k8s.io/v1", "Event", "NS", "x", "this belongs to Events"),
    ("coordination.k8s.io/v1", "Lease", OWN, "65498215.bkbcs.tencent.com", "this belongs to Leases"),
    ("coordination.k8s.io/v1", "Lease", "kube-system", "kube-scheduler", "this belongs to Leases"),
    (API, "DRPlanExecution", "NS", "somebody", "this belongs to drplan's own kinds"),
    (API, "DRWorkflow", "NS", "w", "this belongs to drplan's own kinds"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "NS", "x", "admission webhooks and policies"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "NS", "x", "admission webhooks and policies"),
    ("authentication.k8s.io/v1", "TokenReview", "NS", "x", "this belongs to reviews of tokens"),
    ("authorization.k8s.io/v1", "SubjectAccessReview", "NS", "x", "this belongs to reviews of rights"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "NS", "drplan-controller", "roles and their bindings"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "NS", "mine", "this belongs to roles and their bindings"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "NS", "edit", "this belongs to roles and their bindings"),
    ("rbac.authorization.k8s.io/v1", "Role", "kube-system", "mine", "this belongs to roles and their bindings"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", "NS", "x", "this belongs to requests of certificates"),
    ("apiregistration.k8s.io/v1", "APIService", "NS", "v1.apps", "this belongs to registrations of API services"),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "NS", "exempt", "this belongs to the API server's flow control"),
    ("v1", "Binding", "NS", "x", "this belongs to bindings of Pods"),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "NS",
        "drplans.dr.bkbcs.tencent.com",
        "this defines one of drplan's own kinds",
    ),
)
"""apiVersion, kind, namespace (`NS`: one that the author may use), name; and what the refusal says."""
