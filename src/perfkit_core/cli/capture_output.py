"""What ``import`` and ``exec`` print of a capture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfkit_core.cli.output import emit, emit_json, emit_table

if TYPE_CHECKING:
    from perfkit_core.rundir import Run

TOP = 10


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
    from perfkit_core.units import format_count, format_share, format_time

    capture = CaptureContext(run, run.report)
    emit(f"{capture.title}: {run.index.status}")
    if capture.profile is not None:
        totals = capture.profile.totals
        unknown = totals.outside_ns is None
        outside = "it is not known what" if totals.outside_ns is None else format_time(totals.outside_ns)
        place = "ran outside of regions" if unknown else "of it outside every region"
        emit(f"{format_count(totals.kernels)} kernels, {format_time(totals.total_ns)}; {outside} {place}")
    largest = sorted(capture.regions, key=lambda row: -row.record.exclusive_ns)[:TOP]
    if largest:
        rows = [
            (
                row.record.domain or "(default)",
                row.record.path,
                "-" if row.record.instances is None else str(row.record.instances),
                format_time(row.record.inclusive_ns),
                format_time(row.record.exclusive_ns),
                format_share(row.share),
            )
            for row in largest
        ]
        emit("")
        emit_table(("domain", "region", "instances", "inclusive", "exclusive", "share"), rows, right=range(2, 6))
    if capture.kernels:
        ranked = [
            (kernel.name, kernel.kind, str(kernel.calls), format_time(kernel.total_ns))
            for kernel in capture.kernels[:TOP]
        ]
        emit("")
        emit_table(("kernel", "kind", "calls", "time"), ranked, right=(2, 3))
    emit("")
    limits = () if capture.profile is None else capture.profile.limits
    for note in (*limits, *run.index.notes, *(note for done in run.index.passes for note in done.notes)):
        emit(f"note: {note}")
    emit(f"report: {run.path / REPORT}")
