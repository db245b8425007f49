"""What the benchmark makes of its measurements, and the parts of it that need no control plane."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import target
from bench.__main__ import _names
from bench.cases.parallel import oldest_of
from bench.client import Client
from bench.figures import Cost, Figure, Results
from bench.floor import finished_status
from bench.profile import top
from bench.report import figures_markdown, figures_text, notes
from bench.target import Call
from bench.watch import Seen


@pytest.mark.parametrize(
    ("values", "limit", "met"),
    [([1.0, 2.0, 9.0], 2.0, True), ([1.0, 2.1, 9.0], 2.0, False), ([1.0], None, None)],
)
def test_the_median_is_what_meets_a_target(values: list[float], limit: float | None, met: bool | None) -> None:
    assert Figure("case", "what", "s", values, limit).met is met


def test_the_ratio_is_that_of_the_median_to_the_floor() -> None:
    figure = Figure("case", "what", "s", [1.0, 3.0, 2.0], floor=0.5)
    assert figure.to_floor == 4.0
    assert {key: figure.to_json()[key] for key in ("median", "best", "worst", "to_floor")} == {
        "median": 2.0,
        "best": 1.0,
        "worst": 3.0,
        "to_floor": 4.0,
    }


def test_the_table_says_what_is_met_and_what_is_missed() -> None:
    figures = [Figure("fast", "run", "s", [1.0], 2.0, 0.5), Figure("slow", "run", "ms", [123.4], 50.0, note="because")]
    lines = figures_text(figures).splitlines()
    assert lines[1].split() == [
        "fast",
        "run",
        "1.00",
        "s",
        "1.00",
        "s",
        "1.00",
        "s",
        "2.00",
        "s",
        "met",
        "0.50",
        "s",
        "2.0",
    ]
    assert "MISSED" in lines[2]
    assert figures_markdown(figures).splitlines()[3].startswith("| slow | run | 123 ms |")
    assert notes(figures) == "slow, run: because"


def test_a_later_round_takes_the_place_of_an_earlier_one() -> None:
    results = Results()
    for writes in (1, 2):
        results.keep(Cost("case", {}, writes, 0, 0, 0, {}))
    assert [cost.status_writes for cost in results.costs] == [2]


def test_the_oldest_status_is_the_longest_wait_of_an_answer_for_a_status_with_its_action() -> None:
    calls = [Call("/run/a", 0.0, 1.0), Call("/run/b", 1.0, 2.0)]
    events = [Seen(0.5, 1, "Running", 0), Seen(2.5, 1, "Running", 1), Seen(2.6, 1, "Succeeded", 2)]
    assert oldest_of(calls, events) == 1.5


def test_the_target_notes_when_it_was_called_and_when_it_answered() -> None:
    with target.serving() as running:
        with Client(running.url) as client:
            assert client.send("POST", "/run/a?ms=20", b"{}") == b"ok"
            assert client.send("POST", "/other/b", b"{}") == b"ok"
        (call,) = running.calls("/run/")
    assert call.path == "/run/a"
    assert call.answered - call.arrived > 0.01


def test_the_status_of_a_finished_run_has_every_action_once() -> None:
    stages = finished_status("w", "ns", 50)["stageStatuses"]
    names = [
        action["name"] for stage in stages for used in stage["workflowExecutions"] for action in used["actionStatuses"]
    ]
    assert len(names) == len(set(names)) == 50


def test_unknown_cases_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(Exception, match="no case nonsense; there are latency, calls"):
        _names("calls,nonsense")


def test_samples_of_waiting_threads_are_not_counted(tmp_path: Path) -> None:
    frames = [{"name": "main", "file": "m.py"}, {"name": "work", "file": "w.py"}, {"name": "_worker", "file": "t.py"}]
    profile = {"samples": [[0, 1], [0], [2]], "weights": [3.0, 1.0, 9.0]}
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({"shared": {"frames": frames}, "profiles": [profile]}))
    assert top(file).splitlines() == [
        "   own",
        " 75.0%  work (w.py)",
        " 25.0%  main (m.py)",
        " below",
        "100.0%  main (m.py)",
        " 75.0%  work (w.py)",
    ]


def test_the_plot_is_drawn_from_the_points(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    from bench.plot import PANELS, draw

    series = [name for names in PANELS.values() for name in names]
    points = [
        {"series": name, "size": size, "seconds": [1.0, 2.0], "resident_mb": 80.0}
        for name in series
        for size in (1, 10)
    ]
    draw(points, "two cores", tmp_path / "scaling.svg")
    assert "runs at once" in (tmp_path / "scaling.svg").read_text()
