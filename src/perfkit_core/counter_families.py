"""Regions with counters that stand in equal places of equal blocks, as one row: their path with ``*`` for indices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from perfkit_core.counter_use import family
from perfkit_core.schema.counters import Bound, CounterRegion, Efficiency


class CounterFamily(NamedTuple):
    """Equal regions.

    Attributes:
        name: Their path with ``*`` for indices.
        domain: NVTX domain.
        regions: How many there are.
        inclusive_ns: Time of their kernels, in nanoseconds.
        measured: Part of that time whose kernels have counters, 0 to 1.
        as_whole: Whether ranges of all of them were replayed as a whole.
        bounds: What limits them, each with the part of the time of the regions of which it is said, largest first.
        efficiency: Shares of peaks, weighted by measured time, and the intensity of all together; nothing else.
    """

    name: str
    domain: str
    regions: int
    inclusive_ns: int
    measured: float
    as_whole: bool
    bounds: tuple[tuple[Bound, float], ...]
    efficiency: Efficiency


def is_whole(region: CounterRegion) -> bool:
    """Whether a region's figures are of its range, replayed as a whole, and not of its kernels."""
    if region.measured_share:
        return False
    return region.range_ns is not None or any(one.of == "range" for one in region.metrics)


def counter_families(regions: Iterable[CounterRegion]) -> tuple[CounterFamily, ...]:
    """Return the families of regions, largest time first, else in the order of their first members."""
    members: defaultdict[tuple[str, str], list[CounterRegion]] = defaultdict(list)
    for region in regions:
        members[region.domain, family(region.path)].append(region)
    found = [_family(name, domain, rows) for (domain, name), rows in members.items()]
    return tuple(sorted(found, key=lambda one: -one.inclusive_ns))


def _family(name: str, domain: str, rows: Sequence[CounterRegion]) -> CounterFamily:
    time = sum(row.inclusive_ns for row in rows)
    wholes = [is_whole(row) for row in rows]
    spent: defaultdict[Bound, int] = defaultdict(int)
    for row in rows:
        spent[row.bound] += row.inclusive_ns
    bounds = {bound: part / time if time else 1 / len(spent) for bound, part in spent.items()}
    return CounterFamily(
        name=name,
        domain=domain,
        regions=len(rows),
        inclusive_ns=time,
        measured=min(1.0, sum(row.inclusive_ns * row.measured_share for row in rows) / time) if time else 0.0,
        as_whole=all(wholes),
        bounds=tuple(sorted(bounds.items(), key=lambda one: (-one[1], one[0]))),
        efficiency=_together(rows, wholes),
    )


def _together(rows: Sequence[CounterRegion], wholes: Sequence[bool]) -> Efficiency:
    weights = [
        row.inclusive_ns * (1.0 if whole else row.measured_share) for row, whole in zip(rows, wholes, strict=True)
    ]

    def mean(figure: Callable[[Efficiency], float | None]) -> float | None:
        known = [
            (value, weight)
            for row, weight in zip(rows, weights, strict=True)
            if weight and (value := figure(row.efficiency)) is not None
        ]
        weight = sum(weight for _, weight in known)
        return sum(value * weight for value, weight in known) / weight if weight else None

    return Efficiency(
        intensity=_intensity(rows, wholes),
        compute_share=mean(lambda one: one.compute_share),
        memory_share=mean(lambda one: one.memory_share),
        dram_share=mean(lambda one: one.dram_share),
        occupancy=mean(lambda one: one.occupancy),
    )


def _intensity(rows: Sequence[CounterRegion], wholes: Sequence[bool]) -> float | None:
    """Return FLOPs by bytes of those that have both; what was replayed as a whole has those of one instance."""
    flops = traffic = 0.0
    for row, whole in zip(rows, wholes, strict=True):
        found = row.efficiency
        if found.intensity is not None and found.dram_bytes:
            often = (row.instances or 1) if whole else 1
            flops += often * found.intensity * found.dram_bytes
            traffic += often * found.dram_bytes
    return flops / traffic if traffic else None
