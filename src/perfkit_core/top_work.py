"""Operators and kernels with the most time, over all regions of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from perfkit_core.counter_use import ALL_SHOWN, Counted, counted
from perfkit_core.kernel_kinds import kind_of
from perfkit_core.kernel_names import library_of, readable_names
from perfkit_core.schema.counters import CounterKernel, CountersReport
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.units import format_share

TOP: Final = 6
"""Operators and kernels that the page shows."""


class OperatorLine(NamedTuple):
    """All calls of one operator.

    Attributes:
        name: Its name.
        calls: How often it is called in a whole run, loops scaled.
        time_ns: Its own time in a whole run, loops scaled: on the device where anything ran on one, else on the
            processor.
        share: Part of the time of all operators, 0 to 1.
    """

    name: str
    calls: int
    time_ns: float
    share: float


class KernelLine(NamedTuple):
    """All runs of one kernel, copy or set.

    Attributes:
        readable: A short name.
        library: Library that it is of; empty when its name does not tell.
        kind: What it does, told from its name.
        calls: How often it runs in a whole run, loops scaled.
        total_ns: Time of all of them in a whole run, loops scaled, in nanoseconds.
        share: Part of the time of everything on the devices, 0 to 1.
        peak_share: Part of the peak that it comes nearest to, by hardware counters; None without them.
        peak: What that is a peak of, and of which part of its time where not all was measured; empty without counters.
    """

    readable: str
    library: str
    kind: str
    calls: int
    total_ns: float
    share: float
    peak_share: float | None
    peak: str


def operator_lines(profile: RegionsReport | None, factors: Mapping[str, float]) -> tuple[OperatorLine, ...]:
    """Return the operators with the most time; empty without a profiler that sees operators.

    Args:
        profile: What was recorded.
        factors: By how much the time in a region is multiplied to be of a whole run.
    """
    rows = profile.operators if profile else ()
    on_device = any(row.self_device_time for row in rows)
    calls: defaultdict[str, float] = defaultdict(float)
    merged: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        factor = factors.get(row.region, 1.0)
        calls[row.name] += row.calls * factor
        own = row.self_device_time if on_device else row.self_cpu_time
        merged[row.name] += own * factor
    whole = sum(merged.values())
    ranked = sorted(merged.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    return tuple(OperatorLine(name, round(calls[name]), time, time / whole if whole else 0.0) for name, time in ranked)


def kernel_lines(
    profile: RegionsReport | None, factors: Mapping[str, float], counters: CountersReport | None
) -> tuple[KernelLine, ...]:
    """Return the kernels with the most time; empty without a profile of a GPU.

    Args:
        profile: What was recorded.
        factors: By how much the time in a region is multiplied to be of a whole run.
        counters: What hardware counters say of kernels.
    """
    calls: defaultdict[tuple[str, str], float] = defaultdict(float)
    merged: defaultdict[tuple[str, str], float] = defaultdict(float)
    for row in profile.kernels if profile else ():
        factor = factors.get(row.region, 1.0)
        calls[row.name, row.kind] += row.calls * factor
        merged[row.name, row.kind] += row.total_ns * factor
    whole = sum(merged.values())
    ranked = sorted(merged.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    short = readable_names(name for name, kind in merged if kind == "kernel")
    nearest = _nearest_peaks(counters, factors)
    return tuple(
        KernelLine(
            readable=short.get(name, name),
            library=library_of(name) if kind == "kernel" else "",
            kind=kind_of(name, kind),
            calls=round(calls[name, kind]),
            total_ns=time,
            share=time / whole if whole else 0.0,
            peak_share=nearest.get(name, (None, ""))[0],
            peak=nearest.get(name, (None, ""))[1],
        )
        for (name, kind), time in ranked
    )


def _nearest_peaks(counters: CountersReport | None, factors: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """Return the peak that each kernel comes nearest to, over its geometries and places by time."""
    named: defaultdict[str, list[CounterKernel]] = defaultdict(list)
    for one in counters.kernels if counters else ():
        named[one.name].append(one)
    found = {name: counted(rows, factors) for name, rows in named.items()}
    return {
        name: (one.nearest[0], one.nearest[1] + _coverage(one))
        for name, one in found.items()
        if one.nearest is not None
    }


def _coverage(found: Counted) -> str:
    return "" if found.covered >= ALL_SHOWN else f" (counters cover {format_share(found.covered)} of its time)"
