"""Starts a program in the place of this process, with its output in pipes that perfkit reads.

A profiler that wraps programs prints lines of its own, some between those of the program. Run as a file under the
profiler, this gives the program other descriptors than the profiler's, so that nobody has to tell their lines apart:
``python -I -S starter.py FOLDER COERCED COMMAND ARGUMENTS...``. It imports nothing of perfkit, for it is on the way
to every program.
"""

from __future__ import annotations

import os
import signal
import sys

STDOUT, STDERR, STATE, PROCESS = "stdout", "stderr", "state", "process"
"""Names in the folder: two named pipes, the file that says how far this got, and the one with the program's number."""

MARK = "PERFKIT_PROGRAM"
"""Environment variable that the program and what it starts have, and its profiler has not: the folder."""

STARTED = "started"
"""Content of the state file until the program could not be started, when it says why."""

COERCED, ITS_OWN = "coerced", "own"
"""Whether an ``LC_CTYPE`` found in the environment is not the user's: Python sets it in the C locale."""


def start(folder: str, locale: str, argv: list[str]) -> None:
    """Become the program; return only if that cannot be, with the reason in the state file."""
    state = os.path.join(folder, STATE)  # noqa: PTH118 - pathlib would take longer to import than all of this
    _say(state, STARTED)
    for name, descriptor in ((STDOUT, 1), (STDERR, 2)):
        pipe = os.open(os.path.join(folder, name), os.O_WRONLY)  # noqa: PTH118
        os.dup2(pipe, descriptor)
        os.close(pipe)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
        signal.signal(number, signal.SIG_DFL)
    if locale == COERCED:
        os.environ.pop("LC_CTYPE", None)
    os.environ[MARK] = folder
    _say(os.path.join(folder, PROCESS), str(os.getpid()))  # noqa: PTH118
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - what the user asked for, and no shell
    except OSError as error:
        _say(state, error.strerror or "it cannot be executed")


def _say(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(text)


if __name__ == "__main__":
    start(sys.argv[1], sys.argv[2], sys.argv[3:])
    sys.exit(126)
