"""Joining measured launches with the timeline: which kernels they stand for, and where these ran."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_nsight.results import Result

Place = tuple[str, str]
"""Domain and path of a region."""


class Key(NamedTuple):
    """What makes launches the same kernel: a kernel with another geometry is another one.

    Attributes:
        name: Its whole name, as the timeline has it.
        grid: Blocks per grid as ``x,y,z``.
        block: Threads per block as ``x,y,z``.
    """

    name: str
    grid: str
    block: str


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
        kernels: All of them.
        whole: Runs of each.
        inside: By region its kernels' runs, regions inside included, by their place in ``kernels``.
        outside: Those outside every region.
    """

    kernels: tuple[Key, ...]
    whole: tuple[Tally, ...]
    inside: dict[Place, dict[int, Tally]]
    outside: dict[int, Tally]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Measured launches by kernel.

    Attributes:
        launches: For every kernel of the timeline the numbers of the results that measured it.
        unmatched: Results of kernels that are not on the timeline.
        untold: Why names could not all be compared; empty when they could.
    """

    launches: tuple[tuple[int, ...], ...]
    unmatched: tuple[int, ...]
    untold: str = ""


def timeline_of(profile: RegionsReport) -> Timeline:
    """Return the kernels of a timeline by name and geometry, over all devices."""
    sums: dict[Key, Tally] = {}
    rows = [row for row in profile.kernels if row.kind == "kernel"]
    for row in rows:
        sums.setdefault(Key(row.name, row.grid, row.block), Tally()).add(row.calls, row.total_ns)
    ranked = sorted(sums.items(), key=lambda item: (-item[1].time, item[0]))
    number = {key: place for place, (key, _) in enumerate(ranked)}
    found = Timeline(
        kernels=tuple(key for key, _ in ranked), whole=tuple(tally for _, tally in ranked), inside={}, outside={}
    )
    for row in rows:
        place = number[Key(row.name, row.grid, row.block)]
        regions = [found.inside.setdefault((row.domain, path), {}) for path in upwards(row.region)]
        for kernels in regions or [found.outside]:
            kernels.setdefault(place, Tally()).add(row.calls, row.total_ns)
    return found


def upwards(path: str) -> Iterator[str]:
    """Yield a path and those around it, innermost first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def join(results: Sequence[Result], timeline: Timeline) -> Joined:
    """Find the kernel that every measured launch stands for, by name and geometry.

    Tools write the same name differently: nsys as ncu does, PyTorch's profiler as the C++ runtime does, others as it is
    in the program. Each spelling of a measured launch is tried.
    """
    names = {key.name for key in timeline.kernels}
    number = {key: place for place, key in enumerate(timeline.kernels)}
    demangled, untold = _demangler()
    launches: list[list[int]] = [[] for _ in timeline.kernels]
    unmatched: list[int] = []
    for place, result in enumerate(results):
        if not result.is_kernel:
            continue
        spellings = _spellings(result, demangled)
        found = next((name for name in spellings if name in names), None)
        kernel = None if found is None else number.get(Key(found, result.grid, result.block))
        if kernel is None:
            unmatched.append(place)
        else:
            launches[kernel].append(place)
    return Joined(launches=tuple(map(tuple, launches)), unmatched=tuple(unmatched), untold=untold if unmatched else "")


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
