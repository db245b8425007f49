"""Becomes a given command, after asking Linux to end it when its parent ends.

Run as ``python -I -S launch.py <parent pid> <command> [argument]...``, by file and not as a module, so that it starts
in milliseconds. It is a program of its own because code between fork and exec is unsafe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for SIGKILL at the parent's end, make sure the parent still lives, and exec the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the parent process ended while this one was being started")
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the command is its purpose
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
