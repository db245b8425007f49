"""Child processes that never outlive this one: started in their own group, logged to a file, ended by pid.

A group of its own keeps a Ctrl-C in the terminal from reaching a child before its parent ends it in order.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

LAUNCHER = Path(__file__).with_name("launch.py")
STOP_SECONDS = 2.0
"""How long a process may take to stand still."""
LOG_LINES = 20
"""How many last log lines an error carries."""


class ComponentError(Exception):
    """A component ended or did not become ready; the message has its last log lines and the log's path."""


class _Spawner:
    """The one thread that starts children.

    Linux sends the parent-death signal when the *thread* that started the child ends, so children are started by a
    thread that lives as long as the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: queue.SimpleQueue[tuple[Callable[[], object], queue.SimpleQueue[object]]] | None = None

    def run(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._requests is None:
                self._requests = queue.SimpleQueue()
                threading.Thread(target=self._serve, args=(self._requests,), name="spawner", daemon=True).start()
        reply: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._requests.put((start, reply))
        result = reply.get()
        if isinstance(result, subprocess.Popen):
            return result
        assert isinstance(result, OSError)
        raise result

    @staticmethod
    def _serve(requests: "queue.SimpleQueue[tuple[Callable[[], object], queue.SimpleQueue[object]]]") -> None:
        while True:
            start, reply = requests.get()
            try:
                reply.put(start())
            except OSError as error:
                reply.put(error)


_spawner = _Spawner()


class ManagedProcess:
    """One child process, which can be stopped, killed, paused and started again with the same command.

    Args:
        name: short name for messages, e.g. ``etcd``.
        command: program (absolute path) and arguments.
        log: file that its output is appended to.
        env: its whole environment; None means this process's.
        cwd: its working directory.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process; an error when it already runs."""
        if self.running:
            raise RuntimeError(f"{self.name} already runs (pid {self.pid})")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())]
        with self.log.open("ab") as output:
            self._process = _spawner.run(
                lambda: subprocess.Popen(
                    launcher + self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    process_group=0,
                )
            )
        return self

    @property
    def pid(self) -> int | None:
        """The process id, or None when it never started."""
        return None if self._process is None else self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code (negative: ended by that signal), or None while it runs or before it started."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    def send(self, signum: int) -> None:
        """Send a signal to the process alone; nothing happens when it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signum)

    def wait(self, timeout: float) -> int | None:
        """The exit code, or None when it still runs after ``timeout`` seconds."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout: float = 12.0) -> int | None:
        """Ask it to end (SIGTERM, and SIGCONT in case it is paused), then kill it after ``timeout`` seconds."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        if self.wait(timeout) is None:
            self.kill9()
        return self.returncode

    def kill9(self) -> None:
        """Kill it at once (SIGKILL), as a crash would, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): it keeps its connections and does nothing. Returns when all its threads stand."""
        self.send(signal.SIGSTOP)
        until = time.monotonic() + STOP_SECONDS
        while self.running and not self._stands() and time.monotonic() < until:
            time.sleep(0.001)

    def _stands(self) -> bool:
        """Whether every thread is stopped, where /proc tells; on a busy machine one may run on for a moment."""
        tasks = Path(f"/proc/{self.pid}/task")
        try:
            return all((task / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX" for task in tasks.iterdir())
        except OSError:
            return True

    def resume(self) -> None:
        """Let a paused one go on (SIGCONT)."""
        self.send(signal.SIGCONT)

    def last_lines(self, count: int = LOG_LINES) -> str:
        """The end of its log, indented, for messages."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            lines = []
        return "\n".join(f"  {line[:500]}" for line in lines) or "  (its log is empty)"

    def failure(self, what: str) -> ComponentError:
        """An error that says what went wrong, with the end of the log."""
        return ComponentError(f"{self.name} {what}; the end of {self.log}:\n{self.last_lines()}")

    def wait_until(self, ready: Callable[[], bool], timeout: float, what: str = "become ready") -> None:
        """Wait until ``ready()``.

        Raises:
            ComponentError: the process ended, or it took longer than ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            code = self.returncode
            if code is not None:
                raise self.failure(f"ended with exit code {code} before it could {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"did not {what} within {timeout:g} s")
            time.sleep(0.03)
