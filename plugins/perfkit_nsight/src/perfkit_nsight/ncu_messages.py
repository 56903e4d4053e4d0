"""What ncu says when it measured nothing, or not what was asked: it often ends with success all the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

from perfkit_core.errors import MissingError, PerfkitError, ToolError, UsageError


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """Something that ncu says, and what it means.

    Attributes:
        pattern: Regular expression for its words.
        kind: Error to raise.
        message: What failed.
        fix: What to do.
        final: Whether it decides alone; the others say so only when nothing was measured.
    """

    pattern: str
    kind: type[PerfkitError]
    message: str
    fix: str
    final: bool = True


_FAULTS = (
    _Fault(
        pattern=r"ERR_NVGPUCTRPERM",
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
        pattern=r"Unsupported API during capture|Skipping invalid capture range|is not supported during range replay",
        kind=ToolError,
        message="range replay was refused: the program calls what cannot be captured in a range",
        fix="--set ncu.replay=app-range runs the program once per pass instead; kernel measures single kernels",
    ),
    _Fault(
        pattern=r"[Dd]river version is (insufficient|too old)|not compatible with the (installed )?driver|"
        r"[Cc]uda driver is not compatible|Unsupported GPU|is not supported on this (GPU|device|chip)|"
        r"Profiling is not supported on",
        kind=MissingError,
        message="this ncu and the driver or GPU do not fit",
        fix="install an ncu for this GPU and driver, or name one with PERFKIT_NCU; perfkit doctor shows both",
    ),
    _Fault(
        pattern=r"Unable to write to file|No space left",
        kind=MissingError,
        message="ncu could not write its report",
        fix="free some space or choose another --out",
    ),
    _Fault(
        pattern=r"Metrics? .*(not found|cannot be collected)|Failed to find metric",
        kind=UsageError,
        message="ncu cannot collect one of the metrics on this GPU",
        fix="ncu --query-metrics shows what it knows; --set ncu.metrics=A,B",
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


def fault_of(log: str, *, measured: bool) -> PerfkitError | None:
    """Return the error that ncu's words stand for; None when they hold none.

    Args:
        log: What ncu said.
        measured: Whether there are results; then only what makes them wrong counts.
    """
    for fault in _FAULTS:
        if (fault.final or not measured) and re.search(fault.pattern, log):
            said = _said(log, fault.pattern)
            return fault.kind(f"{fault.message}. ncu says: {said}" if said else fault.message, fix=fault.fix)
    return None


def _said(log: str, pattern: str) -> str:
    """Return ncu's own line, without its mark."""
    for line in log.splitlines():
        if re.search(pattern, line):
            return re.sub(r"^==\w+==\s*", "", line).strip()[:200]
    return ""
