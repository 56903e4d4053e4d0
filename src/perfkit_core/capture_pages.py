"""``regions.md``, ``operators.md`` and ``kernels.md``: the profile as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from perfkit_core.capture_context import KernelTotal, has_device_work, kernel_totals, largest_rows
from perfkit_core.recorded import OWN_DOMAIN
from perfkit_core.schema.regions import OperatorRow, RegionRow, RegionsReport
from perfkit_core.units import format_share, format_time

TOP = 40
"""Rows of a table; the rest is added up in one more row."""


class Origin(NamedTuple):
    """Where the numbers of a page come from.

    Attributes:
        source: The pass, as ``run.json`` names it.
        notes: What only that pass knows of them, one line each.
    """

    source: str
    notes: Sequence[str]


def regions_page(report: RegionsReport, origin: Origin) -> str:
    """Return ``regions.md``."""
    rows = [row for row in report.regions if row.device is None and row.process is None]
    if not has_device_work(report) and any(row.host_time for row in rows):
        return _page("Regions", report, origin, _host_tables(rows))
    on_device = bool(report.kernels)
    timeline = any(row.host_time is not None for row in rows)
    graphs = report.totals.graphs.count > 0
    columns = ["region", "instances", "inclusive", "exclusive", "share", "kernels"]
    columns += ["host time", "busy", "idle", "kernels each", "launches each"] if timeline else []
    columns += ["graphs"] if graphs else []
    total = report.totals.total_ns if on_device else report.totals.cpu_time
    outside = report.totals.outside_ns if on_device else report.totals.cpu_outside_time
    fill = [""] * (len(columns) - 6)
    whole = [
        ["outside every region", "", "", _time(outside), _part(outside, total), "", *fill],
        ["total", "", "", _time(total), "", str(report.totals.kernels), *fill],
    ]
    cells = [
        _cells(row, total, on_device=on_device, timeline=timeline, graphs=graphs) for row in largest_rows(rows, TOP)
    ]
    parts = [_table(columns, cells, whole, left_out=len(rows) - len(cells))]
    if on_device:
        parts.insert(
            0, "Times of kernels. In every domain, exclusive ones and what is outside that domain add up to the total."
        )
    if timeline:
        parts.append(
            "Host time: how long the ranges were open. Busy: at least one kernel of the region runs. Idle: nothing "
            "runs between its first and its last work. Copies, memory sets and graphs are in `regions.json`."
        )
    return _page("Regions", report, origin, parts)


def _cells(row: RegionRow, total: int, *, on_device: bool, timeline: bool, graphs: bool) -> list[str]:
    own = row.exclusive_ns if on_device else row.exclusive_cpu_time
    shown = [
        _region(row.domain, row.path),
        _count(row.instances),
        _time(row.inclusive_ns if on_device else row.inclusive_cpu_time),
        _time(own),
        _part(own, total),
        str(row.inclusive_kernels),
    ]
    if timeline:
        shown += [_time(row.host_time), _time(row.busy_ns), _time(row.idle_time)]
        shown += [_each(row.kernels_per_instance), _each(row.launches_per_instance)]
    return [*shown, _time(row.graphs.inclusive_time)] if graphs else shown


def _host_tables(rows: Sequence[RegionRow]) -> Iterator[str]:
    yield (
        "No work on a device was recorded. Host time: how long the ranges were open on their threads, with everything "
        "inside."
    )
    cells = [
        (
            _region(row.domain, row.path),
            _count(row.instances),
            _time(row.host_time),
            _mean(row.host_time or 0, row.instances or 0),
        )
        for row in largest_rows(rows, TOP)
    ]
    yield _table(("region", "instances", "host time", "each"), cells, left_out=len(rows) - len(cells))


def _region(domain: str, path: str) -> str:
    return _code(path if domain == OWN_DOMAIN else f"{domain or 'default'}: {path}")


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _each(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def operators_page(report: RegionsReport, origin: Origin) -> str:
    """Return ``operators.md``: operators of the whole run, then by region."""
    on_device = _on_device(report)
    merged: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in report.operators:
        for position, value in enumerate((row.calls, row.self_cpu_time, row.self_device_time)):
            merged[row.name][position] += value
    shown = {name: device if on_device else cpu for name, (_, cpu, device) in merged.items()}
    total = sum(shown.values())
    whole = [
        (
            _code(name),
            str(merged[name][0]),
            _time(merged[name][1]),
            _time(merged[name][2]),
            _mean(value, merged[name][0]),
            _part(value, total),
        )
        for name, value in sorted(shown.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    rows = sorted(report.operators, key=lambda row: -_value(row, on_device=on_device))
    by_region = [
        (
            _code(row.region) if row.region else "outside",
            _code(row.name),
            str(row.calls),
            _time(_value(row, on_device=on_device)),
            _mean(_value(row, on_device=on_device), row.calls),
            _part(_value(row, on_device=on_device), total),
        )
        for row in rows
    ]
    kind = "self device time" if on_device else "self CPU time"
    return _page(
        "Operators",
        report,
        origin,
        [
            f"Ranked by {kind}; {_time(total)} in all.",
            _table(("operator", "calls", "self CPU", "self device", "mean", "share"), whole),
            "## By region",
            _table(("region", "operator", "calls", kind, "mean", "share"), by_region),
        ],
    )


def kernels_page(report: RegionsReport, origin: Origin) -> str:
    """Return ``kernels.md``: kernels, copies and sets by name and by library, then by region, and the full names."""
    if not report.kernels:
        return _page("Kernels", report, origin, ["Nothing ran on a device."])
    ranked = kernel_totals(report)
    shown = {(kernel.kind, kernel.name): kernel.readable for kernel in ranked}
    whole = [
        (
            str(rank),
            _code(kernel.readable),
            kernel.library or ("-" if kernel.kind == "kernel" else kernel.kind),
            str(kernel.calls),
            _time(kernel.total_ns),
            _time(kernel.mean_ns),
            format_share(kernel.share),
        )
        for rank, kernel in enumerate(ranked, start=1)
    ]
    by_region = [
        (
            _code(row.region) if row.region else "outside",
            _code(shown[row.kind, row.name]),
            row.grid,
            row.block,
            str(row.calls),
            _time(row.total_ns),
            _mean(row.total_ns, row.calls),
        )
        for row in report.kernels
    ]
    full = [
        (str(rank), _code(kernel.name))
        for rank, kernel in enumerate(ranked[:TOP], start=1)
        if kernel.name != kernel.readable
    ]
    parts = [
        _table(("rank", "kernel", "library", "calls", "total", "mean", "share"), whole),
        "## By library",
        _table(("library", "kernels", "calls", "total", "share"), list(_libraries(ranked))),
        "## By region",
        _table(("region", "kernel", "grid", "block", "calls", "total", "mean"), by_region),
    ]
    if full:
        parts += ["## Full names", _table(("rank", "name"), full)]
    return _page("Kernels", report, origin, parts)


def _libraries(ranked: Sequence[KernelTotal]) -> Iterator[tuple[str, ...]]:
    """Yield a row per library; what is no kernel is a row by its kind."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for kernel in ranked:
        values = sums[kernel.library or ("other" if kernel.kind == "kernel" else kernel.kind)]
        values[:] = values[0] + 1, values[1] + kernel.calls, values[2] + kernel.total_ns
    total = sum(time for _, _, time in sums.values())
    for library, (kernels, calls, time) in sorted(sums.items(), key=lambda item: (-item[1][2], item[0])):
        yield library, str(kernels), str(calls), _time(time), _part(time, total)


