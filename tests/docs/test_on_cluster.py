"""The operating guide, played on a real API server: its commands work, its messages are what people see."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from app.models.names import FINALIZER
from devcluster.api import wait_for
from devcluster.services import ServiceProcess
from tests.chart.support import one, render
from tests.docs.pages import blocks, commands
from tests.e2e.support import cancel, create
from tests.support.cluster import REPOSITORY, Cluster
from tests.support.installation import (
    Installation,
    config_map_action,
    execution,
    http_action,
    plan,
    revert,
    stage,
    workflow,
)
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("docs")

PAGE = REPOSITORY / "docs" / "operating.md"
README = REPOSITORY / "README.md"
SECURITY = REPOSITORY / "docs" / "security.md"
ALERTS = REPOSITORY / "docs" / "alerts.md"
NOT_HERE = (
    "kubectl logs ",
    "kubectl top ",
    "kubectl describe certificate",
    "kubectl delete drpe NAME",
    "kubectl delete pod ",
    "kubectl apply",
    "kubectl edit",
    "kubectl patch secret -n drplan-system $name",
)
"""What takes a kubelet, cert-manager, a pod or a file; and what hangs, as the page says."""
MAY_FIND_NOTHING = ("--field-selector", "get resourcequota")
"""What asks for a state that nothing need be in, or for what few clusters have."""
COMMANDS = [
    command
    for command in dict.fromkeys([*commands(PAGE, "kubectl"), *commands(ALERTS, "kubectl")])
    if not command.startswith(NOT_HERE)
]
MADE_BY_THE_CHART = (
    "Deployment",
    "Service",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
)


@pytest.fixture(scope="module")
def shown(installed: Cluster, site: Site) -> Installation:
    """The objects that the commands are about, the chart's Deployments included; no pods run."""
    drplan = Installation(installed, site, installed.namespace("guide"))
    # with the rights that the other tests of this installation need as well
    chart = render("rbac.readReferences=true")
    installed.apply([item for item in chart if item["kind"] in MADE_BY_THE_CHART])
    installed.apply([_harmless(item) for item in chart if item["kind"].endswith("WebhookConfiguration")])
    installed.apply(_slice_of(one(chart, "Service", "drplan-webhook")))
    for name in ("shown", "shown-ca", "drplan-webhook-tls", "drplan-webhook-authority"):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"ca.crt": "Q0E="}}
        installed.apply(secret, namespace="drplan-system")
    call = http_action("call", f"{site.url}/{drplan.namespace}/call")
    create(drplan, workflow("w", [call, config_map_action("make", "made", drplan.namespace)]))
    create(drplan, plan("shown", [stage("s", "w")]), execution("shown", "shown"))
    drplan.wait_phase("shown", "Succeeded")
    return drplan


def _harmless(registration: Mapping[str, Any]) -> dict[str, Any]:
    """A registration with the chart's labels that calls nothing, beside the one that is in use."""
    metadata = {**registration["metadata"], "name": f"shown-{registration['metadata']['name']}"}
    return {**registration, "metadata": metadata, "webhooks": []}


def _slice_of(service: Mapping[str, Any]) -> dict[str, Any]:
    """What the controller-manager, which does not run here, makes of a Service: it carries the Service's labels."""
    name, labels = service["metadata"]["name"], service["metadata"]["labels"]
    metadata = {
        **service["metadata"],
        "name": f"{name}-shown",
        "labels": {**labels, "kubernetes.io/service-name": name},
    }
    kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
    return {**kind, "metadata": metadata, "addressType": "IPv4", "endpoints": []}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(shown: Installation, command: str) -> None:
    filled = re.sub(r"\b(NAME|PLAN|site-failover)\b", "shown", re.sub(r"\bNS\b", shown.namespace, command))
    words = shlex.split(filled)[1:]
    elsewhere = any(word in ("-n", "-A") for word in words)
    answer = shown.cluster.kubectl(*words, namespace=None if elsewhere else shown.namespace, check=False)
    assert answer.rc == 0, answer.text
    if not any(part in command for part in MAY_FIND_NOTHING):
        assert "No resources found" not in answer.text


RUN = "first-x7k2p"
"""The run of the readme, under the name that the API server made up there."""


def _of_readme(part: str) -> str:
    [text] = [item.text for item in blocks(README) if item.language == "yaml" and part in item.text]
    return text


@pytest.fixture(scope="module")
def first_plan(installed: Cluster, site: Site) -> Installation:
    """The readme's first plan, applied as it says."""
    drplan = Installation(installed, site, "default")
    installed.apply(_of_readme("kind: DRPlan\n"))
    return drplan


@pytest.fixture(scope="module")
def first_run(first_plan: Installation) -> str:
    """The name of a run that was created as the readme says."""
    return _created(first_plan, _of_readme("generateName: first-,"))


