"""`make demo`: a failover and its way back on a real local control plane, told command by command.

Every command is a real kubectl, printed with what it answered. The exit code is 0 only if each step behaved as told.
With `--keep` everything stays up at the end, to play on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devcluster import BinaryError, ComponentError, ControlPlane, RequestError, register_webhooks, start_controller
from devcluster import start_webhook as start_webhook_service
from drplan.dev_up import crds_folder
from examples.traffic_switch import TrafficSwitch

FILES = Path(__file__).parent / "site-failover"
PATIENCE = 60.0
"""Seconds that one step of the story may take."""


class StepFailedError(Exception):
    """A step of the story did not behave; the message says what was expected."""


class Story:
    """Tells the story: prose, commands, answers, and the checks behind them."""

    def __init__(self, plane: ControlPlane, switch: TrafficSwitch) -> None:
        self._kubectl = [str(plane.kubectl()), f"--kubeconfig={plane.kubeconfig}"]
        self._switch = switch
        self._step = 0

    def chapter(self, title: str, text: str = "") -> None:
        """Begin a chapter."""
        self._step += 1
        print(f"\n\033[1m{self._step}. {title}\033[0m" if sys.stdout.isatty() else f"\n{self._step}. {title}")
        if text:
            print(textwrap.fill(text, 100, initial_indent="   ", subsequent_indent="   "))

    def run(self, *arguments: str, refused: str = "", stdin: str | None = None, show: bool = True) -> str:
        """Run and print a kubectl command. `refused`: it must fail, and say this."""
        answer = subprocess.run(
            [*self._kubectl, *arguments], input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        said = answer.stdout + answer.stderr
        if show:
            print(f"\n   $ kubectl {' '.join(_quoted(argument) for argument in arguments)}")
            print(textwrap.indent(said.rstrip(), "     "), flush=True)
        if refused and (answer.returncode == 0 or refused not in said):
            raise StepFailedError(
                f"expected a refusal that says {refused!r}, got exit code {answer.returncode}: {said}"
            )
        if not refused and answer.returncode != 0:
            raise StepFailedError(f"exit code {answer.returncode}: {said}")
        return said

    def create(self, manifest: str) -> str:
        """Create an execution whose name the API server makes up; return that name."""
        return self.run("create", "-f", "-", stdin=manifest).split()[0].partition("/")[2]

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Read an object without printing anything."""
        found = json.loads(self.run("get", kind, name, "-o", "json", show=False))
        return dict(found)

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise StepFailedError(f"not within {PATIENCE:.0f} s: {what}")
            time.sleep(0.1)

    def demand(self, holds: bool, what: str) -> None:
        """Fail the story unless `holds`."""
        if not holds:
            raise StepFailedError(f"expected: {what}")

    def watch(self, name: str) -> str:
        """Show an execution each time its line changes, until it has ended; return its phase."""
        print(f"\n   $ kubectl get drplanexecution {name} --watch")
        seen, deadline = "", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            columns = self.run(
                "get", "drplanexecution", name, "--no-headers=" + ("true" if seen else "false"), show=False
            )
            state = self.read("drplanexecution", name).get("status", {})
            at = next((s["name"] for s in state.get("stageStatuses", ()) if s["phase"] == "Running"), "")
            key = f"{state.get('phase')} {state.get('progress')} {at}"
            if key != seen:
                print(textwrap.indent(columns.rstrip() + (f"   <- stage {at}" if at else ""), "     "), flush=True)
                seen = key
            if state.get("phase") in ("Succeeded", "Failed", "Cancelled"):
                return str(state["phase"])
            time.sleep(0.2)
        raise StepFailedError(f"{name} did not end within {PATIENCE:.0f} s")

    def show_calls(self, since: int = 0) -> None:
        """Show what the traffic switch was told."""
        print("\n   the traffic switch was called:")
        for method, path, key in self._switch.calls[since:]:
            print(f"     {method} {path}   Idempotency-Key: {key}")


