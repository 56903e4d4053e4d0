"""Joining measured launches with the timeline: which kernels they stand for, and where these ran."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_nsight.results import Result
from perfkit_nsight.work_groups import Group, Place, Spread, family, groups_of, same_time

AGREE_SHARE, AGREE_NS = 0.25, 3000
"""Difference of the mean time under the counters from that on the timeline, up to which a measurement stands for its
region's launches: relative, and in nanoseconds. The tools themselves differ by a few percent for long kernels and by a
microsecond or two for short ones."""


@dataclass
class Tally:
    """Runs and their time.

    Attributes:
        calls: How many.
        time: Their time on the timeline, in nanoseconds.
    """

    calls: int = 0
    time: int = 0

    def add(self, calls: int, time: int) -> None:
        """Add runs and their time."""
        self.calls += calls
        self.time += time


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Kernels of the timeline, largest time first, and where they ran.

    Attributes:
        kernels: All of them, by what they work on.
        whole: Runs of each.
        inside: By region its kernels' runs, regions inside included, by their place in ``kernels``.
        outside: Those outside every region.
    """

    kernels: tuple[Group, ...]
    whole: tuple[Tally, ...]
    inside: dict[Place, dict[int, Tally]]
    outside: dict[int, Tally]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Measured launches by kernel.

    Attributes:
        launches: For every kernel of the timeline the numbers of the results that stand for it.
        borrowed: Kernels whose results were measured in a region of another family.
        differing: Kernels without results, because those there are took another time than on the timeline.
        uneven: Kernels without results, because their launches differ on the timeline and those measured are some.
        unmatched: Results of kernels that are not on the timeline.
        untold: Why names could not all be compared; empty when they could.
    """

    launches: tuple[tuple[int, ...], ...]
    borrowed: tuple[int, ...]
    differing: tuple[int, ...]
    uneven: tuple[int, ...]
    unmatched: tuple[int, ...]
    untold: str = ""


def timeline_of(profile: RegionsReport) -> Timeline:
    """Return the kernels of a timeline by what they work on, over all devices."""
    groups = groups_of(profile.kernels)
    number = {
        (group.name, group.grid, group.block, place): index
        for index, group in enumerate(groups)
        for place in group.regions
    }
    found = Timeline(
        kernels=groups,
        whole=tuple(Tally(calls=group.calls, time=group.time) for group in groups),
        inside={},
        outside={},
    )
    for row in profile.kernels:
        if row.kind != "kernel":
            continue
        index = number[row.name, row.grid, row.block, (row.domain if row.region else "", row.region)]
        regions = [found.inside.setdefault((row.domain, path), {}) for path in upwards(row.region)]
        for kernels in regions or [found.outside]:
            kernels.setdefault(index, Tally()).add(row.calls, row.total_ns)
    return found


def upwards(path: str) -> Iterator[str]:
    """Yield a path and those around it, innermost first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def join(results: Sequence[Result], timeline: Timeline) -> Joined:
    """Find the kernels that every measured launch stands for: by name, geometry and the regions it was launched in.

    A kernel that was measured in none of its regions takes what was measured elsewhere, if that took the same time: in
    other regions of its family if there is any, else anywhere. What took another time than on the timeline, was
    measured of other work: it stands for nothing. Nor does what was measured of a kernel whose launches differ in time
    on the timeline, unless those that were measured differ as all in their region do: how many are like it is unknown.

    Tools write the same name differently: nsys as ncu does, PyTorch's profiler as the C++ runtime does, others as it is
    in the program. Each spelling of a measured launch is tried.
    """
    alike: dict[tuple[str, str, str], list[int]] = {}
    for index, group in enumerate(timeline.kernels):
        alike.setdefault((group.name, group.grid, group.block), []).append(index)
    names = {group.name for group in timeline.kernels}
    demangled, untold = _demangler()
    own: dict[int, list[int]] = {}
    kin: dict[int, list[int]] = {}
    others: dict[int, list[int]] = {}
    unmatched: list[int] = []
    for place, result in enumerate(results):
        if not result.is_kernel:
            continue
        name = next((one for one in _spellings(result, demangled) if one in names), "")
        groups = alike.get((name, result.grid, result.block), [])
        if not groups:
            unmatched.append(place)
            continue
        where = _launched_in(result)
        families = {(domain, family(path)) for domain, path in where}
        for index in groups:
            group = timeline.kernels[index]
            if where & set(group.regions):
                own.setdefault(index, []).append(place)
            elif (group.regions[0][0], group.where) in families:
                kin.setdefault(index, []).append(place)
            else:
                others.setdefault(index, []).append(place)
    return _joined(results, timeline, (own, kin, others), tuple(unmatched), untold)


