"""`make profile`: where a process spends its time during a case of the benchmark. Needs the extra `bench` (py-spy).

Samples of the processor time of controller and webhook service go to speedscope files, for https://speedscope.app, and
the functions that most samples were in, or under, are printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from app.kube.registrations import validate_path
from app.kube.resources import WORKFLOWS
from bench.cases import CASES
from bench.lab import Lab, installed
from bench.load import Order
from bench.reviews import workflow_reviews

REVIEWS = "reviews"
"""Admission reviews instead of a case of runs."""
REVIEW_SECONDS = 4.0
"""Seconds of reviews a round."""
FOLDER = Path(".profiles")
RATE = 200
"""Samples a second."""
TOP = 25
WAITING = ("_worker (", "EpollSelector.select (")
"""Functions that wait for work, which the sampler cannot tell from working."""
PATIENCE = 60.0
RESTARTING = ("restart", "tracking", "history", "scale-actions", "scale-runs", "scale-history")
"""Cases that end the process which would be sampled."""


def main() -> None:
    """Profile cases, one after another."""
    choices = [REVIEWS, *(name for name in CASES if name not in RESTARTING)]
    parser = argparse.ArgumentParser(prog="make profile", description=__doc__)
    parser.add_argument("--case", choices=choices, default="calls", help="what to do meanwhile (default calls)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where the files go (default {FOLDER})")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the case (default 3)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with installed(arguments.rounds) as lab:
        files = {
            process.name: arguments.folder / f"{arguments.case}-{process.name}.speedscope.json"
            for process in (lab.controller, lab.webhook)
        }
        with sampling(lab.controller.pid, files["controller"]), sampling(lab.webhook.pid, files["webhook"]):
            if arguments.case == REVIEWS:
                _send_reviews(lab, arguments.rounds)
            else:
                CASES[arguments.case](lab)
    for name, file in files.items():
        print(f"{name}: {file}\n{top(file)}")


def _send_reviews(lab: Lab, rounds: int) -> None:
    """Have workflows of 20 actions reviewed, by 8 connections at once."""
    with TemporaryDirectory() as folder:
        bodies, authority = Path(folder) / "bodies", Path(folder) / "ca.crt"
        bodies.write_bytes(b"\n".join(workflow_reviews(20)))
        authority.write_bytes(lab.webhook.ca_pem)
        port, path = lab.webhook.webhook_port, validate_path(WORKFLOWS)
        order = Order(port, str(authority), path, str(bodies), 8, rounds * REVIEW_SECONDS, warm_up=1.0)
        command = [sys.executable, "-m", "bench.load"]
        subprocess.run(command, input=json.dumps(asdict(order)), stdout=subprocess.DEVNULL, text=True, check=True)  # noqa: S603


@contextmanager
def sampling(pid: int | None, file: Path) -> Iterator[None]:
    """Sample a process during the block."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        raise SystemExit("profile: no py-spy; make profile installs it, by hand: pip install 'drplan[bench]'")
    command = [
        program,
        "record",
        "--pid",
        str(pid),
        "--rate",
        str(RATE),
        "--format",
        "speedscope",
        "--output",
        str(file),
    ]
    sampler = subprocess.Popen([*command, "--duration", "3600"], stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        sampler.wait(PATIENCE)


def top(file: Path) -> str:
    """The functions with the most samples of their own, and those with the most below them."""
    found = json.loads(file.read_text())
    names = [f"{frame['name']} ({frame['file']})" for frame in found["shared"]["frames"]]
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for profile in found["profiles"]:
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            if names[stack[-1]].startswith(WAITING):
                continue
            own[names[stack[-1]]] += weight
            for name in {names[frame] for frame in stack}:
                below[name] += weight
    whole = sum(own.values()) or 1
    lines = [f"{'own':>6}"]
    lines += [f"{count / whole:6.1%}  {name}" for name, count in own.most_common(TOP)]
    lines += [f"{'below':>6}"]
    lines += [f"{count / whole:6.1%}  {name}" for name, count in below.most_common(TOP)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
