"""``ncu/regions/report.md``, of all regions and of one: hardware counters as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from perfkit_core.counter_families import counter_families, is_whole
from perfkit_core.counter_legends import AS_RECORDED, KERNEL_FIGURES, RANGE, REPLAY, meaning
from perfkit_core.recorded import upwards
from perfkit_core.rule_estimates import estimates_of
from perfkit_core.schema.counters import CounterKernel, CounterRegion, CountersReport, Efficiency, TopKernel
from perfkit_core.units import format_bytes, format_flops, format_intensity, format_share, format_time

OWN_DOMAIN = "perfkit"
TOP = 40
"""Kernels of a table; the rest is in the file beside it."""

ESTIMATES, ESTIMATES_OF_REGION = 10, 3
"""Estimates of the profiler's rules on the page of all regions, and of one."""

AS_WHOLE = "as a whole"
"""What was measured of a region whose range was replayed as a whole."""

INSIDE_WHOLE = "inside a range measured as a whole"
"""What was measured of a region inside such a range, by itself nothing."""

_FIGURES = ("compute", "memory", "DRAM", "occupancy", "intensity", "ridge", "FLOP/s", "of peak")


def counters_page(report: CountersReport, told: Iterable[str] = ()) -> str:
    """Return the page of all regions and kernels.

    Args:
        report: What it shows.
        told: What only the pass knows that measured, one line each.
    """
    total = sum(kernel.total_ns for kernel in report.kernels)
    parts = [
        "# Counters by region",
        _source(report),
        _lines((*told, *report.notes)),
        AS_RECORDED if report.regions else "",
        "## Families of regions" if report.regions else "",
        _families(report.regions, total),
        "## Regions",
        _regions(report, total),
        "## Kernels outside every region",
        _inside(report.outside_kernels, total) if report.outside_kernels else "None.",
        "## Kernels",
        _kernels(report.kernels, total),
        KERNEL_FIGURES if report.kernels else "",
        meaning(report),
        *_estimates(report.kernels, ESTIMATES, report.thresholds.near_peak),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def region_page(report: CountersReport, region: CounterRegion) -> str:
    """Return the page of one region."""
    parts = [
        f"# {_code(_named(region.domain, region.path))}",
        _source(report),
        _text(region.note),
        f"**{region.bound}**: {_text(region.reason)}",
        _facts(region),
        RANGE if is_whole(region) else "",
        "## Kernels",
        _inside(region.top_kernels, region.inclusive_ns) if region.top_kernels else "None.",
        *_estimates(
            [report.kernels[one.kernel] for one in region.top_kernels],
            ESTIMATES_OF_REGION,
            report.thresholds.near_peak,
        ),
        "## Metrics" if region.metrics else "",
        _metrics(region),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _source(report: CountersReport) -> str:
    device = f" on {_text(report.device)}" if report.device else ""
    how = f"{report.replay}: " if report.replay else ""
    replay = f" (replay {how}{REPLAY[report.replay]})"
    peaks = f" Peaks: {_text(report.peaks)}." if report.peaks else " Peaks are not known."
    return (
        f"Counters by {_text(report.profiler)}{device}{replay}; kernels and their time by {_text(report.timeline)}."
        f"{peaks} What was measured stands for all runs of the same kernel with the same geometry in regions of the "
        "same family (equal but for indices, shown as `*`), where it took the same time."
    )


def _regions(report: CountersReport, total: int) -> str:
    if not report.regions:
        return "There are no ranges, so there is nothing but kernels."
    wholes = {(one.domain, one.path) for one in report.regions if is_whole(one)}
    columns = ("region", "time", "share", "own", "kernels", "measured", "limited by", *_FIGURES[:5], "note")
    rows = [
        (
            _code(_named(region.domain, region.path)),
            format_time(region.inclusive_ns),
            _part(region.inclusive_ns, total),
            format_time(region.exclusive_ns),
            str(region.inclusive_kernels),
            _measured(region.domain, region.path, region.measured_share, wholes),
            region.bound,
            *_figures(region.efficiency)[:5],
            _text(region.note),
        )
        for region in report.regions
        if region.directory
    ]
    text, left = _table(columns, rows, right=range(1, 6)), len(report.regions) - len(rows)
    return f"{text}\n\n{left} more are in `report.json`." if left else text


def _families(regions: Sequence[CounterRegion], total: int) -> str:
    if not regions:
        return ""
    families = counter_families(regions)
    wholes = {(one.domain, one.name) for one in families if one.as_whole}
    columns = ("regions in equal places", "regions", "time", "share", "measured", "limited by", *_FIGURES[:5])
    rows = [
        (
            _code(_named(one.domain, one.name)),
            str(one.regions),
            format_time(one.inclusive_ns),
            _part(one.inclusive_ns, total),
            _measured(one.domain, one.name, one.measured, wholes),
            _bounds(one.bounds),
            *_figures(one.efficiency)[:5],
        )
        for one in families[:TOP]
    ]
    left = len(families) - len(rows)
    more = f"{left} more, each with less time, are among the regions below. " if left else ""
    return (
        f"{_table(columns, rows, right=range(1, 5))}\n\n{more}Times hold what is inside; `*` stands for indices. "
        "Limits are those of the regions by their time, shares are weighted by measured time."
    )


def _bounds(bounds: Sequence[tuple[str, float]]) -> str:
    if len(bounds) == 1:
        return bounds[0][0]
    return ", ".join(f"{bound} {format_share(part)}" for bound, part in bounds)


def _measured(domain: str, path: str, share: float, wholes: Collection[tuple[str, str]]) -> str:
    """Return what was measured of a region, or of a family of regions; ``wholes`` are those replayed as a whole."""
    if (domain, path) in wholes:
        return AS_WHOLE
    inside = any((domain, around) in wholes for around in upwards(path.rpartition("/")[0]))
    return INSIDE_WHOLE if inside and not share else format_share(share)


def _kernels(kernels: Sequence[CounterKernel], total: int) -> str:
    if not kernels:
        return "No kernel ran."
    columns = ("kernel", "library", "in", "grid, block", "calls", "time", "share", "mean", "mean counted")
    rows = [
        (
            _code(kernel.readable),
            kernel.library or "-",
            _code(kernel.where) if kernel.where else "outside",
            f"{kernel.grid or '-'} / {kernel.block or '-'}",
            str(kernel.calls),
            format_time(kernel.total_ns),
            _part(kernel.total_ns, total),
            format_time(kernel.total_ns / kernel.calls) if kernel.calls else "-",
            "-" if kernel.profiled_ns is None else format_time(kernel.profiled_ns),
            kernel.bound if kernel.measured_calls else "no counters",
            *_figures(kernel.efficiency),
        )
        for kernel in kernels[:TOP]
    ]
    text = _table((*columns, "limited by", *_FIGURES), rows, right=range(4, 9))
    return text if len(kernels) <= TOP else f"{text}\n\n{len(kernels) - TOP} more are in `report.json`."


def _estimates(kernels: Sequence[CounterKernel], most: int, near_peak: float) -> Iterator[str]:
    """Yield a section with what the profiler's own rules estimate; nothing where they estimate nothing."""
    found, left_out = estimates_of(kernels, near_peak)
    if not found and not left_out:
        return
    yield "## What the profiler's rules estimate"
    text = (
        "Largest first, by the kernel's time and what the rule says can be saved: of all of it (global), or of the "
        "part that the rule looks at (local), of which the whole kernel gains less. These are the profiler's words, "
        f"and no bounds. {min(most, len(found))} of {len(found)}; all are in `report.json`."
    )
    if left_out:
        text += (
            f" Left out: {left_out} of occupancy, for kernels that reach {format_share(near_peak)} of the compute or "
            "memory peak as they are."
        )
    yield text
    if not found:
        return
    rows = [
        (
            _code(one.kernel.readable),
            _code(one.kernel.where) if one.kernel.where else "outside",
            format_time(one.kernel.total_ns),
            f"{one.percent:.1f} % {_text(one.kind)}".rstrip(),
            _text(one.rule),
            _text(one.message),
        )
        for one in found[:most]
    ]
    yield _table(("kernel", "in", "time", "estimate", "rule", "what it says"), rows, right=(2, 3))


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
        ("opened", "-" if region.instances is None else f"{region.instances} time{'s' * (region.instances != 1)}"),
        ("kernel time that has counters", AS_WHOLE if is_whole(region) else format_share(region.measured_share)),
        ("GPU idle", _share(region.idle_share)),
        *([("time of its range", format_time(region.range_ns))] if region.range_ns is not None else []),
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


def _named(domain: str, path: str) -> str:
    return path if domain == OWN_DOMAIN else f"{domain or 'default'}: {path}"


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
