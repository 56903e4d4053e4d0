"""Own times of two runs, made comparable: profiles leave iterations of long loops out, and not the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from perfkit_core.errors import UsageError
from perfkit_core.hotspots import times
from perfkit_core.recorded import known_factors, region_rows, upwards
from perfkit_core.regions import SEEK

if TYPE_CHECKING:
    from perfkit_core.rundir import Run
    from perfkit_core.schema.regions import RegionRow


class ComparedTimes(NamedTuple):
    """Own nanoseconds by region of two runs.

    Attributes:
        base: Those of the base run.
        head: Those of the head run.
        notes: How profiles were made comparable, one line each; empty for unprofiled times.
    """

    base: Mapping[str, int]
    head: Mapping[str, int]
    notes: tuple[str, ...] = ()


def compared_times(base: Run, head: Run) -> ComparedTimes:
    """Return own times of two runs that stand for the same number of iterations.

    Unprofiled times are of whole runs. Times of profiles are scaled to whole runs where the analytic view says how
    often each region runs; else those of the head run to as many instances as the base run recorded.

    Raises:
        UsageError: One run has unprofiled times and the other a profile alone, or only one of two profiles has
            kernels: their times are of different things.
        MissingError: A run has no times.
    """
    before, after = times(base), times(head)
    if base.metrics is not None and head.metrics is not None:
        return ComparedTimes(before, after)
    if (base.metrics is None) != (head.metrics is None):
        raise _different(base, head, "unprofiled times", base.metrics is not None)
    kernels = [run.profile is not None and bool(run.profile.totals.kernels or run.profile.totals.graphs.count)
               for run in (base, head)]  # fmt: skip
    if kernels[0] != kernels[1]:
        raise _different(base, head, "times of kernels on a device", kernels[0])
    rows = region_rows(base.profile), region_rows(head.profile)
    if set(before) != set(rows[0]) or set(after) != set(rows[1]):
        return ComparedTimes(before, after)  # regions by process or of another domain, without instances to go by
    first, second = known_factors(rows[0], base.report), known_factors(rows[1], head.report)
    if first and second:
        return _whole_runs(base, head, (before, after), (first, second))
    return _per_instance((before, after), rows)


def _whole_runs(
    base: Run, head: Run, values: tuple[Mapping[str, int], Mapping[str, int]],
    factors: tuple[Mapping[str, float], Mapping[str, float]],
) -> ComparedTimes:  # fmt: skip
    scaled = [
        {path: round(own * factors[side].get(path, 1.0)) for path, own in values[side].items() if not _is_seek(path)}
        for side in (0, 1)
    ]
    notes = []
    if any(factor != 1 for side in factors for factor in side.values()):
        notes.append("profiles left iterations out: the times of both are scaled to the whole run")
    modules = [{module.path for module in run.report.modules} if run.report else set() for run in (base, head)]
    # A region that only one profile marked is no new work: the other has that work in the region around it.
    unmarked = (set(scaled[0]) ^ set(scaled[1])) & modules[0] & modules[1]
    if unmarked:
        scaled = [_folded(side, unmarked) for side in scaled]
        notes.append(f"{len(unmarked)} regions that only one profile marks count in those around them")
    return ComparedTimes(scaled[0], scaled[1], tuple(notes))


def _folded(values: Mapping[str, int], unmarked: set[str]) -> dict[str, int]:
    """Return values with those of some regions added to the innermost others around them."""
    found: dict[str, int] = {}
    for path, own in values.items():
        place = next((one for one in upwards(path) if one not in unmarked), path)
        found[place] = found.get(place, 0) + own
    return found


def _per_instance(
    values: tuple[Mapping[str, int], Mapping[str, int]], rows: tuple[Mapping[str, RegionRow], Mapping[str, RegionRow]]
) -> ComparedTimes:
    """Scale the head's regions to as many instances as the base has of them, or of the innermost both have."""
    both = {path for path in rows[0].keys() & rows[1].keys() if rows[0][path].instances and rows[1][path].instances}
    if not both:
        return ComparedTimes(*values, ("how often regions ran is not known: times are compared as they were recorded",))
    found = {}
    for path, own in values[1].items():
        place = next((one for one in upwards(path) if one in both), "")
        parts = ((rows[0][place].instances or 1), (rows[1][place].instances or 1)) if place else (1, 1)
        found[path] = round(own * parts[0] / parts[1])
    if all(rows[0][path].instances == rows[1][path].instances for path in both):
        return ComparedTimes(*values)
    note = (
        "the profiles recorded different numbers of instances: the times of the head run are per instance, "
        "times as many as the base run recorded"
    )
    return ComparedTimes(values[0], found, (note,))


def _is_seek(path: str) -> bool:
    """Whether a region only reaches the next place of a loop, which is no part of the workload."""
    return any(one.endswith(SEEK) for one in path.split("/"))


def _different(base: Run, head: Run, what: str, base_has_it: bool) -> UsageError:
    has, lacks = (base, head) if base_has_it else (head, base)
    return UsageError(
        f"{has.path} has {what}, {lacks.path} has not: their times are of different things",
        fix="compare runs of the same backends; --backend wall_clock times both without a profiler",
    )
