"""``ncu/regions/report.md``, of all regions and of one: hardware counters as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfkit_core.schema.counters import CounterKernel, CounterRegion, CountersReport, Efficiency, TopKernel
from perfkit_core.units import format_bytes, format_flops, format_intensity, format_share, format_time

OWN_DOMAIN = "perfkit"
TOP = 40
"""Kernels of a table; the rest is in the file beside it."""

_FIGURES = ("compute", "memory", "DRAM", "occupancy", "intensity", "ridge", "FLOP/s", "of peak")


def counters_page(report: CountersReport) -> str:
    """Return the page of all regions and kernels."""
    total = sum(kernel.total_ns for kernel in report.kernels)
    parts = [
        "# Counters by region",
        _source(report),
        _lines(report.notes),
        "## Regions",
        _regions(report, total),
        "## Kernels outside every region",
        _inside(report.outside_kernels, total) if report.outside_kernels else "None.",
        "## Kernels",
        _kernels(report.kernels, total),
        _meaning(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def region_page(report: CountersReport, region: CounterRegion) -> str:
    """Return the page of one region."""
    parts = [
        f"# {_code(_label(region))}",
        _source(report),
        _text(region.note),
        f"**{region.bound}**: {_text(region.reason)}",
        _facts(region),
        "## Kernels",
        _inside(region.top_kernels, region.inclusive_ns) if region.top_kernels else "None.",
        "## Metrics" if region.metrics else "",
        _metrics(region),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _source(report: CountersReport) -> str:
    device = f" on {_text(report.device)}" if report.device else ""
    peaks = f" Peaks: {_text(report.peaks)}." if report.peaks else " Peaks are not known."
    return (
        f"Counters by {_text(report.profiler)}{device}; kernels and their time by {_text(report.timeline)}.{peaks} "
        "What was measured stands for all runs of the same kernel with the same geometry in regions of the same family "
        "(equal but for indices, shown as `*`), where it took the same time."
    )


def _regions(report: CountersReport, total: int) -> str:
    if not report.regions:
        return "There are no ranges, so there is nothing but kernels."
    columns = ("region", "time", "share", "own", "kernels", "measured", "limited by", *_FIGURES[:5], "note")
    rows = [
        (
            _code(_label(region)),
            format_time(region.inclusive_ns),
            _part(region.inclusive_ns, total),
            format_time(region.exclusive_ns),
            str(region.inclusive_kernels),
            format_share(region.measured_share),
            region.bound,
            *_figures(region.efficiency)[:5],
            _text(region.note),
        )
        for region in report.regions
        if region.directory
    ]
    text, left = _table(columns, rows, right=range(1, 6)), len(report.regions) - len(rows)
    return f"{text}\n\n{left} more are in `report.json`." if left else text


def _kernels(kernels: Sequence[CounterKernel], total: int) -> str:
    if not kernels:
        return "No kernel ran."
    columns = ("kernel", "library", "in", "grid", "block", "calls", "time", "share", "limited by", *_FIGURES)
    rows = [
        (
            _code(kernel.readable),
            kernel.library or "-",
            _code(kernel.where) if kernel.where else "outside",
            kernel.grid or "-",
            kernel.block or "-",
            str(kernel.calls),
            format_time(kernel.total_ns),
            _part(kernel.total_ns, total),
            kernel.bound if kernel.measured_calls else "not measured",
            *_figures(kernel.efficiency),
        )
        for kernel in kernels[:TOP]
    ]
    text = _table(columns, rows, right=range(5, 8))
    return text if len(kernels) <= TOP else f"{text}\n\n{len(kernels) - TOP} more are in `report.json`."


def _inside(kernels: Iterable[TopKernel], total: int) -> str:
    rows = [
        (_code(one.readable), str(one.calls), format_time(one.total_ns), _part(one.total_ns, total)) for one in kernels
    ]
    return _table(("kernel", "calls", "time", "share"), rows, right=range(1, 4))


def _facts(region: CounterRegion) -> str:
    found = region.efficiency
    rows = [
        ("time of its kernels", format_time(region.inclusive_ns)),
        ("without regions inside", format_time(region.exclusive_ns)),
        ("kernels", f"{region.inclusive_kernels}, {region.exclusive_kernels} without regions inside"),
        ("opened", "-" if region.instances is None else f"{region.instances} times"),
        ("kernel time that has counters", format_share(region.measured_share)),
        ("GPU idle", _share(region.idle_share)),
        ("own time, replayed as a whole", format_time(region.range_ns)),
        ("element type", found.dtype or "-"),
        ("FLOPs of tensor cores", _flops(found.tensor_flops)),
        ("FLOPs of other cores", _flops(found.cuda_core_flops)),
        ("device memory traffic", "-" if found.dram_bytes is None else format_bytes(found.dram_bytes)),
        *zip(_FIGURES, _figures(found), strict=True),
    ]
    return _table(("", "value"), rows, right=(1,))


def _metrics(region: CounterRegion) -> str:
    if not region.metrics:
        return ""
    rows = [(_code(one.name), one.of, _value(one.value), _text(one.unit)) for one in region.metrics]
    return _table(("metric", "of", "value", "unit"), rows, right=(2,))


def _value(value: float | str | None) -> str:
    if value is None:
        return "-"
    return _text(value) if isinstance(value, str) else f"{value:.6g}"


def _meaning(report: CountersReport) -> str:
    limits = report.thresholds
    return (
        "Compute is the busiest part of the SMs, memory the busiest part of the memory system, each of its sustained "
        f"peak; from {format_share(limits.near_peak)} on, that side limits, and within "
        f"{format_share(limits.balanced_within)} of each other both do. Below, a kernel waits for latency. A region "
        f"whose GPU is idle for {format_share(limits.launch_idle)} of its time waits for launches. Values of a region "
        "are sums over the runs of its measured kernels, or means weighted by their time under the counters."
    )


def _figures(found: Efficiency) -> tuple[str, ...]:
    return (
        _share(found.compute_share),
        _share(found.memory_share),
        _share(found.dram_share),
        _share(found.occupancy),
        format_intensity(found.intensity),
        format_intensity(found.ridge),
        "-" if found.flops_per_s is None else f"{format_flops(found.flops_per_s)}/s",
        _share(found.peak_share),
    )


def _label(region: CounterRegion) -> str:
    return region.path if region.domain == OWN_DOMAIN else f"{region.domain or 'default'}: {region.path}"


def _share(value: float | None) -> str:
    return "-" if value is None else format_share(value)


def _flops(value: float | None) -> str:
    return "-" if value is None else format_flops(value)


def _part(value: int, total: int) -> str:
    return format_share(value / total) if total else "-"


def _lines(notes: Iterable[str]) -> str:
    return "\n".join(f"- {_text(note)}" for note in notes)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int]) -> str:
    numbers = set(right)
    rule = "|".join("---:" if place in numbers else "---" for place in range(len(columns)))
    lines = [f"| {' | '.join(columns)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _code(name: str) -> str:
    from perfkit_core.template_context import code

    return code(name)


def _text(value: object) -> str:
    from perfkit_core.template_context import plain

    return plain(value)
