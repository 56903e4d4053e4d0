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
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from perfkit_core import errors
from perfkit_core.environment import worker_environment
from perfkit_core.errors import MissingError, PerfkitError, ToolError
from perfkit_core.files import write_atomically
from perfkit_core.interrupts import hasty, shielded
from perfkit_core.schema.worker import WorkerError, WorkerPlan

PLAN, ERROR, STDOUT, STDERR, COMMAND = "plan.json", "error.json", "stdout.txt", "stderr.txt", "command.txt"
PROGRESS = "perfkit: "
"""Prefix of the worker's progress lines on its standard error."""
ERROR_LINE = "perfkit-error: "
"""Prefix of its error record there, when it cannot write the file."""

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
    environ: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda environ: environ,
    abort: Callable[[], None] = lambda: None,
) -> WorkerResult:
    """Run one worker to its end.

    Args:
        plan: What to do.
        directory: Where to keep plan and logs; created when missing.
        timeout: Seconds after which the worker is ended; None waits.
        progress: Called with every progress line.
        command: Given the worker's command line, returns the one to start.
        environ: Given the worker's environment, returns the one to start it in.
        abort: Called after the worker was ended by the timeout, Ctrl-C or SIGTERM.

    Raises:
        PerfkitError: The error that the worker reported, with its own type.
        ToolError: The worker timed out, was killed, could not be started or ended without saying why.
        MissingError: The directory cannot be written to.
    """
    path = directory / PLAN
    write_atomically(path, plan.model_dump_json(indent=2) + "\n")
    (directory / ERROR).unlink(missing_ok=True)
    device = plan.measure.device if plan.measure else "cpu"
    started = time.monotonic()
    said = _Said(progress=progress)
    returncode = _run(
        f"the {plan.task} worker",
        command([sys.executable, "-m", "perfkit_core.worker", str(path)]),
        environ(worker_environment(device, os.environ)),
        directory,
        timeout=timeout,
        said=said,
        abort=abort,
    )
    if returncode:
        raise _failure(plan, returncode, directory, said)
    return WorkerResult(returncode=0, seconds=time.monotonic() - started, directory=directory)


def _run(
    what: str,
    argv: Sequence[str],
    environ: Mapping[str, str],
    directory: Path,
    *,
    timeout: float | None,
    said: _Said,
    abort: Callable[[], None],
) -> int:
    """Start a process with a session of its own, follow it to its end and return its exit status."""
    write_atomically(directory / COMMAND, shlex.join(argv) + "\n")
    with opened(directory / STDOUT) as stdout, opened(directory / STDERR) as log:
        said.log = log
        process = _start(argv, stdout, environ)
        follower = threading.Thread(target=said.follow, args=(process.stderr,), daemon=True)
        follower.start()
        try:
            return wait_for(process, what, timeout, abort, log=directory / STDERR)
        finally:
            follower.join(timeout=5.0)


def wait_for(
    process: subprocess.Popen[bytes], what: str, timeout: float | None, abort: Callable[[], None], *, log: Path
) -> int:
    """Wait for a process that has a session of its own and return its exit status; Ctrl-C ends it too.

    Args:
        process: The process.
        what: What it is called in errors.
        timeout: Seconds after which it is ended; None waits.
        abort: Called after it was ended.
        log: Where to look, for errors.

    Raises:
        ToolError: It timed out.
    """
    try:
        with _terminated_like_interrupted():
            return process.wait(timeout)
    except subprocess.TimeoutExpired:
        with shielded():
            end_process(process)
            abort()
        raise ToolError(f"{what} was ended after {round(timeout or 0, 1):g} s", fix=f"its log: {log}") from None
    except KeyboardInterrupt:
        with shielded():
            end_process(process)
            abort()
        raise


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: the worker has a session of its own and would otherwise outlive this process."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def opened(path: Path) -> IO[bytes]:
    """Open a log for writing, unbuffered.

    Raises:
        MissingError: It cannot be written.
    """
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise MissingError(
            f"cannot write {path}: {error.strerror}", fix="free some space or choose another --out"
        ) from None


def _start(argv: Sequence[str], stdout: IO[bytes], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, or a profiler in front of it, and no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=dict(environ),
        )
    except OSError as error:
        raise ToolError(f"{argv[0]} cannot be started: {error.strerror}", fix="perfkit doctor") from None


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group: interrupt, then terminate, then kill; a second Ctrl-C goes on to the next."""
    for number, patience in _GRACE:
        try:
            os.killpg(process.pid, number)
            with hasty():
                process.wait(patience)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue
        except ProcessLookupError:
            process.wait()
        break
    with suppress(ProcessLookupError):  # what it started and left behind
        os.killpg(process.pid, signal.SIGKILL)


@dataclass(kw_only=True)
class _Said:
    """What a process writes on its standard error: kept in its log, progress passed on, the end remembered."""

    progress: Callable[[str], None]
    log: IO[bytes] | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    error: str = ""

    def follow(self, stream: IO[bytes]) -> None:
        """Read to the end."""
        for line in stream:
            text = line.decode("utf-8", "replace").rstrip()
            if text.startswith(ERROR_LINE):
                self.error = text.removeprefix(ERROR_LINE)
                continue
            with suppress(OSError, ValueError):  # a full disk or closed log: nobody must wait for its reader
                if self.log is not None:
                    self.log.write(line)
            if text:
                self.tail.append(text)
            if text.startswith(PROGRESS):
                self.progress(text.removeprefix(PROGRESS))


def _failure(plan: WorkerPlan, returncode: int, directory: Path, said: _Said) -> PerfkitError:
    """Return the error the worker recorded, or the best description of how it died."""
    try:
        text = said.error or (directory / ERROR).read_text(encoding="utf-8")
        record = WorkerError.model_validate_json(text)
    except (OSError, ValidationError):
        return _death(plan, returncode, directory, said)
    kind = getattr(errors, record.type, None)
    if isinstance(kind, type) and issubclass(kind, PerfkitError):
        return kind(record.message, fix=record.fix)
    return ToolError(f"the {plan.task} worker failed: {record.message}", fix=f"its traceback: {directory / ERROR}")


def _death(plan: WorkerPlan, returncode: int, directory: Path, said: _Said) -> ToolError:
    how = f"exit status {returncode}"
    if returncode < 0:
        how = f"signal {signal.Signals(-returncode).name}"
        if -returncode == signal.SIGKILL:
            how += ", perhaps for want of memory"
    last = f": {' | '.join(said.tail)}" if said.tail else ""
    return ToolError(f"the {plan.task} worker ended with {how}{last}", fix=f"its log: {directory / STDERR}")
