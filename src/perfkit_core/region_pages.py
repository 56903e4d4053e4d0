"""``regions.md``: the profile by region."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from perfkit_core.capture_context import has_device_work
from perfkit_core.capture_pages import TOP, Origin, code_text, mean_time, page, part_text, table
from perfkit_core.recorded import OWN_DOMAIN
from perfkit_core.region_families import RegionFamily, region_families
from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_core.units import format_time

FOLDED = (
    "Equal regions are one row, and `*` stands for their indices: instances are those of one of them, mean, min and "
    "max are of their inclusive times, and the other figures are of all of them. `regions.json` has every one."
)
"""What a row of several regions is."""

_HOST = (
    "No work on a device was recorded. Host time: how long the ranges were open on their threads, with everything "
    "inside."
)

Column = tuple[str, Callable[[RegionFamily], str]]
"""Head of a column, and what it has of a row."""


def regions_page(report: RegionsReport, origin: Origin) -> str:
    """Return ``regions.md``: stages first, then the regions with the most time, equal ones as one row."""
    rows = [row for row in report.regions if row.device is None and row.process is None]
    found = region_families(rows)
    on_device, timeline = bool(report.kernels), any(row.host_time is not None for row in rows)
    if not has_device_work(report) and any(row.host_time for row in rows):
        return page("Regions", report, origin, [_HOST, _families(found, _host_columns(found)), *_legend(found)])
    total = report.totals.total_ns if on_device else report.totals.cpu_time
    outside = report.totals.outside_ns if on_device else report.totals.cpu_outside_time
    columns = _work_columns(found, total, on_device=on_device)
    columns += _timeline_columns() if timeline else []
    if report.totals.graphs.count > 0:
        columns.append(("graphs", lambda one: format_time(one.total(lambda row: row.graphs.inclusive_time))))
    whole = [
        {
            "region": "outside every region",
            "exclusive": format_time(outside),
            _share_of(on_device): part_text(outside, total),
        },
        {"region": "total", "exclusive": format_time(total), "kernels": str(report.totals.kernels)},
    ]
    parts = [_families(found, columns, whole), *_legend(found)]
    if on_device:
        parts.insert(
            0, "Times of kernels. In every domain, exclusive ones and what is outside that domain add up to the total."
        )
    if timeline:
        parts.append(
            "Host time: how long the ranges were open. Busy: at least one kernel of the region runs. Idle: nothing "
            "runs between its first and its last work. Copies, memory sets and graphs are in `regions.json`."
        )
    return page("Regions", report, origin, parts)


def _families(found: Sequence[RegionFamily], columns: Sequence[Column], whole: Sequence[Mapping[str, str]] = ()) -> str:
    """Return the table of the first families, and rows of the whole that name the columns they fill."""
    names = [name for name, _ in columns]
    cells = [[cell(one) for _, cell in columns] for one in found[:TOP]]
    sums = [[row.get(name, "") for name in names] for row in whole]
    return table(names, cells, sums, left_out=len(found) - len(cells))


def _legend(found: Sequence[RegionFamily]) -> list[str]:
    return [FOLDED] if _is_folded(found) else []


def _is_folded(found: Sequence[RegionFamily]) -> bool:
    return any(len(one.rows) > 1 for one in found)


def _share_of(on_device: bool) -> str:
    return "share of kernel time" if on_device else "share of CPU time"


def _named_columns(found: Sequence[RegionFamily]) -> list[Column]:
    columns: list[Column] = [("region", lambda one: _region(one.domain, one.name))]
    if _is_folded(found):
        columns.append(("regions", lambda one: str(len(one.rows))))
    return [*columns, ("instances", lambda one: _count(one.instances))]


def _spread_columns(found: Sequence[RegionFamily], value: Callable[[RegionRow], int | None]) -> list[Column]:
    """Return what single regions of a row took, where a row has several."""
    if not _is_folded(found):
        return []

    def of(choose: Callable[[Sequence[int]], float]) -> Callable[[RegionFamily], str]:
        return lambda one: _spread([value(row) or 0 for row in one.rows], choose)

    return [("mean of one", of(mean)), ("min", of(min)), ("max", of(max))]


def _spread(values: Sequence[int], choose: Callable[[Sequence[int]], float]) -> str:
    return format_time(round(choose(values))) if len(values) > 1 else ""


def _work_columns(found: Sequence[RegionFamily], total: int, *, on_device: bool) -> list[Column]:
    def inclusive(row: RegionRow) -> int:
        return row.inclusive_ns if on_device else row.inclusive_cpu_time

    def exclusive(row: RegionRow) -> int:
        return row.exclusive_ns if on_device else row.exclusive_cpu_time

    return [
        *_named_columns(found),
        ("inclusive", lambda one: format_time(one.total(inclusive))),
        *_spread_columns(found, inclusive),
        ("exclusive", lambda one: format_time(one.total(exclusive))),
        (_share_of(on_device), lambda one: part_text(one.total(exclusive), total)),
        ("kernels", lambda one: str(one.total(lambda row: row.inclusive_kernels))),
    ]


def _timeline_columns() -> list[Column]:
    return [
        ("host time", lambda one: format_time(one.total(lambda row: row.host_time))),
        ("busy", lambda one: format_time(one.total(lambda row: row.busy_ns))),
        ("idle", lambda one: format_time(one.total(lambda row: row.idle_time))),
        ("kernels each", lambda one: _each(one.rows[0].kernels_per_instance)),
        ("launches each", lambda one: _each(one.rows[0].launches_per_instance)),
    ]


def _host_columns(found: Sequence[RegionFamily]) -> list[Column]:
    def opened(one: RegionFamily) -> int:
        return sum(row.instances or 0 for row in one.rows)

    return [
        *_named_columns(found),
        ("host time", lambda one: format_time(one.total(lambda row: row.host_time))),
        *_spread_columns(found, lambda row: row.host_time),
        ("each", lambda one: mean_time(one.total(lambda row: row.host_time) or 0, opened(one))),
    ]


def _region(domain: str, path: str) -> str:
    return code_text(path if domain == OWN_DOMAIN else f"{domain or 'default'}: {path}")


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _each(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
