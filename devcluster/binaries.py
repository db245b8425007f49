"""Finds the binaries of the control plane: ``KUBEBUILDER_ASSETS``, then the user cache folder, then a build."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

from devcluster.build import BinaryError, build, cached_path, find_go, go_environment, locked
from devcluster.tools import (
    ETCD,
    KUBE_APISERVER,
    KUBE_CONTROLLER_MANAGER,
    KUBE_SCHEDULER,
    KUBECTL,
    KWOK,
    TOOLS,
    Tool,
)

Profile = Literal["minimal", "full"]
"""``minimal``: etcd and kube-apiserver; ``full``: the two controllers' processes and KWOK as well."""

PROFILES: dict[Profile, tuple[Tool, ...]] = {
    "minimal": (ETCD, KUBE_APISERVER, KUBECTL),
    "full": (ETCD, KUBE_APISERVER, KUBECTL, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KWOK),
}
"""The tools each profile needs."""

KWOK_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat/node-heartbeat.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
"""Stage files taken from ``kustomize/stage`` of KWOK's module."""

__all__ = ["PROFILES", "BinaryError", "Profile", "ensure", "ensure_kwok_stages", "ensure_profile"]


def ensure(name: str) -> Path:
    """The binary of a tool, built when it is nowhere.

    ``KUBEBUILDER_ASSETS`` wins where it holds the binary. kubectl, helm and promtool are taken from PATH where they
    are installed, since any recent one will do.

    Raises:
        BinaryError: unknown tool, Go missing, or a failed build.
    """
    tool = TOOLS.get(name)
    if tool is None:
        raise BinaryError(f"unknown tool {name!r}: known are {', '.join(TOOLS)}")
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        candidate = Path(assets) / name
        if os.access(candidate, os.X_OK):
            return candidate
    if name in ("kubectl", "helm", "promtool"):
        installed = shutil.which(name)
        if installed is not None:
            return Path(installed)
    return build(tool)


def ensure_profile(profile: Profile) -> dict[str, Path]:
    """The binaries a profile needs, by name, each built when it is nowhere."""
    return {tool.name: ensure(tool.name) for tool in PROFILES[profile]}


def ensure_kwok_stages() -> list[Path]:
    """KWOK's own stage files, copied once from its pinned Go module into the cache next to the binary.

    Raises:
        BinaryError: Go is missing or cannot read the module.
    """
    folder = cached_path(KWOK).parent / "stages"
    targets = [folder / Path(name).name for name in KWOK_STAGES]
    if all(target.is_file() for target in targets):
        return targets
    go = find_go(KWOK)
    with locked(folder.parent.with_name(f"{KWOK.version}.lock"), f"KWOK {KWOK.version}"):
        source = _module_directory(go, KWOK) / "kustomize" / "stage"
        folder.mkdir(parents=True, exist_ok=True)
        for name, target in zip(KWOK_STAGES, targets, strict=True):
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_bytes((source / name).read_bytes())
            temporary.replace(target)
    return targets


def _module_directory(go: str, tool: Tool) -> Path:
    for command in (["mod", "download", tool.module], ["list", "-m", "-f", "{{.Dir}}", tool.module]):
        result = subprocess.run(
            [go, *command], cwd=tool.directory, env=go_environment(), capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise BinaryError(f"go {' '.join(command)} failed in {tool.directory}: {result.stderr.strip()}")
    return Path(result.stdout.strip())
