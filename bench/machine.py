"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from devcluster import ControlPlane

LIBRARIES = ("aiohttp", "httpx", "orjson", "pydantic", "fastapi", "uvicorn", "uvloop")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and the programs; `load` is the run queue's mean of the last minute at the start."""

    processor: str
    cores: int
    memory_gb: float
    load: float
    kernel: str
    python: str
    kubernetes: str
    libraries: dict[str, str]

    def line(self) -> str:
        """The whole in one line."""
        libraries = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gb:.0f} GB, load {self.load:.1f}; {self.kernel}; "
            f"CPython {self.python}, Kubernetes {self.kubernetes}, {libraries}"
        )


def describe(plane: ControlPlane) -> Machine:
    """Describe this machine and the control plane."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        load=os.getloadavg()[0],
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        kubernetes=str(plane.api.get("/version")["gitVersion"]).removeprefix("v"),
        libraries={name: version(name) for name in LIBRARIES},
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