def _joined(
    results: Sequence[Result],
    timeline: Timeline,
    nearness: tuple[Mapping[int, list[int]], ...],
    unmatched: tuple[int, ...],
    untold: str,
) -> Joined:
    launches: list[tuple[int, ...]] = []
    borrowed: list[int] = []
    differing: list[int] = []
    uneven: list[int] = []
    own, _, others = nearness
    for index, group in enumerate(timeline.kernels):
        # The nearest decide alone: what took the same time elsewhere may still be other work.
        nearest = next((places for places in nearness if index in places), {})
        fitting = _fitting(results, nearest.get(index, []), group, together=nearest is own)
        launches.append(fitting)
        if fitting and nearest is others:
            borrowed.append(index)
        if nearest and not fitting:
            (uneven if group.spread else differing).append(index)
    return Joined(
        launches=tuple(launches),
        borrowed=tuple(borrowed),
        differing=tuple(differing),
        uneven=tuple(uneven),
        unmatched=unmatched,
        untold=untold if unmatched else "",
    )


def _fitting(results: Sequence[Result], candidates: Sequence[int], group: Group, *, together: bool) -> tuple[int, ...]:
    """Return the launches that took the timeline's time: their mean in the group's own regions, each of others."""
    times = [results[place].duration_ns for place in candidates]
    known = [time for time in times if time is not None]
    if len(known) < len(times):  # nothing to compare: the name and geometry must do
        return () if group.spreads else tuple(candidates)
    if group.spreads:
        like = _like(results, candidates, group) if together else []
        return _fitting(results, like, replace(group, spreads=()), together=True) if like else ()
    if together:
        mean = sum(known) / len(known)
        return tuple(candidates) if agrees(mean, group.mean) else ()
    return tuple(place for place, time in zip(candidates, known, strict=True) if same_time(time, group.mean))


def _like(results: Sequence[Result], candidates: Sequence[int], group: Group) -> list[int]:
    """Return the launches of the regions in which those that were measured differ as all do there."""
    found: list[int] = []
    for place, spread in zip(group.regions, group.spreads, strict=True):
        there = [number for number in candidates if place in _launched_in(results[number])]
        times = [time for number in there if (time := results[number].duration_ns) is not None]
        if times and Spread(min(times), median_low(times), sum(times) / len(times)).is_like(spread):
            found += there
    return found


def agrees(measured: float, timeline: float) -> bool:
    """Tell whether a mean time under the counters can be of the work that the timeline has, both in nanoseconds."""
    return abs(measured - timeline) <= max(AGREE_NS, AGREE_SHARE * timeline)


def _launched_in(result: Result) -> set[Place]:
    """Return the innermost region of every domain that a launch was in; outside all, the place outside."""
    return {(domain, paths[-1]) for domain, paths in result.paths().items()} or {("", "")}


def region_rows(profile: RegionsReport) -> dict[Place, RegionRow]:
    """Return a row for each region over all processes and devices; where only single ones were written, their sum."""
    found = {(row.domain, row.path): row for row in profile.regions if row.process is None and row.device is None}
    single: dict[Place, list[RegionRow]] = {}
    for row in profile.regions:
        if (row.domain, row.path) not in found:
            single.setdefault((row.domain, row.path), []).append(row)
    return found | {place: _sum_of(rows) for place, rows in single.items()}


def _sum_of(rows: Sequence[RegionRow]) -> RegionRow:
    def total(values: Iterable[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(rows) else None

    names = ("inclusive_ns", "exclusive_ns", "inclusive_kernels", "exclusive_kernels", "busy_ns", "idle_time")
    sums = {name: total(getattr(row, name) for row in rows) for name in names}
    # An instance can put work on several devices, so instances do not add up.
    return rows[0].model_copy(update={**sums, "process": None, "device": None, "instances": None})


def _spellings(result: Result, demangled: Callable[[str], str]) -> tuple[str, ...]:
    mangled = result.mangled or result.name
    return tuple(dict.fromkeys((result.name, demangled(mangled), mangled)))


def _demangler() -> tuple[Callable[[str], str], str]:
    """Return what writes mangled names as the C++ runtime does, and why it cannot, if it cannot."""
    import cxxfilt

    try:
        cxxfilt.demangle("_Z1fv")
    except cxxfilt.LibraryNotFound as error:
        return str, f"Names as PyTorch's profiler writes them could not be made: {error}"

    def demangled(name: str) -> str:
        try:
            return str(cxxfilt.demangle(name))
        except (cxxfilt.InvalidName, cxxfilt.InternalError, UnicodeError):
            return name

    return demangled, ""
