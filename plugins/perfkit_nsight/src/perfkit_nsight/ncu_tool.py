"""Finding Nsight Compute on this machine, and trying it on a kernel that does nothing."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from perfkit_core.errors import MissingError, ToolError, UsageError, nearest
from perfkit_nsight.environment import minimal_environment
from perfkit_nsight.finding import candidates, release_of, version_of
from perfkit_nsight.ncu_messages import VARIABLE, fault_of, words_of
from perfkit_nsight.ncu_metrics import Collection

OLDEST = (2023, 1)
"""Oldest version that knows the options used here."""

HOW_TO_INSTALL = f"install Nsight Compute (it comes with the CUDA toolkit) or name it with {VARIABLE}=PATH"

_PLACES = (
    "/usr/local/cuda*/bin/ncu",
    "/opt/nvidia/nsight-compute/*/ncu",
    "/usr/local/cuda*/nsight-compute-*/ncu",
)
_SECONDS = 180
_log = logging.getLogger("perfkit.nsight")


@dataclass(frozen=True, kw_only=True)
class Ncu:
    """An ncu on this machine.

    Attributes:
        path: The executable.
        version: Its version, such as ``2025.3.1.0``; empty when it does not say.
        problems: What keeps it from being used, one line each with the way out.
    """

    path: Path
    version: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What ncu could do with a kernel that does nothing.

    Attributes:
        passes: How often it had to run the kernel to collect everything.
        missing: Metrics that the GPU does not have.
    """

    passes: int
    missing: frozenset[str]


def find_ncu(environ: Mapping[str, str]) -> Ncu | None:
    """Return the ncu that ``PERFKIT_NCU`` names, that is on PATH or that lies in a usual place; else None.

    Raises:
        MissingError: ``PERFKIT_NCU`` names no file, or a directory.
    """
    named = environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            what = "a directory" if Path(named).is_dir() else "no file"
            raise MissingError(f"{VARIABLE}={named} is {what}", fix=f"unset {VARIABLE} or name the ncu executable")
        return _looked_at(Path(named))
    found = [_looked_at(path) for path in candidates("ncu", _PLACES, environ)]
    return next((tool for tool in found if not tool.problems), found[0] if found else None)


def usable_ncu(environ: Mapping[str, str]) -> Ncu:
    """Return an ncu that can measure.

    Raises:
        MissingError: There is none, or it cannot be used.
    """
    tool = find_ncu(environ)
    if tool is None:
        raise MissingError("ncu is not on this machine", fix=HOW_TO_INSTALL)
    if tool.problems:
        raise MissingError(f"{tool.path} cannot be used: {tool.problems[0]}", fix="perfkit doctor")
    return tool


def _looked_at(path: Path) -> Ncu:
    version, problem = version_of(path)
    if problem:
        return Ncu(path=path, version="", problems=(f"{problem}; name another with {VARIABLE}",))
    if release_of(version) < OLDEST:
        old = f"version {version} is older than {OLDEST[0]}.{OLDEST[1]}: install a newer one or name it with {VARIABLE}"
        return Ncu(path=path, version=version, problems=(old,))
    return Ncu(path=path, version=version)


def try_out(tool: Ncu, wanted: Collection, options: Sequence[str], device: str) -> Trial:
    """Measure a kernel that does nothing: finds in seconds what would spoil a run of minutes.

    Args:
        tool: The ncu.
        wanted: What to collect.
        options: Options for ncu besides, such as clock control.
        device: ``cuda:N``.

    Raises:
        MissingError: Counters may not be read or are held by another tool, or tool, driver and GPU do not fit.
        UsageError: A section or metric that the user named does not exist on this GPU.
        ToolError: ncu failed for another reason.
    """
    with tempfile.TemporaryDirectory(prefix="perfkit-ncu-") as folder:
        report, log = Path(folder) / "probe.ncu-rep", Path(folder) / "ncu.log"
        program = files("perfkit_nsight") / "probe.py"
        number = device.rpartition(":")[2] if ":" in device else "0"
        argv = [str(tool.path), "--force-overwrite", "--export", str(report), "--log-file", str(log), *options]
        tried = [sys.executable, str(program), number]
        status, said = _run([*argv, *wanted.arguments(), *tried])
        text = said + (log.read_text(encoding="utf-8", errors="replace") if log.exists() else "")
        _log.debug("ncu on an empty kernel ended with %d: %s", status, text)
        fault = fault_of(words_of(text), measured=True)  # that it launched a kernel is known
        if fault is not None:
            raise fault
        if status or not report.exists():
            raise ToolError(
                f"ncu {tool.version} failed on an empty kernel, with exit status {status}: {_last(text):.200}",
                fix=f"try it by hand: {shlex.join([str(tool.path), *tried])}",
            )
        return _read(report, wanted, tool)


def _last(text: str) -> str:
    """Return the last words of the program, which tell most; where it said nothing, all of ncu's."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith("==")]
    return own[-1] if own else " ".join(line.split("== ")[-1] for line in lines) or "no word"


def _run(argv: Sequence[str]) -> tuple[int, str]:
    """Return the exit status of a command and what it said; where it takes too long, all that it started is ended."""
    try:
        with subprocess.Popen(  # noqa: S603 - the tool itself, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=minimal_environment(os.environ),
            start_new_session=True,
        ) as process:
            try:
                said = process.communicate(timeout=_SECONDS)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"ncu did not measure an empty kernel within {_SECONDS} s",
            fix="another profiler may hold the GPU: nvidia-smi shows what runs there",
        ) from None
    except OSError as error:
        raise MissingError(f"{argv[0]} cannot be started: {error}", fix=HOW_TO_INSTALL) from None
    return process.returncode, "".join(text.decode("utf-8", "replace") for text in said)


def _read(report: Path, wanted: Collection, tool: Ncu) -> Trial:
    from perfkit_nsight.ncu_rep import read_counters

    found = read_counters(report)
    collected = {str(column["name"]) for column in found.metrics}
    missing = frozenset(name for name in wanted.metrics if ":" not in name and not _has(name, collected))
    refused = sorted(missing & set(wanted.named))
    if refused:
        raise UsageError(f"this GPU has no metric {refused[0]!r}", fix=_suggestion(tool, refused[0]))
    return Trial(passes=found.results[0].passes or 1, missing=missing)


def _has(name: str, collected: set[str]) -> bool:
    """Tell whether a metric came back; one without a suffix comes back with all of its own."""
    return name in collected or any(other.startswith(f"{name}.") for other in collected)


def _suggestion(tool: Ncu, name: str) -> str:
    status, text = _run([str(tool.path), "--query-metrics"])
    known = [line.split()[0] for line in text.splitlines() if "__" in line.split(" ")[0]] if not status else []
    base, _, suffix = name.partition(".")
    if not known:
        return "ncu --query-metrics lists what there is"
    if base in known:
        return f"{base} exists, but not with .{suffix}: ncu --query-metrics-mode suffix --metrics {base}"
    return f"{nearest(base, known)}; ncu --query-metrics lists them"
