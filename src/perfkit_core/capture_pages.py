"""``operators.md`` and ``kernels.md``: what ran, by name and by region, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from perfkit_core.capture_context import KernelTotal, kernel_totals
from perfkit_core.recorded import OWN_DOMAIN
from perfkit_core.region_families import family_names_of
from perfkit_core.schema.regions import KernelRow, OperatorRow, RegionsReport
from perfkit_core.units import format_share, format_time

Work = TypeVar("Work", KernelRow, OperatorRow)

TOP = 40
"""Rows of a table; how many more there are is told below it."""

SHARE = "share of device time"
"""Head of the part of the time of everything that ran on the devices: kernels, copies, sets and graphs."""

FOLDED = (
    "Rows of several regions add up equal ones, and `*` stands for their indices; min and max are of the total of one "
    "region."
)
"""What a row of several regions is."""


class Origin(NamedTuple):
    """Where the numbers of a page come from.

    Attributes:
        source: The pass, as ``run.json`` names it.
        notes: What only that pass knows of them, one line each.
    """

    source: str
    notes: Sequence[str]


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
            code_text(name),
            str(merged[name][0]),
            format_time(merged[name][1]),
            format_time(merged[name][2]),
            mean_time(value, merged[name][0]),
            part_text(value, total),
        )
        for name, value in sorted(shown.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    kind = "self device time" if on_device else "self CPU time"
    return page(
        "Operators",
        report,
        origin,
        [
            f"Ranked by {kind}; {format_time(total)} in all.",
            table(("operator", "calls", "self CPU", "self device", "mean", f"share of {kind}"), whole),
            "## By region",
            *_operators_by_region(report, kind, total, on_device=on_device),
        ],
    )


def kernels_page(report: RegionsReport, origin: Origin) -> str:
    """Return ``kernels.md``: kernels, copies and sets by name and by library, then by region, and the full names."""
    if not report.kernels:
        return page("Kernels", report, origin, ["Nothing ran on a device."])
    ranked = kernel_totals(report)
    shown = {(kernel.kind, kernel.name): kernel.readable for kernel in ranked}
    whole = [
        (
            str(rank),
            code_text(kernel.readable),
            kernel.library or ("-" if kernel.kind == "kernel" else kernel.kind),
            str(kernel.calls),
            format_time(kernel.total_ns),
            format_time(kernel.mean_ns),
            format_share(kernel.share),
        )
        for rank, kernel in enumerate(ranked, start=1)
    ]
    full = [
        (str(rank), code_text(kernel.name))
        for rank, kernel in enumerate(ranked[:TOP], start=1)
        if kernel.name != kernel.readable
    ]
    parts = [
        table(("rank", "kernel", "library", "calls", "total", "mean", SHARE), whole),
        "## By library",
        table(("library", "kernels", "calls", "total", SHARE), list(_libraries(ranked))),
        "## By region",
        *_kernels_by_region(report, shown),
    ]
    if full:
        parts += ["## Full names", table(("rank", "name"), full)]
    return page("Kernels", report, origin, parts)


def _kernels_by_region(report: RegionsReport, shown: Mapping[tuple[str, str], str]) -> list[str]:
    """Return a row per kernel and geometry in equal regions, and what such a row is."""
    names, members = _family_names(report), defaultdict[tuple[str, ...], list[KernelRow]](list)
    for row in report.kernels:
        family = names.get((row.domain, row.region), row.region)
        members[row.domain, family, row.kind, row.name, row.grid, row.block].append(row)
    groups = [
        _Group(
            (_named(key[1]), code_text(shown[key[2], key[3]]), *key[4:]),
            _by_region(rows, lambda row: row.total_ns),
            rows,
        )
        for key, rows in members.items()
    ]
    return _grouped(("region", "kernel", "grid", "block"), groups, "total")


def _operators_by_region(report: RegionsReport, kind: str, total: int, *, on_device: bool) -> list[str]:
    """Return a row per operator in equal regions, and what such a row is."""
    names, members = _family_names(report), defaultdict[tuple[str, str], list[OperatorRow]](list)
    for row in report.operators:
        members[names.get((OWN_DOMAIN, row.region), row.region), row.name].append(row)
    groups = [
        _Group((_named(region), code_text(name)), _by_region(rows, lambda row: _value(row, on_device=on_device)), rows)
        for (region, name), rows in members.items()
    ]
    return _grouped(("region", "operator"), groups, kind, of=total)


class _Group(NamedTuple):
    """Equal regions with one kernel or operator: the first cells, time by region, and the rows of the record."""

    cells: tuple[str, ...]
    times: Mapping[str, int]
    rows: Sequence[KernelRow] | Sequence[OperatorRow]


def _grouped(heads: Sequence[str], groups: Sequence[_Group], what: str, *, of: int = 0) -> list[str]:
    folded = any(len(group.times) > 1 for group in groups)
    spread = ("regions", "mean of one", "min", "max") if folded else ()
    cells = []
    for group in sorted(groups, key=lambda one: -sum(one.times.values())):
        total, calls = sum(group.times.values()), sum(row.calls for row in group.rows)
        row = [*group.cells, str(calls), format_time(total), mean_time(total, calls)]
        row += [part_text(total, of)] if of else []
        cells.append([*row, *_spread(list(group.times.values()))] if folded else row)
    columns = [*heads, "calls", what, "mean", *([f"share of {what}"] if of else []), *spread]
    return [table(columns, cells), *([FOLDED] if folded else [])]


def _spread(times: Sequence[int]) -> list[str]:
    if len(times) == 1:
        return ["1", "", "", ""]
    return [str(len(times)), mean_time(sum(times), len(times)), format_time(min(times)), format_time(max(times))]


def _by_region(rows: Sequence[Work], value: Callable[[Work], int]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for row in rows:
        found[row.region] += value(row)
    return found


def _family_names(report: RegionsReport) -> Mapping[tuple[str, str], str]:
    return family_names_of([row for row in report.regions if row.device is None and row.process is None])


def _named(region: str) -> str:
    return code_text(region) if region else "outside"


def _libraries(ranked: Sequence[KernelTotal]) -> Iterator[tuple[str, ...]]:
    """Yield a row per library; what is no kernel is a row by its kind."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for kernel in ranked:
        values = sums[kernel.library or ("other" if kernel.kind == "kernel" else kernel.kind)]
        values[:] = values[0] + 1, values[1] + kernel.calls, values[2] + kernel.total_ns
    total = sum(time for _, _, time in sums.values())
    for library, (kernels, calls, time) in sorted(sums.items(), key=lambda item: (-item[1][2], item[0])):
        yield library, str(kernels), str(calls), format_time(time), part_text(time, total)


def _on_device(report: RegionsReport) -> bool:
    return bool(report.kernels)


def _value(row: OperatorRow, *, on_device: bool) -> int:
    return row.self_device_time if on_device else row.self_cpu_time


def page(title: str, report: RegionsReport, origin: Origin, parts: Iterable[str]) -> str:
    """Return a page with where its figures come from."""
    notes = "\n".join(f"- {line}" for line in (*origin.notes, *report.limits))
    head = f"# {title}\n\nRecorded by {report.profiler} in `{origin.source}`; its own cost is part of every time."
    return "\n\n".join(part for part in (head, notes, *parts) if part) + "\n"


def table(
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


def mean_time(value: int, calls: int) -> str:
    """Return the time of one of several calls as text."""
    return format_time(round(value / calls)) if calls else "-"


def part_text(value: int | None, total: int) -> str:
    """Return the part of a total as text."""
    return "-" if value is None else format_share(value / total if total else 0.0)


def code_text(name: str) -> str:
    """Return a name as markdown code."""
    from perfkit_core.template_context import code

    return code(name)
