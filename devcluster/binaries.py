"""Finds the binaries of the control plane: ``KUBEBUILDER_ASSETS``, then the user cache folder, then a build."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

from devcluster.build import BinaryError, build, cached_path, find_go, go_environment, locked
from devcluster.tools import (
    ETCD,
    HELM,
    KUBE_APISERVER,
    KUBE_CONTROLLER_MANAGER,
    KUBE_SCHEDULER,
    KUBECTL,
    KWOK,
    TOOLS,
    Module,
    Published,
    Tool,
)

Profile = Literal["minimal", "full"]
"""``minimal``: etcd and kube-apiserver; ``full``: the two controllers' processes and KWOK as well."""

PROFILES: dict[Profile, tuple[Tool, ...]] = {
    "minimal": (ETCD, KUBE_APISERVER, KUBECTL),
    "full": (ETCD, KUBE_APISERVER, KUBECTL, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KWOK),
}
"""The tools each profile needs."""

INSTALLED = {KUBECTL.name: ("version", "--client"), HELM.name: ("version", "--short")}
"""Tools that people have, and how each is asked for its version."""
VERSION_SECONDS = 30.0
"""How long an installed tool may take to say its version."""

__all__ = ["PROFILES", "BinaryError", "Profile", "ensure", "ensure_files", "ensure_profile"]


def ensure(name: str) -> Path:
    """The binary of a tool, built when it is nowhere.

    ``KUBEBUILDER_ASSETS`` wins where it holds the binary. kubectl and helm are taken from PATH instead of being built
    where the installed one is of the pinned minor version: flags and messages differ between minors.

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
    built = cached_path(tool)
    if built.is_file():
        return built
    installed = shutil.which(name) if name in INSTALLED else None
    if installed is not None and _minor_of(installed, INSTALLED[name]) == _minor_in(tool.version):
        return Path(installed)
    return build(tool)


@cache
def _minor_of(program: str, question: tuple[str, ...]) -> str | None:
    """Major and minor version that a program prints; None when it prints none."""
    try:
        answer = subprocess.run(
            [program, *question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _minor_in(answer.stdout)


def _minor_in(text: str) -> str | None:
    """``1.36`` of the first version like ``v1.36.3`` in a text."""
    found = re.search(r"\bv(\d+\.\d+)\b", text)
    return found and found[1]


def ensure_profile(profile: Profile) -> dict[str, Path]:
    """The binaries a profile needs, by name, each built when it is nowhere."""
    return {tool.name: ensure(tool.name) for tool in PROFILES[profile]}


def ensure_files(published: Published) -> list[Path]:
    """Files of a pinned Go module, copied once into the cache.

    Raises:
        BinaryError: Go is missing or cannot read the module.
    """
    folder = cached_path(published)
    targets = [folder / Path(name).name for name in published.files]
    if all(target.is_file() for target in targets):
        return targets
    go = find_go(published)
    with locked(folder.parent.with_name(f"{published.version}.lock"), f"{published.name} {published.version}"):
        source = _module_directory(go, published) / published.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, target in zip(published.files, targets, strict=True):
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_bytes((source / name).read_bytes())
            temporary.replace(target)
    return targets


def _module_directory(go: str, module: Module) -> Path:
    for command in (["mod", "download", module.module], ["list", "-m", "-f", "{{.Dir}}", module.module]):
        result = subprocess.run(
            [go, *command], cwd=module.directory, env=go_environment(), capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise BinaryError(f"go {' '.join(command)} failed in {module.directory}: {result.stderr.strip()}")
    return Path(result.stdout.strip())
