"""Finding and building the binaries, with a ``go`` command of our own in place of the real one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devcluster.binaries import BinaryError, ensure, ensure_files
from devcluster.build import build, cached_path, spell_seconds
from devcluster.tools import (
    CERT_MANAGER_CRDS,
    ETCD,
    HELM,
    KUBE_APISERVER,
    KUBECTL,
    KWOK,
    KWOK_STAGES,
    PROMETHEUS_CRDS,
    PROMTOOL,
    TOOLS,
    Tool,
)

FAKE_GO = """#!/bin/sh
echo "go $*" >> "$FAKE_GO_CALLS"
echo "compiling"
{body}
"""
WRITE_OUTPUT = 'while [ "$1" != "-o" ]; do shift; done; printf "#!/bin/sh\\n" > "$2"; chmod +x "$2"'


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without binaries: an empty cache, and a PATH with a shell's tools and our folder only."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "sleep", "chmod", "cat", "env"):
        (tools / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path


def fake_go(machine: Path, body: str) -> None:
    """Install a ``go`` that notes each call and then does ``body``."""
    go = machine / "bin" / "go"
    go.write_text(FAKE_GO.format(body=body))
    go.chmod(0o755)


def calls(machine: Path) -> list[str]:
    """The arguments of each call of the fake go."""
    file = machine / "calls"
    return file.read_text().splitlines() if file.exists() else []


def left_in_cache(machine: Path) -> set[str]:
    return {path.name for path in (machine / "cache").rglob("*") if path.is_file()}


def test_every_tool_is_pinned_by_its_wrapper_module() -> None:
    for tool in TOOLS.values():
        assert tool.version.startswith("v"), tool
        assert (tool.directory / "go.sum").is_file(), tool
        assert f"\t{tool.package}\n" in (tool.directory / "go.mod").read_text().replace("tool ", "\t"), tool


def test_staging_modules_follow_the_kubernetes_release() -> None:
    text = (KUBE_APISERVER.directory / "go.mod").read_text()
    patch = KUBE_APISERVER.version.removeprefix("v1.")
    replaced = [line.split() for line in text.splitlines() if "=>" in line]
    assert len(replaced) >= 30
    assert {line[-1] for line in replaced} == {f"v0.{patch}"}


def test_builds_once_and_says_how_long_it_takes(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_go(machine, WRITE_OUTPUT)
    first, second = ensure("etcd"), ensure("etcd")
    assert first == second == machine / "cache" / "drplan" / "etcd" / ETCD.version / "etcd"
    assert os.access(first, os.X_OK)
    assert len(calls(machine)) == 1
    assert calls(machine)[0].startswith("go build -trimpath -p 2 ")
    said = capsys.readouterr().err
    assert f"building etcd {ETCD.version}, about 1 minute\n" in said
    assert f"built etcd {ETCD.version} in " in said


def test_kubernetes_binaries_know_their_version(machine: Path) -> None:
    fake_go(machine, WRITE_OUTPUT)
    ensure("kube-apiserver")
    assert f"k8s.io/component-base/version.gitVersion={KUBE_APISERVER.version}" in calls(machine)[0]


def test_missing_go_says_what_to_do(machine: Path) -> None:
    with pytest.raises(BinaryError) as caught:
        ensure("kube-apiserver")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("go was not found", f"kube-apiserver {KUBE_APISERVER.version}", "install Go", "KUBEBUILDER_ASSETS"):
        assert part in message


def test_failed_build_shows_what_go_said_and_leaves_nothing(machine: Path) -> None:
    fake_go(machine, 'echo "main.go:1: no such thing"; exit 3')
    with pytest.raises(BinaryError, match=r"exit code 3(.|\n)*main.go:1: no such thing"):
        ensure("etcd")
    assert left_in_cache(machine) == {f"{ETCD.version}.lock"}


def test_a_build_that_left_no_binary_failed(machine: Path) -> None:
    fake_go(machine, "exit 0")
    with pytest.raises(BinaryError, match="building etcd"):
        ensure("etcd")
    assert not cached_path(ETCD).exists()


def test_assets_folder_wins_where_it_holds_the_binary(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = machine / "assets"
    assets.mkdir()
    (assets / "etcd").write_text("#!/bin/sh\n")
    (assets / "etcd").chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    fake_go(machine, WRITE_OUTPUT)
    assert ensure("etcd") == assets / "etcd"
    assert calls(machine) == []
    assert ensure("kube-apiserver") == cached_path(KUBE_APISERVER)


def install(machine: Path, name: str, said: str) -> Path:
    """Put a tool on PATH that says this when it is asked for its version."""
    program = machine / "bin" / name
    program.write_text(f'#!/bin/sh\necho "{said}"\n')
    program.chmod(0o755)
    return program


def minor(tool: Tool) -> str:
    """The pinned version without its patch, ``v1.36``."""
    return tool.version.rpartition(".")[0]


@pytest.mark.parametrize(("tool", "said"), [(HELM, "{}.99+g0123456"), (KUBECTL, "Client Version: {}.99\nKustomize v5")])
def test_an_installed_tool_of_the_pinned_minor_is_used(machine: Path, tool: Tool, said: str) -> None:
    program = install(machine, tool.name, said.format(minor(tool)))
    assert ensure(tool.name) == program


@pytest.mark.parametrize("said", ["v3.1.0", f"{minor(HELM)}1.0", "no version"])
def test_an_installed_helm_of_another_minor_is_not(machine: Path, said: str) -> None:
    install(machine, "helm", said)
    fake_go(machine, WRITE_OUTPUT)
    assert ensure("helm") == cached_path(HELM)


def test_what_was_built_comes_before_what_is_installed(machine: Path) -> None:
    fake_go(machine, WRITE_OUTPUT)
    built = ensure("helm")
    install(machine, "helm", HELM.version)
    assert ensure("helm") == built


def test_an_installed_promtool_is_not_used(machine: Path) -> None:
    install(machine, "promtool", PROMTOOL.version)
    fake_go(machine, WRITE_OUTPUT)
    assert ensure("promtool") == cached_path(PROMTOOL)


def test_unknown_tool_names_the_known_ones(machine: Path) -> None:
    with pytest.raises(BinaryError, match="unknown tool 'kind': known are etcd, kube-apiserver"):
        ensure("kind")


def test_kwok_stages_come_from_its_module(machine: Path) -> None:
    module = machine / "module"
    for name in ("node/fast/node-initialize", "node/heartbeat/node-heartbeat"):
        (module / "kustomize/stage" / name).parent.mkdir(parents=True, exist_ok=True)
        (module / "kustomize/stage" / f"{name}.yaml").write_text(name)
    (module / "kustomize/stage/pod/fast").mkdir(parents=True)
    for name in ("ready", "complete", "delete"):
        (module / f"kustomize/stage/pod/fast/pod-{name}.yaml").write_text(name)
    fake_go(machine, f'case "$*" in "list -m"*) echo "{module}";; esac')
    go = machine / "bin" / "go"
    go.write_text(go.read_text().replace('echo "compiling"\n', ""))
    stages = ensure_files(KWOK_STAGES)
    assert [stage.name for stage in stages] == [
        "node-initialize.yaml",
        "node-heartbeat.yaml",
        "pod-ready.yaml",
        "pod-complete.yaml",
        "pod-delete.yaml",
    ]
    assert stages[0].read_text() == "node/fast/node-initialize"
    assert stages[0].parent.parent.name == KWOK.version
    assert ensure_files(KWOK_STAGES) == stages
    assert len(calls(machine)) == 2


def test_published_files_are_pinned_by_their_wrapper_modules() -> None:
    for published in (KWOK_STAGES, CERT_MANAGER_CRDS, PROMETHEUS_CRDS):
        assert f"{published.module} {published.version} h1:" in (published.directory / "go.sum").read_text()


def build_in_another_process(tool: str) -> subprocess.Popen[str]:
    script = f"from devcluster.build import build; from devcluster.tools import TOOLS; print(build(TOOLS[{tool!r}]))"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_call(machine: Path) -> None:
    deadline = time.monotonic() + 60
    while not calls(machine):
        assert time.monotonic() < deadline, "go was never called"
        time.sleep(0.05)


def test_two_builds_at_once_build_once(machine: Path) -> None:
    go_on = machine / "go-on"
    fake_go(machine, f'while [ ! -e "{go_on}" ]; do sleep 0.05; done; {WRITE_OUTPUT}')
    with build_in_another_process("etcd") as first:
        wait_for_call(machine)
        with build_in_another_process("etcd") as second:
            assert second.stderr is not None
            assert "waiting for another process that builds etcd" in second.stderr.readline()
            go_on.touch()
            answers = [process.communicate(timeout=60)[0].strip() for process in (first, second)]
    assert answers == [str(cached_path(ETCD))] * 2
    assert len(calls(machine)) == 1


def test_interrupted_build_leaves_nothing_running(machine: Path) -> None:
    pid_file = machine / "pid"
    fake_go(machine, f'echo $$ > "{pid_file}.tmp"; cat "{pid_file}.tmp" > "{pid_file}"; sleep 600')
    with build_in_another_process("etcd") as builder:
        deadline = time.monotonic() + 60
        while not (pid_file.exists() and pid_file.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        builder.send_signal(signal.SIGINT)
        builder.communicate(timeout=60)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert left_in_cache(machine) == {f"{ETCD.version}.lock"}
    fake_go(machine, WRITE_OUTPUT)
    assert build(ETCD).is_file()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59.9, "59s"), (80, "1m20s"), (600, "10m00s")])
def test_seconds_are_spelled_for_people(seconds: float, text: str) -> None:
    assert spell_seconds(seconds) == text