def _created(drplan: Installation, manifest: str) -> str:
    """Create an execution as the readme says, wait for its success, return its name."""
    name = str(drplan.kubectl("create", "-f", "-", stdin=manifest).stdout.split()[0].partition("/")[2])
    drplan.wait_phase(name, "Succeeded")
    drplan.wait_unlocked("first")
    return name


@pytest.mark.parametrize(
    "command", [item for item in commands(README, "kubectl") if RUN in item or item == "kubectl get drpe"]
)
def test_commands_of_the_readme(first_plan: Installation, first_run: str, command: str) -> None:
    assert first_plan.kubectl(*shlex.split(command.replace(RUN, first_run))[1:], check=False).rc == 0


def test_table_of_the_readme(first_plan: Installation, first_run: str) -> None:
    [text] = [item.text for item in blocks(README) if "PROGRESS" in item.text and item.language == "console"]
    head, row = (line.replace(RUN, first_run).split() for line in text.splitlines()[1:3])
    printed = [line.split() for line in first_plan.kubectl("get", "drpe").stdout.splitlines()]
    assert printed[0] == head
    assert row[:5] in [line[:5] for line in printed]


def test_first_plan_runs_again_and_can_be_taken_back_as_the_readme_says(first_plan: Installation) -> None:
    """What a newcomer does: apply, run, run again, undo, and read what `apply` says to a run without a name."""
    first_plan.kubectl("delete", "cm", "active-site", "--ignore-not-found")
    first_plan.kubectl("apply", "-f", "-", stdin=_of_readme("kind: DRPlan\n"))
    run, undo = _of_readme("generateName: first-,"), _of_readme("generateName: first-undo-")
    first, second = _created(first_plan, run), _created(first_plan, run)
    assert first != second
    assert first_plan.get("cm", "active-site")["data"] == {"site": "berlin"}
    _created(first_plan, undo.replace(RUN, second))
    assert first_plan.exists("cm", "active-site"), "the second run found it as it is"
    _created(first_plan, undo.replace(RUN, first))
    assert not first_plan.exists("cm", "active-site"), "the first run made it"
    refused = first_plan.kubectl("apply", "-f", "-", stdin=run, check=False)
    assert "cannot use generate name with apply" in refused.stderr


