"""The image's files, made by the Dockerfile's own steps, and both processes from them as the image's user.

No container engine is needed: the steps run below a folder, with the paths that they make put below it. What follows
of the image is tried: its user, its environment without a home, and a tree that nobody may write to.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.runtime.build import COMMIT_VARIABLE
from devcluster import ControlPlane, ServiceProcess, WebhookProcess, register_webhooks
from tests.image.dockerfile import context, stages
from tests.image.steps import SYSTEM_PATH, Builder, StepError, base_python, listing, seal
from tests.support.cluster import CRDS, REPOSITORY, Cluster
from tests.support.installation import Installation, http_action, phases_of, plan, stage, workflow
from tests.support.planes import plane_fixture
from tests.support.site import Site

pytestmark = [
    pytest.mark.xdist_group("image"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a process as the image's user"),
]
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
UID, GID = (int(part) for part in stages()[-1].values("USER")[0].split(":"))


@dataclass(frozen=True, slots=True)
class Image:
    """The files of the image, and what runs in it."""

    root: Path

    @property
    def program(self) -> str:
        """The entry point."""
        return f"{self.root}/opt/drplan/bin/drplan"

    @property
    def environment(self) -> dict[str, str]:
        """What a container's process has: the image's variables, and no home."""
        variables = {name: value.replace("${COMMIT}", COMMIT) for name, value in stages()[-1].pairs("ENV").items()}
        return {"PATH": SYSTEM_PATH, **variables}

    def run(self, *arguments: str, program: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as the image's user, in the image's working directory."""
        return subprocess.run(
            [program or self.program, *arguments],
            cwd="/",
            env=self.environment,
            user=UID,
            group=GID,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def built() -> Iterator[Builder]:
    """The first stage, carried out. Its folder can be entered by all, which those of pytest cannot."""
    python = base_python(UID)
    if python is None:
        pytest.skip(
            f"user {UID} may run no python3 of 3.11 or newer with venv: neither the one on {SYSTEM_PATH} nor the "
            "tests' own; one in root's home does not do, since nobody else may enter that"
        )
    with tempfile.TemporaryDirectory(prefix="drplan-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        builder = Builder(folder / "root", folder / "context", {"VERSION": VERSION, "COMMIT": COMMIT}, python)
        builder.root.mkdir()
        builder.context.mkdir()
        context(builder.context)
        builder.run(stages()[0])
        yield builder


@pytest.fixture(scope="module")
def image(built: Builder) -> Iterator[Image]:
    """What the second stage takes of it, sealed; at the end nothing was written."""
    for name in ("src", "dist", "opt/build"):
        shutil.rmtree(built.root / name)
    seal(built.root)
    before = listing(built.root)
    yield Image(built.root)
    assert listing(built.root) == before


@plane_fixture(scope="module")
def running(image: Image) -> Iterator[Cluster]:
    """A control plane whose webhook service and controller run from the image's files."""
    with tempfile.TemporaryDirectory(prefix="drplan-image-") as name, ControlPlane("minimal") as plane:
        plane.api.install_crds(CRDS)
        own = Path(name)
        certificates = own / "certificates"
        certificates.mkdir()
        webhook = _webhook(image, plane, own, certificates)
        controller = _controller(image, plane, own)
        _give(own)
        for process in (webhook, controller):
            plane.services.append(process)
            process.start()
            process.wait_ready()
        register_webhooks(plane, webhook)
        yield Cluster(plane)


def _webhook(image: Image, plane: ControlPlane, own: Path, certificates: Path) -> WebhookProcess:
    health, metrics, port = plane.port(), plane.port(), plane.port()
    flags = [f"--webhook-port={port}", "--api-port=0", f"--cert-dir={certificates}", "--drain-seconds=0"]
    command = _command(image, plane, own, "webhook", health, metrics) + flags
    log = plane.layout.logs / "webhook.log"
    process = WebhookProcess("webhook", command, log, image.environment, health, metrics)
    process.webhook_port, process.cert_dir = port, certificates
    return process


def _controller(image: Image, plane: ControlPlane, own: Path) -> ServiceProcess:
    health, metrics = plane.port(), plane.port()
    flags = ["--namespace=drplan-system", "--egress-loopback"]
    command = [*_command(image, plane, own, "controller", health, metrics), *flags]
    log = plane.layout.logs / "controller.log"
    return ServiceProcess("controller", command, log, image.environment, health, metrics)


def _command(image: Image, plane: ControlPlane, own: Path, name: str, health: int, metrics: int) -> list[str]:
    kubeconfig = shutil.copy(plane.identity(name).kubeconfig, own / f"{name}.kubeconfig")
    user = [f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    return [
        *["setpriv", *user, "--pdeathsig=KILL", image.program, name],
        *[f"--kubeconfig={kubeconfig}", "--bind-address=127.0.0.1"],
        *[f"--health-port={health}", f"--metrics-port={metrics}"],
    ]


def _give(folder: Path) -> None:
    """Let the image's user own a folder and what is in it, as it owns what is mounted into its pod."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, UID, GID)


def _status_of(process: ServiceProcess) -> Mapping[str, str]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _processes(cluster: Cluster) -> list[ServiceProcess]:
    return [item for item in cluster.plane.services if isinstance(item, ServiceProcess)]


def test_another_version_than_the_packages_ends_the_build(built: Builder) -> None:
    [check] = [item for item in stages()[0].instructions if item.name == "RUN" and "VERSION" in item.value]
    with pytest.raises(StepError, match="exit code 1"):
        built._run(check.value, built.root, {"VERSION": "9.9.9", "PATH": SYSTEM_PATH})


def test_version_says_which_build_it_is(image: Image) -> None:
    answer = image.run("version")
    assert re.fullmatch(rf"drplan {re.escape(VERSION)} \(commit {COMMIT}, Python 3\.\d+\.\d+\)\n", answer.stdout)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("command", ["webhook", "controller", "selftest"])
def test_the_commands_of_the_chart_are_there(command: str, image: Image) -> None:
    answer = image.run(command, "--help")
    assert answer.stdout.startswith(f"usage: drplan {command} ")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_code_is_the_images(image: Image) -> None:
    code = "import app, controller, webhook; print(*(m.__file__ for m in (app, controller, webhook)))"
    answer = image.run("-c", code, program=f"{image.root}/opt/drplan/bin/python")
    assert answer.returncode == 0, answer.stderr
    assert all(path.startswith(f"{image.root}/opt/drplan/lib/") for path in answer.stdout.split())


def test_traces_can_be_exported(image: Image) -> None:
    code = "import opentelemetry.sdk.trace, opentelemetry.exporter.otlp.proto.http.trace_exporter"
    answer = image.run("-c", code, program=f"{image.root}/opt/drplan/bin/python")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_packages_are_compiled_before(image: Image) -> None:
    """Since nothing is written later, a start would compile every module anew."""
    folder = next((image.root / "opt/drplan/lib").glob("python3.*/site-packages/controller"))
    sources = {path.stem for path in folder.glob("*.py")}
    assert sources == {path.name.split(".")[0] for path in (folder / "__pycache__").glob("*.pyc")}


def test_the_tree_cannot_be_written(image: Image) -> None:
    answer = image.run("-c", f"touch {image.root}/opt/drplan/lib/new", program="/bin/sh")
    assert "Permission denied" in answer.stderr


def test_both_processes_run_as_the_images_user_without_rights(running: Cluster) -> None:
    for process in _processes(running):
        status = _status_of(process)
        assert status["Uid"].split() == [str(UID)] * 4
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"] == "1"


def test_the_metrics_say_which_build_it_is(running: Cluster) -> None:
    for process in _processes(running):
        [line] = re.findall(r"^drplan_build_info\{.*$", process.metrics(), re.MULTILINE)
        assert f'commit="{COMMIT}"' in line
        assert f'version="{VERSION}"' in line


def test_a_plan_runs_and_a_wrong_one_is_refused(running: Cluster, site: Site) -> None:
    drplan = Installation(running, site, running.namespace())
    drplan.apply(
        workflow("w", [http_action("call", f"{site.url}/{drplan.namespace}/call")]), plan("p", [stage("s", "w")])
    )
    assert phases_of(drplan.run("e", "p")) == {"call": "Succeeded"}
    answer = drplan.kubectl("delete", "drw", "w", check=False)
    assert "vdrworkflow.kb.io" in answer.stderr


def test_the_environment_is_the_images(image: Image) -> None:
    answer = image.run(program="/usr/bin/env")
    assert f"{COMMIT_VARIABLE}={COMMIT}" in answer.stdout.splitlines()
    assert "HOME=" not in answer.stdout
