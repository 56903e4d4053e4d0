"""Where a run spends most: own values ranked, so that nothing counts twice and nothing is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from perfkit_core.errors import MissingError, UsageError, nearest
from perfkit_core.rundir import ANALYTIC_REPORT, METRICS, REGIONS
from perfkit_core.schema.analysis import CategoryShare, Hotspots, LayerShare, Measure
from perfkit_core.schema.analytic import AnalyticReport, ModuleRecord

if TYPE_CHECKING:
    from perfkit_core.rundir import Run
    from perfkit_core.schema.regions import RegionRow, RegionsReport

UNITS: Mapping[str, str] = {"flops": "FLOP", "bytes": "byte", "time": "ns"}
"""Unit of the values of each measure."""

OWN_VALUES: Mapping[str, Callable[[ModuleRecord], int]] = {
    "flops": lambda module: module.own_flops,
    "bytes": lambda module: module.own_bytes_read + module.own_bytes_written,
}
"""How a module's own value is read, for the measures that the analytic view holds."""


SEVERAL = "several categories"
"""Category of a region inside which modules of more than one run, none of them timed by itself."""


def hotspots(run: Run, *, by: Measure = "flops", top: int = 10, top_categories: int = 5) -> Hotspots:
    """Return the modules and categories with the largest own values.

    Args:
        by: ``flops``, ``bytes`` (read and written) or ``time``.
        top: Modules to list at most; modules whose own value is 0 are never listed.
        top_categories: Categories to list at most.

    Raises:
        UsageError: The measure is unknown, or ``top`` is below 1.
        MissingError: The run does not hold the measure.
    """
    check_measure(by)
    if by == "time":
        values = times(run)
        return _ranked(values, categories_of(values, run.report), by, top, top_categories)
    return rank(analytic_report_of(run, by), by=by, top=top, top_categories=top_categories)


def rank(report: AnalyticReport, *, by: Measure = "flops", top: int = 10, top_categories: int = 5) -> Hotspots:
    """Return the hotspots of one analytic report; see ``hotspots``."""
    check_measure(by)
    values = {module.path: OWN_VALUES[by](module) for module in report.modules}
    return _ranked(values, category_values(report, by), by, top, top_categories)


def times(run: Run) -> dict[str, int]:
    """Return the own nanoseconds of every region of one whole run, unprofiled where that was measured.

    Without a ``wall_clock`` pass they are a profiler's: of kernels, or on the CPU of operators.

    Raises:
        MissingError: No pass of the run measured time.
        DamagedFileError: One did, and its file is damaged or was left out.
    """
    if run.metrics is not None:
        return {region.path: region.exclusive_ns for region in run.metrics.regions}
    profile = run.profile
    if profile is None:
        run.demand(METRICS)
        run.demand(REGIONS)
        raise _without(run, "time")
    rows = _of_one_domain(profile)
    on_device = profile.totals.kernels or profile.totals.graphs.count
    values: dict[str, int] = {}
    for row in rows:
        own = row.exclusive_ns + row.graphs.exclusive_time if on_device else row.exclusive_cpu_time
        values[row.path] = values.get(row.path, 0) + own
    if not values:
        raise MissingError(
            f"run {run.path} has no regions to rank: its capture has no NVTX ranges with work in them",
            fix=f"{run.path}/kernels.md ranks kernels; perfkit_core.region(name) marks your own code",
        )
    return values


def _of_one_domain(profile: RegionsReport) -> list[RegionRow]:
    """Return the rows to rank: each domain has a tree of its own over the same work, which must not count twice.

    Of several domains it is perfkit's own, else the one with the most work in its ranges.
    """
    rows = [row for row in profile.regions if row.device is None and row.process is None] or list(profile.regions)
    held: dict[str, int] = {}
    for row in rows:
        held[row.domain] = held.get(row.domain, 0) + row.exclusive_ns + row.graphs.exclusive_time
    chosen = "perfkit" if "perfkit" in held else max(sorted(held), key=lambda name: held[name], default="")
    return [row for row in rows if row.domain == chosen]


