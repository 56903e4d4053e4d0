"""``regions.md``, ``operators.md`` and ``kernels.md``: the profile as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from perfkit_core.schema.regions import OperatorRow, RegionsReport
from perfkit_core.units import format_share, format_time

OWN_DOMAIN = "perfkit"
TOP = 40
"""Rows of a table; the rest is added up in one more row."""


def regions_page(report: RegionsReport) -> str:
    """Return ``regions.md``."""
    totals = report.totals
    timeline = any(row.host_time for row in report.regions)
    on_device = _on_device(report) or timeline
    total = totals.total_ns if on_device else totals.cpu_time
    columns = ["region", "instances", "inclusive", "exclusive", "share", "kernels"]
    columns += ["host time", "busy", "idle", "kernels each", "launches each"] if timeline else []
    rows = []
    for row in report.regions:
        if row.device is not None or row.process is not None:
            continue
        shown = [
            _code(row.path if row.domain == OWN_DOMAIN else f"{row.domain or 'default'}: {row.path}"),
            "-" if row.instances is None else str(row.instances),
            _time(row.inclusive_ns if on_device else row.inclusive_cpu_time),
            _time(row.exclusive_ns if on_device else row.exclusive_cpu_time),
            _part(row.exclusive_ns if on_device else row.exclusive_cpu_time, total),
            str(row.inclusive_kernels),
        ]
        if timeline:
            shown += [_time(row.host_time), _time(row.busy_ns), _time(row.idle_time)]
            shown += [_each(row.kernels_per_instance), _each(row.launches_per_instance)]
        rows.append(shown)
    outside = totals.outside_ns if on_device else totals.cpu_outside_time
    fill = [""] * (len(columns) - 6)
    whole = [
        ["outside every region", "", "", _time(outside), _part(outside, total), "", *fill],
        ["total", "", "", _time(total), "", str(totals.kernels), *fill],
    ]
    parts = [_table(columns, rows, whole)]
    if on_device:
        parts.insert(
            0, "Times of kernels. In every domain, exclusive ones and what is outside that domain add up to the total."
        )
    if timeline:
        parts.append(
            "Host time: how long the ranges were open. Busy: at least one kernel of the region runs. Idle: nothing "
            "runs between its first and its last work. Copies, memory sets and graphs are in `regions.json`."
        )
    return _page("Regions", report, parts)


def _each(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def operators_page(report: RegionsReport) -> str:
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
        [
            f"Ranked by {kind}; {_time(total)} in all.",
            _table(("operator", "calls", "self CPU", "self device", "mean", "share"), whole),
            "## By region",
            _table(("region", "operator", "calls", kind, "mean", "share"), by_region),
        ],
    )


def kernels_page(report: RegionsReport) -> str:
    """Return ``kernels.md``: kernels, copies and sets by name, then by region."""
    if not report.kernels:
        return _page("Kernels", report, ["Nothing ran on a device."])
    merged: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in report.kernels:
        merged[row.kind, row.name][0] += row.calls
        merged[row.kind, row.name][1] += row.total_ns
    total = sum(values[1] for values in merged.values())
    ranked = sorted(merged.items(), key=lambda entry: (-entry[1][1], entry[0]))
    whole = [
        (_code(name), kind, str(calls), _time(time), _mean(time, calls), _part(time, total))
        for (kind, name), (calls, time) in ranked
    ]
    by_region = [
        (
            _code(row.region) if row.region else "outside",
            _code(row.name),
            row.grid,
            row.block,
            str(row.calls),
            _time(row.total_ns),
        )
        for row in report.kernels
    ]
    return _page(
        "Kernels",
        report,
        [
            _table(("kernel", "kind", "calls", "time", "mean", "share"), whole),
            "## By region",
            _table(("region", "kernel", "grid", "block", "calls", "time"), by_region),
        ],
    )


def _on_device(report: RegionsReport) -> bool:
    return bool(report.kernels)


def _value(row: OperatorRow, *, on_device: bool) -> int:
    return row.self_device_time if on_device else row.self_cpu_time


def _page(title: str, report: RegionsReport, parts: Iterable[str]) -> str:
    notes = "\n".join(f"- {limit}" for limit in report.limits)
    head = f"# {title}\n\nRecorded by {report.profiler} in `{report.source_pass}`; its own cost is part of every time."
    return "\n\n".join(part for part in (head, notes, *parts) if part) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], whole: Sequence[Sequence[str]] = ()) -> str:
    """Return a table of the first rows and those of the whole, which are always shown."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in [*rows[:TOP], *whole]]
    text = "\n".join(lines)
    return text if len(rows) <= TOP else f"{text}\n\n{len(rows) - TOP} more rows are in `regions.json`."


def _time(value: int | None) -> str:
    return format_time(value)


def _mean(value: int, calls: int) -> str:
    return _time(round(value / calls)) if calls else "-"


def _part(value: int | None, total: int) -> str:
    return "-" if value is None else format_share(value / total if total else 0.0)


def _code(name: str) -> str:
    from perfkit_core.template_context import code

    return code(name)