def tell(story: Story, switch: TrafficSwitch) -> None:
    """Play the story. Raises `StepFailedError` at the first step that does not behave."""
    story.chapter("The site as it is", "Paris is active. A ConfigMap says so; a traffic switch listens on HTTP.")
    story.run("create", "configmap", "active-site", "--from-literal=site=paris")

    story.chapter(
        "The plan",
        "Two workflows, and a plan of three stages: stop the traffic, bring two applications up in parallel, send the "
        "traffic to Berlin. Each stage passes its own parameter.",
    )
    story.run("apply", "-f", str(FILES / "workflows.yaml"))
    story.run("apply", "-f", str(FILES / "plan.yaml"))
    story.until(
        "the plan is Ready", lambda: story.read("drplan", "site-failover").get("status", {}).get("phase") == "Ready"
    )
    story.run("get", "drworkflows,drplans")

    story.chapter("Failover", "An execution runs the plan. While it runs, admission guards what it needs.")
    manifest = (FILES / "execute.yaml").read_text().replace("http://switch.example.invalid", switch.url)
    failover = story.create(manifest)
    story.until(
        "the failover runs",
        lambda: story.read("drplanexecution", failover).get("status", {}).get("phase") == "Running",
    )
    story.run(
        "create",
        "-f",
        "-",
        stdin=manifest,
        refused=f"plan site-failover already has a running execution: default/{failover}",
    )
    story.run("delete", "drplan", "site-failover", refused="cannot delete")
    story.run("delete", "drworkflow", "bring-up-app", refused="cannot delete DRWorkflow default/bring-up-app")
    story.demand(story.watch(failover) == "Succeeded", "the failover succeeds")
    story.run("get", "deployments,configmaps", "-l", f"dr.bkbcs.tencent.com/execution={failover}")
    story.show_calls()
    story.demand(
        [path for _, path, _ in switch.calls] == ["/route/maintenance", "/route/berlin"], "each call once, in order"
    )
    story.demand(story.read("configmap", "active-site")["data"]["site"] == "berlin", "active-site says berlin")
    story.demand(story.read("deployment", "shop")["status"].get("readyReplicas") == 2, "the shop has two ready pods")

    story.chapter("What happened", "The record has every stage, workflow and action; Events tell the same story.")
    status = story.read("drplanexecution", failover)["status"]
    _print_tree(status)
    story.demand(status["summary"]["succeededActions"] == 8, "eight actions succeeded")

    story.chapter("The way back", "A Revert undoes the run in reverse order, with the same detail.")
    calls = len(switch.calls)
    way_back = story.create((FILES / "revert.yaml").read_text().replace("failover-x7k2p", failover))
    story.demand(story.watch(way_back) == "Succeeded", "the revert succeeds")
    story.show_calls(calls)
    _print_tree(story.read("drplanexecution", way_back)["status"])
    story.demand(story.read("configmap", "active-site")["data"]["site"] == "paris", "active-site says paris again")
    left = story.run("get", "deployments", "-o", "name")
    story.demand("deployment" not in left, "the deployments are gone")
    described = story.run("describe", "drplanexecution", way_back, show=False)
    story.demand("RevertSucceeded" in described, "kubectl describe shows the events")
    print(f"\n   $ kubectl describe drplanexecution {way_back} | sed -n '/^Events/,$p'")
    print(textwrap.indent(described[described.index("Events:") :].rstrip(), "     "))

    story.chapter("History", "The plan remembers its last ten runs, also when the executions are deleted.")
    story.run("get", "drplanexecutions", "-l", "dr.bkbcs.tencent.com/plan=site-failover")
    story.run("delete", "drplanexecution", failover, way_back)
    rows = "{range .status.executionHistory[*]}{.name} {.operationType} {.phase} {.completionTime}{'\\n'}{end}"
    history = story.run("get", "drplan", "site-failover", "-o", "jsonpath=" + rows.replace("'", '"'))
    story.demand(
        history.splitlines()[0].startswith(f"{way_back} Revert Succeeded"), "the newest record is the revert's"
    )
    story.demand(history.splitlines()[1].startswith(f"{failover} Execute Succeeded"), "the failover's record stays")
    story.run("delete", "drplan", "site-failover")
    story.run("delete", "drworkflow", "bring-up-app", "route-traffic")


def _print_tree(status: dict[str, Any]) -> None:
    print(f"\n   {status['phase']}: {status['message']} ({status['progress']} actions, {status['duration']})")
    for stage in status["stageStatuses"]:
        mode = ", parallel" if stage.get("parallel") else ""
        print(f"     {stage['name']}: {stage['phase']} in {stage['duration']}{mode}")
        for workflow in stage["workflowExecutions"]:
            print(f"       {workflow['workflowRef']['name']}: {workflow['phase']}, {workflow['progress']}")
            for action in workflow["actionStatuses"]:
                print(f"         {action['name']}: {action['phase']}, {action['message']} ({action['duration']})")


def _quoted(argument: str) -> str:
    shown = os.path.relpath(argument) if argument.startswith(str(FILES)) else argument
    return f"'{shown}'" if " " in shown or "{" in shown else shown


def main() -> int:
    """Play the demo; return 0 when every step behaved."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep everything running at the end, until Ctrl-C")
    keep = parser.parse_args().keep
    started = time.monotonic()
    try:
        with ControlPlane("full") as plane, TrafficSwitch().serving() as switch:
            plane.api.install_crds(crds_folder())
            plane.install_clusternet()
            register_webhooks(plane, start_webhook_service(plane))
            start_controller(plane)
            print(
                f"A control plane, the webhook service and the controller are up ({time.monotonic() - started:.0f} s)."
            )
            tell(Story(plane, switch), switch)
            print(f"\nEvery step behaved ({time.monotonic() - started:.0f} s).")
            if keep:
                print(
                    f"Everything is still running:\n  export KUBECONFIG={plane.kubeconfig}\nCtrl-C ends it.", flush=True
                )
                _wait_for_signal()
            else:
                print("Keep it running to play on with: make demo KEEP=1, or an empty one: .venv/bin/drplan dev up")
    except StepFailedError as failure:
        print(f"\ndemo: this step did not behave: {failure}", file=sys.stderr)
        return 1
    except (BinaryError, ComponentError, RequestError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


if __name__ == "__main__":
    sys.exit(main())