def categories_of(values: Mapping[str, int], report: AnalyticReport | None) -> dict[str, int]:
    """Return values by path added up per category of the analytic view.

    A region inside which modules of several categories run, none of them a region of its own, is ``several
    categories``; one that the analytic view does not have is ``other``. A module counts whole in its own category:
    no time tells its operations apart.
    """
    modules = () if report is None else report.modules
    known = {module.path: module.category for module in modules}
    inside: dict[str, set[str]] = {path: set() for path in values}
    for module in modules:
        if module.own_flops or module.own_bytes_read or module.own_bytes_written:
            inside.get(_region_of(module.path, values), set()).add(module.category)
    found: dict[str, int] = {}
    for path, value in values.items():
        own = inside[path] or {known.get(path, "other")}
        name = own.pop() if len(own) == 1 else SEVERAL
        found[name] = found.get(name, 0) + value
    return found


def _region_of(path: str, values: Mapping[str, int]) -> str:
    """Return the innermost region that contains a module."""
    while path and path not in values:
        path = path.rpartition("/")[0]
    return path


def _ranked(
    values: Mapping[str, int], categories: Mapping[str, int], by: Measure, top: int, top_categories: int
) -> Hotspots:
    check_top(top, "--top")
    check_top(top_categories, "top_categories")
    total = sum(values.values())
    layers = [
        LayerShare(path=path, value=value, share=part(value, total)) for path, value in largest(values.items(), top)
    ]
    groups = [
        CategoryShare(name=name, value=value, share=part(value, total))
        for name, value in largest(categories.items(), top_categories)
    ]
    return Hotspots(
        by=by,
        unit=UNITS[by],
        total=total,
        layers=tuple(layers),
        other_layers=total - sum(layer.value for layer in layers),
        categories=tuple(groups),
        other_categories=total - sum(group.value for group in groups),
    )


def category_values(report: AnalyticReport, by: Measure) -> dict[str, int]:
    """Return the own values of all operations, added up per category."""
    values: dict[str, int] = {}
    place = 0 if by == "flops" else 1
    for module in report.modules:
        for name, pair in module.by_category().items():
            values[name] = values.get(name, 0) + pair[place]
    return values


def largest(values: Iterable[tuple[str, int]], top: int) -> list[tuple[str, int]]:
    """Return the ``top`` pairs of largest magnitude, ties by name, without those that are 0."""
    ranked = sorted(((name, value) for name, value in values if value), key=lambda pair: (-abs(pair[1]), pair[0]))
    return ranked[:top]


def part(value: int, total: int) -> float:
    """Return ``value / total``, and 0 when the total is 0."""
    return value / total if total else 0.0


def check_measure(by: str) -> None:
    """Refuse a measure that does not exist.

    Raises:
        UsageError: ``by`` is none of ``flops``, ``bytes``, ``time``.
    """
    if by not in UNITS:
        raise UsageError(f"unknown measure {by!r}", fix=nearest(by, UNITS))


def check_top(top: int, name: str) -> None:
    """Refuse a list length below 1.

    Raises:
        UsageError: ``top`` is not a positive integer.
    """
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise UsageError(f"{name}={top!r} is not accepted", fix="give an integer of at least 1")


def analytic_report_of(run: Run, by: Measure) -> AnalyticReport:
    """Return the report of ``run`` that holds the measure ``by``.

    Raises:
        UsageError: The measure is unknown.
        MissingError: No pass of the run has the measure.
    """
    check_measure(by)
    if by not in OWN_VALUES:
        raise _without(run, by)
    report = run.report
    if report is None:
        run.demand(ANALYTIC_REPORT)
        raise _no_analytic(run)
    return report


def _no_analytic(run: Run) -> MissingError:
    if run.index.kind == "model":
        return MissingError(f"run {run.path} has no analytic/report.json", fix="repeat the run with backend analytic")
    what = "a command" if run.index.kind == "command" else "imported files"
    return MissingError(
        f"run {run.path} is of {what}, and nothing says what that should cost: it has no analytic view",
        fix="--by time; or perfkit import FILE --model M --workload W adds the analytic view",
    )


def _without(run: Run, by: str) -> MissingError:
    passes = ", ".join(record.backend for record in run.index.passes) or "none"
    return MissingError(
        f"run {run.path} has no {by}: none of its passes ({passes}) measured it",
        fix=f"rank by {' or '.join(OWN_VALUES)}",
    )
