"""What ``import`` and ``exec`` print of a capture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfkit_core.cli.output import emit, emit_json, emit_table, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfkit_core.capture_context import CaptureContext, CaptureRow, KernelTotal
    from perfkit_core.rundir import Run

TOP = 10
LEAST = 24
"""Characters that a kernel's name has, however narrow the terminal."""


def show_capture(run: Run, *, as_json: bool) -> None:
    """Print a capture: as JSON, or its totals, largest regions and kernels, notes and where the report is."""
    from perfkit_core.captured import summary

    if as_json:
        emit_json(summary(run))
    else:
        _show(run)


def _show(run: Run) -> None:
    from perfkit_core.capture_context import CaptureContext
    from perfkit_core.rundir import REPORT

    capture = CaptureContext(run, run.report)
    emit(f"{capture.title}: {run.index.status}")
    if capture.profile is not None:
        emit(_whole(capture))
    if capture.regions:
        emit("")
        (_show_regions if capture.device_work else _show_host_times)(capture.regions)
    if capture.kernels:
        emit("")
        _show_kernels(capture.kernels[:TOP])
    emit("")
    limits = () if capture.profile is None else capture.profile.limits
    for note in (*limits, *run.index.notes, *(note for done in run.index.passes for note in done.notes)):
        emit(f"note: {note}")
    emit(f"report: {run.path / REPORT}")


def _whole(capture: CaptureContext) -> str:
    """Return what was recorded, in one line."""
    from perfkit_core.units import format_count, format_time

    if capture.profile is None or not capture.device_work:
        found = f"{len(capture.regions)} regions, with the time they were open on the host"
        return f"no kernels; {found if capture.regions else 'no regions'}"
    totals = capture.profile.totals
    found = f"{format_count(totals.kernels)} kernels, {format_time(totals.total_ns)}"
    if totals.outside_ns is None:
        return f"{found}; how much of it is outside every region is not known"
    return f"{found}, of which {format_time(totals.outside_ns)} outside every region"


def _show_regions(regions: Sequence[CaptureRow]) -> None:
    from perfkit_core.units import format_share, format_time

    largest = sorted(regions, key=lambda row: (-row.record.exclusive_ns, -row.record.inclusive_ns))[:TOP]
    rows = [
        (
            *_place(row),
            format_time(row.record.inclusive_ns),
            format_time(row.record.exclusive_ns),
            format_share(row.share),
        )
        for row in largest
    ]
    emit_table(("domain", "region", "instances", "inclusive", "exclusive", "share"), rows, right=range(2, 6))


def _show_host_times(regions: Sequence[CaptureRow]) -> None:
    from perfkit_core.units import format_time

    largest = sorted(regions, key=lambda row: -(row.record.host_time or 0))[:TOP]
    rows = [(*_place(row), format_time(row.record.host_time), format_time(row.host_time_each)) for row in largest]
    emit_table(("domain", "region", "instances", "host time", "each"), rows, right=range(2, 5))


def _place(row: CaptureRow) -> tuple[str, str, str]:
    record = row.record
    return record.domain or "(default)", record.path, "-" if record.instances is None else str(record.instances)


def _show_kernels(kernels: Sequence[KernelTotal]) -> None:
    from perfkit_core.units import format_share, format_time

    columns = ("kernel", "library", "calls", "total", "mean", "share")
    rest = [
        (
            kernel.library or ("-" if kernel.kind == "kernel" else kernel.kind),
            str(kernel.calls),
            format_time(kernel.total_ns),
            format_time(kernel.mean_ns),
            format_share(kernel.share),
        )
        for kernel in kernels
    ]
    taken = sum(2 + max(map(len, column)) for column in zip(columns[1:], *rest, strict=True))
    names = _fitting([kernel.readable for kernel in kernels], taken)
    rows = [(name, *values) for name, values in zip(names, rest, strict=True)]
    emit_table(columns, rows, right=range(2, 6))


def _fitting(names: list[str], taken: int) -> list[str]:
    """Return names that fit into the terminal beside what is taken; whole ones where two would look the same."""
    from perfkit_core.kernel_names import shortened

    columns = width()
    if columns is None:
        return names
    cut = [shortened(name, max(LEAST, columns - taken)) for name in names]
    return cut if len(set(cut)) == len(set(names)) else names