FILTERS = [line for block in blocks(PAGE) for line in block.text.splitlines() if "-o json | jq" in line]


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
@pytest.mark.parametrize(
    ("line", "expected"), list(zip(FILTERS, ("", "call\tSucceeded\t\tHTTP POST succeeded"), strict=True))
)
def test_filter_works(shown: Installation, line: str, expected: str) -> None:
    program = shlex.split(line.split(" | ", 1)[1])
    stored = shown.kubectl("get", "drpe", "shown", "-o", "json").stdout
    answer = subprocess.run(program, input=stored, capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.startswith(expected)
    assert bool(answer.stdout) == bool(expected)


def test_policy_of_the_security_page_keeps_jobs_to_labelled_namespaces(installed: Cluster) -> None:
    [policy] = [item.text for item in blocks(SECURITY) if "kind: ValidatingAdmissionPolicy\n" in item.text]
    namespace = installed.namespace("policy")
    user = "--as=system:serviceaccount:drplan-system:drplan-controller"
    create_job = ("create", "job", "try", "--image=registry.invalid/x", "--dry-run=server", user)
    installed.apply(policy)
    try:
        wait_for(lambda: _refusal(installed, namespace, *create_job) != "", 30.0, "the policy to hold")
        assert "only in namespaces with the label dr-target" in _refusal(installed, namespace, *create_job)
        assert _refusal(installed, namespace, *create_job[:-1]) == "", "others are not kept from it"
        installed.kubectl("label", "namespace", namespace, "dr-target=yes")
        wait_for(lambda: _refusal(installed, namespace, *create_job) == "", 30.0, "the label to count")
    finally:
        installed.kubectl("delete", "-f", "-", stdin=policy)


def _refusal(cluster: Cluster, namespace: str, *command: str) -> str:
    return cluster.kubectl(*command, namespace=namespace, check=False).stderr


def test_registrations_of_the_chart_carry_the_label_that_breaking_the_glass_selects() -> None:
    registrations = [item for item in render() if item["kind"].endswith("WebhookConfiguration")]
    assert len(registrations) == 2
    assert {item["metadata"]["labels"]["app.kubernetes.io/instance"] for item in registrations} == {"drplan"}


QUOTED = [line for block in blocks(PAGE) if block.language == "text" for line in block.text.splitlines()]


def _quoted(message: str) -> list[str]:
    """The quotations of the page that a message fits."""
    word = re.compile(r"\\?\b(?!API\b)[A-Z]{2,}\b")
    return [line for line in QUOTED if re.search(word.sub(".+", re.escape(line)), message)]


@pytest.fixture(scope="module")
def troubled(installed: Cluster, site: Site) -> Iterator[Installation]:
    """A plan with a run that does not end by itself."""
    drplan = Installation(installed, site, installed.namespace("trouble"))
    url = f"{site.url}/{drplan.namespace}"
    site.hold(f"/{drplan.namespace}/slow")
    create(drplan, workflow("slow", [http_action("slow", f"{url}/slow"), http_action("next", f"{url}/next")]))
    create(drplan, plan("busy", [stage("s", "slow")]), execution("runs", "busy"))
    site.wait_for(f"/{drplan.namespace}/slow")
    yield drplan
    site.let_go(f"/{drplan.namespace}/slow")


def test_second_execution(troubled: Installation) -> None:
    refused = troubled.kubectl("create", "-f", "-", stdin=execution("second", "busy"), check=False)
    assert _quoted(refused.stderr) == ["plan PLAN already has a running execution: NS/OTHER"]


@pytest.mark.parametrize(
    ("kind", "name", "quoted"),
    [
        ("drw", "slow", "cannot delete DRWorkflow NS/WORKFLOW: referenced by DRPlan(s): [PLANS]"),
        ("drp", "busy", "cannot delete plan with running execution: NS/EXECUTION"),
    ],
)
def test_deletions(troubled: Installation, kind: str, name: str, quoted: str) -> None:
    assert _quoted(troubled.kubectl("delete", kind, name, check=False).stderr) == [quoted]


def test_change_of_a_spec(troubled: Installation) -> None:
    patch = '{"spec": {"mode": "Upgrade"}}'
    refused = troubled.kubectl("patch", "drpe", "runs", "--type=merge", "-p", patch, check=False)
    assert _quoted(refused.stderr) == ["cannot modify spec after creation"]


def test_execution_from_a_backup(troubled: Installation) -> None:
    create(troubled, plan("idle", [stage("s", "slow")]))
    restored = execution("restored", "idle")
    restored["metadata"]["finalizers"] = [FINALIZER]
    create(troubled, restored)
    message = troubled.wait(lambda: troubled.status("restored").get("message"))
    assert any("was restored from a backup" in line for line in _quoted(message))
    cancel(troubled, "restored")
    troubled.wait_phase("restored", "Cancelled")


def test_failed_run_and_revert_of_it(troubled: Installation) -> None:
    made = config_map_action("make", "made", troubled.namespace)
    broken = http_action("broken", f"{troubled.site.url}/status/404", retryPolicy={"limit": 0})
    create(troubled, workflow("fails", [made, broken]), plan("fails", [stage("s", "fails")]))
    create(troubled, execution("failed", "fails"))
    status = troubled.wait_phase("failed", "Failed")
    assert "Stage STAGE failed: workflow NS/WORKFLOW failed: action ACTION failed: CAUSE" in _quoted(status["message"])
    troubled.wait_unlocked("fails")
    troubled.kubectl("delete", "cm", "made")
    create(troubled, revert("back", "fails", "failed"))
    status = troubled.wait_phase("back", "Failed")
    assert _quoted(status["message"]) == ["Failed to delete KIND NS/OBJECT: not found (deleted outside this plan)"]
    troubled.wait_unlocked("fails")
    create(troubled, revert("back-2", "fails", "failed", revertOptions={"missingResources": "Ignore"}))
    troubled.wait_phase("back-2", "Succeeded")
    troubled.wait_unlocked("fails")
    refused = troubled.kubectl("create", "-f", "-", stdin=revert("back-3", "fails", "failed"), check=False)
    assert _quoted(refused.stderr) == ["execution NS/TARGET was already reverted by REVERT"]


def test_cancel_is_recorded_while_an_action_still_runs(troubled: Installation) -> None:
    cancel(troubled, "runs")
    path = '{.status.conditions[?(@.type=="Cancelled")].reason}'
    reason = troubled.wait(lambda: troubled.kubectl("get", "drpe", "runs", "-o", f"jsonpath={path}").stdout)
    assert (reason, troubled.status("runs")["phase"]) == ("CancelRequested", "Running")


def test_without_the_webhook_service_writes_are_refused_and_runs_go_on(installed: Cluster, site: Site) -> None:
    drplan = Installation(installed, site, installed.namespace("down"))
    path = f"/{drplan.namespace}/held"
    site.hold(path)
    create(drplan, workflow("w", [http_action("a", f"{site.url}{path}"), http_action("b", f"{site.url}{path}/b")]))
    create(drplan, plan("p", [stage("s", "w")]), execution("e", "p"))
    site.wait_for(path)
    [webhook] = [item for item in installed.plane.services if item.name == "webhook"]
    assert isinstance(webhook, ServiceProcess)
    webhook.stop()
    try:
        refused = drplan.kubectl("apply", "-f", "-", stdin=plan("q", [stage("s", "w")]), check=False)
        assert refused.rc != 0
        assert 'failed calling webhook "' in refused.stderr
        assert "failed to call webhook: Post " in refused.stderr
        site.let_go(path)
        drplan.wait_phase("e", "Succeeded")
        drplan.wait_unlocked("p")
    finally:
        webhook.start()
        webhook.wait_ready()
