"""Tests elsewhere that belong to the table: what is proved there is run from here, not written again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import REPOSITORY


@dataclass(frozen=True, slots=True)
class Group:
    """Tests under one heading; `select` are what pytest is given."""

    name: str
    about: str
    select: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a group: how many tests ran, which failed (with the first line why), and how long it took."""

    group: Group
    tests: int
    failed: tuple[str, ...]
    seconds: float


GROUPS = (
    Group(
        "processes",
        "stopped, deposed, told to end, replaced; default and short lease",
        ("tests/crash/test_leaders.py", "tests/crash/test_lost_lease.py", "tests/crash/test_fail_over.py"),
    ),
    Group(
        "kills by chance",
        "eight of them in a run of sixty actions",
        ("tests/crash/test_random_kills.py",),
    ),
    Group(
        "moments of a run",
        "kills at the start, around one action, at the end, in a Revert; conditions",
        (
            "tests/crash/test_start.py",
            "tests/crash/test_actions.py",
            "tests/crash/test_end.py",
            "tests/crash/test_revert.py",
            "tests/crash/test_when.py",
            "tests/crash/test_delivery.py",
        ),
    ),
    Group(
        "watches",
        "silent, cut, 410, lost events, stale lists, versions of the future, lagging behind a compaction",
        (
            "tests/crash/test_silent_watch.py",
            "tests/integration/kube",
            "tests/unit/kube/test_watch.py",
            "tests/unit/kube/test_cache.py",
            "tests/unit/controller/test_lookout.py",
        ),
    ),
    Group(
        "etcd restored",
        "to an older state, with living controllers and in mid-run",
        ("tests/crash/test_restored_etcd.py", "tests/crash/test_takeover_etcd.py", "tests/e2e/test_restored.py"),
    ),
    Group(
        "journal",
        "deleted, edited, without its label, refused, hanging, aged",
        (
            "tests/crash/test_journal.py",
            "tests/crash/test_journal_refused.py",
            "tests/crash/test_journal_store.py",
            "tests/crash/test_takeover.py",
        ),
    ),
    Group(
        "answers in doubt",
        "lost answers at named writes, conflicts, outages longer than the patience",
        ("tests/crash/test_lost_answers.py", "tests/crash/test_unknown.py"),
    ),
    Group(
        "resources",
        "memory, descriptors, hanging names, blocked loop, busy workers, wrong clocks, many runs at once",
        (
            "tests/crash/test_starved.py",
            "tests/crash/test_clocks.py",
            "tests/unit/kube/test_pages.py",
            "tests/unit/runtime/test_workers.py",
            "tests/crash/test_hanging_starts.py",
            "tests/unit/runtime/test_names.py",
            "tests/unit/runtime/test_descriptors.py",
            "tests/unit/controller/test_effect_slots.py",
            "tests/unit/controller/test_process.py",
            "tests/security/test_author_egress.py",
            "tests/e2e/test_concurrency.py",
        ),
    ),
    Group(
        "poisoned objects",
        "statuses written by others, refused or unreadable objects, oversize, objects that vanish",
        (
            "tests/unit/controller/test_break_offs.py",
            "tests/unit/controller/test_status_refused.py",
            "tests/security/test_status_writer.py",
            "tests/e2e/test_without_admission.py",
            "tests/e2e/test_sizes.py",
            "tests/e2e/test_vanishing_objects.py",
        ),
    ),
)


def run_group(group: Group, seconds: float) -> Outcome:
    """Run the tests of a group, for so long at most."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={report}", *group.select]
        try:
            subprocess.run(
                command,
                cwd=REPOSITORY,
                env={**os.environ, "DRPLAN_CHAOS": "1"},
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(group, 0, (f"not done after {seconds:.0f} s",), time.monotonic() - began)
        if not report.exists():
            return Outcome(group, 0, ("pytest wrote no report: run it by hand",), time.monotonic() - began)
        tests, failed = _read(report)
    return Outcome(group, tests, failed, time.monotonic() - began)


def _read(report: Path) -> tuple[int, tuple[str, ...]]:
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = []
    for case in cases:
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            why = (problem.get("message") or "").splitlines()
            failed.append(f"{case.get('classname')}::{case.get('name')}: {why[0][:200] if why else ''}")
    ran = [case for case in cases if case.find("skipped") is None]
    return len(ran), tuple(failed)
