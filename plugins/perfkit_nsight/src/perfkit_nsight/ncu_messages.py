"""What ncu says when it measured nothing, or not what was asked: it often ends with success all the same."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from perfkit_core.errors import MissingError, PerfkitError, ToolError, UsageError

_LONGEST = 300
"""Letters of what ncu says that an error repeats, at most."""


class RangeRefusedError(ToolError):
    """The program calls what ncu cannot capture in a range: another way of replay may do."""


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """Something that ncu says, and what it means.

    Attributes:
        pattern: Regular expression for its words.
        kind: Error to raise.
        message: What failed.
        fix: What to do.
        final: Whether it decides alone; the others say so only when nothing was measured by a program that ended well.
    """

    pattern: str
    kind: type[PerfkitError]
    message: str
    fix: str
    final: bool = True


VARIABLE = "PERFKIT_NCU"
"""Environment variable that names the ncu to use."""

_PROGRAM_FAILED = r"The application returned an error code"
"""Why no kernel was profiled is then the program's own affair."""

_MARKS = ("==", "Available Kernels:", "unrecognised option", "the argument for option")
"""What ncu's own lines begin with."""

_FAULTS = (
    _Fault(
        pattern=r"Performance Counters on the target vGPU",
        kind=MissingError,
        message="ncu may not read the counters of this virtual GPU",
        fix="whoever runs its host can allow it (vGPU parameter enable_profiling=1); or use a whole GPU",
    ),
    _Fault(
        pattern=r"ERR_NVGPUCTRPERM|not have permission to access NVIDIA GPU Performance Counters",
        kind=MissingError,
        message="ncu may not read this GPU's counters: the driver allows it to administrators alone (ERR_NVGPUCTRPERM)",
        fix="run as root, give the container CAP_SYS_ADMIN, or load the driver's module with "
        "NVreg_RestrictProfilingToAdminUsers=0",
    ),
    _Fault(
        pattern=r"driver resource was unavailable",
        kind=MissingError,
        message="the counters are held by another tool, such as DCGM or a second profiler",
        fix="end it, or pause it: dcgmi profile --pause, and dcgmi profile --resume afterwards",
    ),
    _Fault(
        pattern=r"Another tool/injection might be loaded",
        kind=MissingError,
        message="another profiler is loaded into the process (CUDA_INJECTION64_PATH is set)",
        fix="start perfkit outside of nsys and other profilers; unset CUDA_INJECTION64_PATH",
    ),
    _Fault(
        pattern=r"did not match any section",
        kind=UsageError,
        message="ncu does not know one of the sections",
        fix="ncu --list-sections shows them; --set ncu.sections=A,B",
    ),
    _Fault(
        pattern=r"Unsupported API during capture|Skipping invalid capture range|is not supported during range replay|"
        r"too old to support range replay|Failed to prepare range for profiling",
        kind=RangeRefusedError,
        message="range replay was refused: it does not work with this program and driver",
        fix="--set ncu.replay=app-range runs the program once per pass instead; kernel measures single kernels",
    ),
    _Fault(
        pattern=r"unrecognised option|^the argument for option .* is invalid",
        kind=MissingError,
        message="this ncu is too old: it does not know an option that is used here",
        fix=f"install a newer one, or name it with {VARIABLE}",
    ),
    _Fault(
        pattern=r"Driver could not be loaded",
        kind=MissingError,
        message="ncu finds no NVIDIA driver to load",
        fix="nvidia-smi shows whether there is one; a container needs --gpus all",
    ),
    _Fault(
        pattern=r"driver is not compatible with Nsight Compute|Failed to load Nsight Compute CUDA modules|"
        r"Insufficient driver version|driver version is insufficient|Failed to initialize the profiler|"
        r"Profiling is not supported on",
        kind=MissingError,
        message="this ncu and the driver or GPU do not fit",
        fix="ncu --version must not be of a later CUDA than nvidia-smi shows, and ncu --list-chips must have the GPU: "
        f"install one that fits and name it with {VARIABLE}",
    ),
    _Fault(
        pattern=r"Failed to prepare kernel for profiling|[Uu]nknown [Ee]rror on device",
        kind=ToolError,
        message="ncu could not set its counters up for a kernel",
        fix=f"seen where ncu is of another CUDA than driver and program: name one of theirs with {VARIABLE}",
    ),
    _Fault(
        pattern=r"(Cannot|Failed to) lock GPU clock",
        kind=MissingError,
        message="ncu may not hold this GPU's clocks",
        fix="--set ncu.clock_control=none; nvidia-smi --lock-gpu-clocks=tdp,tdp holds them instead",
    ),
    _Fault(
        pattern=r"Failed to open/create lock file",
        kind=MissingError,
        message="ncu cannot take its lock, which another user's ncu may have left",
        fix="delete the file that it names, or set TMPDIR to a directory of your own",
    ),
    _Fault(
        pattern=r"Insufficient free memory for profiling|Insufficient memory and disk space|bad allocation",
        kind=ToolError,
        message="there is no memory left to save what a kernel changes",
        fix="--set ncu.replay=application repeats the program instead; or measure a smaller workload",
    ),
    _Fault(
        pattern=r"Unable to write to file|No space left",
        kind=MissingError,
        message="ncu could not write its report",
        fix="free some space or choose another --out",
    ),
    _Fault(
        pattern=r"Failed to find metric|Failed to access the following \d+ metrics|Metric \S+ not found",
        kind=UsageError,
        message="ncu cannot collect one of the metrics on this GPU",
        fix="ncu --query-metrics shows what it knows; --set ncu.metrics=A,B",
    ),
    _Fault(
        # Not where it was told to stop: then the one who told it says why.
        pattern=r"(?s)\A(?!.*Received signal).*Failed to profile \"",
        kind=ToolError,
        message="ncu gave up at a kernel",
        fix="--set ncu.replay=application, or leave that kernel out: --set ncu.exclude=NAME",
    ),
    _Fault(
        pattern=r"NVTX include expressions match only",
        kind=ToolError,
        message="no kernel ran inside the region that was asked for",
        fix="regions.json lists them; --set ncu.region=PATH",
        final=False,
    ),
    _Fault(
        pattern=r"Available Kernels:",
        kind=ToolError,
        message="no kernel has one of the names that were looked for",
        fix="leave --set ncu.include and ncu.exclude out, or see kernels.md for names",
        final=False,
    ),
    _Fault(
        pattern=r"No kernels were profiled",
        kind=ToolError,
        message="ncu profiled no kernel: the program ran none on a GPU in what was measured",
        fix="run it with --backend nsys to see what runs on the GPU",
        final=False,
    ),
)


def words_of(text: str) -> str:
    """Return ncu's own lines of what ncu and a program printed."""
    return "\n".join(line for line in text.splitlines() if line.startswith(_MARKS))


def fault_of(log: str, *, measured: bool) -> PerfkitError | None:
    """Return the error that ncu's words stand for; None when they hold none.

    Args:
        log: What ncu said.
        measured: Whether there are results; then only what makes them wrong counts.
    """
    whole = not measured and not re.search(_PROGRAM_FAILED, log)
    for fault in _FAULTS:
        if (fault.final or whole) and re.search(fault.pattern, log, re.MULTILINE):
            said = _said(log, fault.pattern)
            return fault.kind(f"{fault.message}. ncu says: {said}" if said else fault.message, fix=fault.fix)
    return None


def _said(log: str, pattern: str) -> str:
    """Return ncu's own line, without its mark."""
    for line in log.splitlines():
        if re.search(pattern, line):
            return textwrap.shorten(re.sub(r"^==\w+==\s*", "", line), _LONGEST, placeholder=" ...")
    return ""