def _on_device(report: RegionsReport) -> bool:
    return bool(report.kernels)


def _value(row: OperatorRow, *, on_device: bool) -> int:
    return row.self_device_time if on_device else row.self_cpu_time


def _page(title: str, report: RegionsReport, origin: Origin, parts: Iterable[str]) -> str:
    notes = "\n".join(f"- {line}" for line in (*origin.notes, *report.limits))
    head = f"# {title}\n\nRecorded by {report.profiler} in `{origin.source}`; its own cost is part of every time."
    return "\n\n".join(part for part in (head, notes, *parts) if part) + "\n"


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], whole: Sequence[Sequence[str]] = (), *, left_out: int = 0
) -> str:
    """Return a table of the first rows and those of the whole, which are always shown.

    Args:
        left_out: Rows with less time that ``rows`` does not have.
    """
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in [*rows[:TOP], *whole]]
    text, more = "\n".join(lines), len(rows[TOP:]) + left_out
    return f"{text}\n\n{more} more rows, each with less time, are in `regions.json`." if more else text


def _time(value: int | None) -> str:
    return format_time(value)


def _mean(value: int, calls: int) -> str:
    return _time(round(value / calls)) if calls else "-"


def _part(value: int | None, total: int) -> str:
    return "-" if value is None else format_share(value / total if total else 0.0)


def _code(name: str) -> str:
    from perfkit_core.template_context import code

    return code(name)
