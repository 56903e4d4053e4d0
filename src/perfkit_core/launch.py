"""Starting a worker process and bringing back its result or its error.

The driver never imports torch: whatever needs it runs in ``python -m perfkit_core.worker PLAN``. The
child gets a session of its own, so that a timeout or Ctrl-C can end it with everything it started.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from perfkit_core import errors
from perfkit_core.errors import PerfkitError, ToolError
from perfkit_core.files import write_atomically
from perfkit_core.schema.worker import WorkerError, WorkerPlan

PLAN, ERROR, STDOUT, STDERR, COMMAND = "plan.json", "error.json", "stdout.txt", "stderr.txt", "command.txt"
PROGRESS = "perfkit: "
"""Prefix of the worker's progress lines on its standard error."""

_GRACE: tuple[tuple[signal.Signals, float], ...] = (
    (signal.SIGINT, 5.0),
    (signal.SIGTERM, 2.0),
    (signal.SIGKILL, 5.0),
)
_TAIL_LINES = 3


@dataclass(frozen=True, kw_only=True)
class WorkerResult:
    """How a worker ended.

    Attributes:
        returncode: Exit status of the process; negative for a signal.
        seconds: Wall time from start to end, in seconds.
        directory: Where plan, logs and error record lie.
    """

    returncode: int
    seconds: float
    directory: Path


def run_worker(
    plan: WorkerPlan,
    directory: Path,
    *,
    timeout: float | None = None,
    progress: Callable[[str], None] = lambda line: None,
    command: Callable[[Sequence[str]], Sequence[str]] = lambda argv: argv,
    abort: Callable[[], None] = lambda: None,
) -> WorkerResult:
    """Run one worker to its end.

    Args:
        plan: What to do.
        directory: Where to keep plan and logs; created when missing.
        timeout: Seconds after which the worker is ended; None waits.
        progress: Called with every progress line.
        command: Given the worker's command line, returns the one to start.
        abort: Called after the worker was ended by the timeout or Ctrl-C.

    Raises:
        PerfkitError: The error that the worker reported, with its own type.
        ToolError: The worker timed out, was killed, could not be started or ended without saying why.
        MissingError: The directory cannot be written to.
    """
    path = directory / PLAN
    write_atomically(path, plan.model_dump_json(indent=2) + "\n")
    (directory / ERROR).unlink(missing_ok=True)
    argv = list(command([sys.executable, "-m", "perfkit_core.worker", str(path)]))
    write_atomically(directory / COMMAND, shlex.join(argv) + "\n")
    started = time.monotonic()
    with (directory / STDOUT).open("wb") as stdout:
        process = _start(argv, stdout)
        follower = threading.Thread(target=_follow, args=(process, directory / STDERR, progress), daemon=True)
        follower.start()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            end_process(process)
            abort()
            raise ToolError(
                f"the {plan.task} worker was ended after {timeout:g} s", fix=f"its log: {directory / STDERR}"
            ) from None
        except KeyboardInterrupt:
            end_process(process)
            abort()
            raise
        finally:
            follower.join(timeout=5.0)
    if process.returncode:
        raise _failure(plan, process.returncode, directory)
    return WorkerResult(returncode=0, seconds=time.monotonic() - started, directory=directory)


def _start(argv: Sequence[str], stdout: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module behind a known tool, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # a file in the user's directory must not shadow a module
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}", fix="perfkit doctor") from None


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group: interrupt, then terminate, then kill."""
    for number, patience in _GRACE:
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            process.wait()
        return


def _follow(process: subprocess.Popen[bytes], log: Path, progress: Callable[[str], None]) -> None:
    """Copy the worker's standard error into its log as it comes, and pass on progress lines."""
    stream = process.stderr
    if stream is None:
        return
    with log.open("wb", buffering=0) as file:
        for line in stream:
            with suppress(OSError):  # a full disk: the worker must not wait for a reader that has given up
                file.write(line)
            text = line.decode("utf-8", "replace").rstrip()
            if text.startswith(PROGRESS):
                progress(text.removeprefix(PROGRESS))


def _failure(plan: WorkerPlan, returncode: int, directory: Path) -> PerfkitError:
    """Return the error the worker recorded, or the best description of how it died."""
    try:
        record = WorkerError.model_validate_json((directory / ERROR).read_bytes())
    except (OSError, ValidationError):
        return _death(plan, returncode, directory)
    kind = getattr(errors, record.type, None)
    if isinstance(kind, type) and issubclass(kind, PerfkitError):
        return kind(record.message, fix=record.fix)
    return ToolError(f"the {plan.task} worker failed: {record.message}", fix=f"its traceback: {directory / ERROR}")


def _death(plan: WorkerPlan, returncode: int, directory: Path) -> ToolError:
    how = f"exit status {returncode}"
    if returncode < 0:
        how = f"signal {signal.Signals(-returncode).name}"
        if -returncode == signal.SIGKILL:
            how += ", perhaps for want of memory"
    log = directory / STDERR
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_TAIL_LINES:] if log.exists() else []
    said = f": {' | '.join(tail)}" if tail else ""
    return ToolError(f"the {plan.task} worker ended with {how}{said}", fix=f"its log: {log}")
