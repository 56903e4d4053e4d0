"""Running a program of the user's under a profiler that wraps it: its bytes stay its own, the profiler's apart."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from perfkit_core import starter
from perfkit_core.errors import MissingError, ToolError
from perfkit_core.files import write_atomically
from perfkit_core.launch import COMMAND, STDERR, STDOUT, opened, wait_for
from perfkit_core.remains import told_of_remains

TOOL_LOG = "tool.txt"
"""What the profiler itself printed, on both of its streams."""

_CHUNK = 65536
_PATIENCE = 5.0
_NAMED = 256


@dataclass(frozen=True, kw_only=True)
class Console:
    """What of a program is connected to the outside, besides being kept.

    Attributes:
        stdin: What it reads: None for what this process reads, else as for ``subprocess``; nothing by default.
        output: Where what it prints is shown as it comes; None shows nothing.
        errors: Where its standard error is shown; beside the rest by default.
    """

    stdin: int | None = subprocess.DEVNULL
    output: IO[bytes] | None = None
    errors: IO[bytes] | None = None


def check_program(name: str) -> None:
    """Refuse what the system could not start, with the way out.

    Args:
        name: A path, or a name to look up on PATH.

    Raises:
        MissingError: It is not there, a directory, not executable, or a script that does not say what runs it.
    """
    if not name:
        raise MissingError("the program's name is empty", fix="name a program after --")
    found = shutil.which(name)
    if found is not None:
        _check_script(name, Path(found))
        return
    path = Path(name)
    if path.is_dir():
        raise MissingError(f"{name} is a directory, not a program", fix="name the program in it")
    if path.is_file() and os.sep in name:
        raise MissingError(
            f"{name} has no permission to be executed", fix=f"chmod +x {shlex.quote(name)}, or name what runs it first"
        )
    if path.is_file():
        raise MissingError(f"there is no program {name!r} on PATH, but a file here", fix=f"./{shlex.quote(name)}")
    raise MissingError(f"there is no program {name!r}", fix="check its name, or give its path")


def _check_script(name: str, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(_NAMED)
    except OSError:  # it may be executed and not read
        return
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].split()
        if not words or not Path(os.fsdecode(words[0])).exists():
            said = os.fsdecode(words[0]) if words else "nothing"
            raise MissingError(f"{name} is to be run by {said}, which is not there", fix="correct its first line")
    elif b"\0" not in head:
        raise MissingError(
            f"{name} is a text whose first line does not say what runs it",
            fix=f"begin it with a line such as #!/bin/sh, or name that first: sh {shlex.quote(name)}",
        )


class NotStartedError(ToolError):
    """What wraps a program ended before it started it: nothing of the program has run."""


def run_program(
    argv: Sequence[str],
    wrap: Callable[[Sequence[str]], Sequence[str]],
    environ: Mapping[str, str],
    directory: Path,
    *,
    timeout: float | None = None,
    console: Console | None = None,
    abort: Callable[[], None] = lambda: None,
) -> int:
    """Run a program to its end and return its exit status; negative, or above 128, for a signal.

    ``stdout.txt`` and ``stderr.txt`` get its bytes, ``tool.txt`` those of what wraps it.

    Args:
        argv: Its command line.
        wrap: Given a command line, returns the one to start.
        environ: Its environment.
        directory: Where to keep command line and logs; it exists.
        timeout: Seconds after which it is ended; None waits.
        console: What it reads, and where its output is shown.
        abort: Called after it was ended by the timeout, Ctrl-C or SIGTERM.

    Raises:
        ToolError: It timed out, or what wraps it could not be started.
        NotStartedError: What wraps it did not start it.
        MissingError: The system refuses to start it, or the directory cannot be written to.
    """
    console = console or Console()
    write_atomically(directory / COMMAND, shlex.join(wrap(argv)) + "\n")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perfkit-")))
        log = stack.enter_context(opened(directory / TOOL_LOG))
        for name, file, shown in (
            (starter.STDOUT, STDOUT, console.output),
            (starter.STDERR, STDERR, console.errors or console.output),
        ):
            kept = stack.enter_context(opened(directory / file))
            stack.enter_context(closing(_Pipe(folder / name, kept, shown)))
        command = wrap([*_started_by(folder, environ), *argv])
        process = _start(command, environ, console.stdin, log)
        with told_of_remains(Path(command[0]).name, folder / starter.PROCESS, f"{starter.MARK}={folder}"):
            status = wait_for(process, "the program", timeout, abort, log=directory)
        _check_started(argv[0], folder / starter.STATE, status, command[0], directory)
    return status


def _started_by(folder: Path, environ: Mapping[str, str]) -> Sequence[str]:
    locale = starter.ITS_OWN if "LC_CTYPE" in environ else starter.COERCED
    return (sys.executable, "-I", "-S", "-B", starter.__file__, str(folder), locale)


def _start(
    argv: Sequence[str], environ: Mapping[str, str], stdin: int | None, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - what the user asked for, and no shell
            argv, stdin=stdin, stdout=log, stderr=log, start_new_session=True, env=dict(environ)
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}", fix="perfkit doctor") from None


def _check_started(name: str, state: Path, status: int, tool: str, directory: Path) -> None:
    try:
        said = state.read_text(encoding="utf-8")
    except OSError:
        lines = (directory / TOOL_LOG).read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
        raise NotStartedError(
            f"{Path(tool).name} ended with exit status {status} without starting {name}{last}",
            fix=f"its log: {directory / TOOL_LOG}",
        ) from None
    if said != starter.STARTED:
        raise MissingError(f"{name} cannot be started: {said}", fix="check that it is a program for this machine")


class _Pipe:
    """A named pipe whose bytes are kept and shown as they come, until this and every process has closed it."""

    def __init__(self, path: Path, kept: IO[bytes], shown: IO[bytes] | None) -> None:
        os.mkfifo(path, 0o600)
        self._targets = [target for target in (kept, shown) if target is not None]
        self._reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # there is no writer to wait for yet
        self._held = os.open(path, os.O_WRONLY)  # a program that is run several times closes it several times
        os.set_blocking(self._reading, True)
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def close(self) -> None:
        """Wait for the last bytes; a process left in the background may keep the pipe open, and is not waited for."""
        os.close(self._held)
        self._follower.join(_PATIENCE)

    def _follow(self) -> None:
        while chunk := os.read(self._reading, _CHUNK):
            for target in self._targets:
                with suppress(OSError, ValueError):  # a full disk or a closed pipe: the program must not wait for it
                    target.write(chunk)
                    target.flush()
        os.close(self._reading)
