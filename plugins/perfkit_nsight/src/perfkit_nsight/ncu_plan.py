"""Which kernels to measure: those that make up most of the time, each distinct launch of them once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfkit_core.errors import ToolError, UsageError
from perfkit_core.regions import SEEK
from perfkit_core.schema.regions import KernelRow, RegionsReport
from perfkit_nsight.ncu_fitting import nameable, seconds_of, timely, too_slow
from perfkit_nsight.ncu_options import NcuOptions, listed
from perfkit_nsight.ncu_selection import MOST, Measuring, selection
from perfkit_nsight.work_groups import Group, Place, groups_of

OWN_DOMAIN = "perfkit"
_NAMED, _SHOWN = 5, 60
"""Names of kernels in an error, and letters of each, at most."""

RANGE_PASSES = 1.25
"""Passes of a range for one of a kernel, at most: 17 for 16 were seen by range replay, 15 by app-range."""

COLLECTIVE = re.compile(r"nccl", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MeasuringPlan:
    """What a pass of ncu is to measure.

    Attributes:
        patterns: Regular expressions for the mangled names of kernels; empty for all.
        sample: Regions whose kernels are measured, with the numbers of the instances, from 0; no other.
            None where the program cannot say when it is in one: then the first launch of each geometry is measured.
        launches: Launches to measure by the timeline; None when there is no timeline.
        each: Most of them of one kernel with one geometry; None for as many as the process shows.
        passes: Passes of each; of a range at most.
        covered: Part of the kernel time that they stand for, 0 to 1.
        seconds: About how long it takes; None when there is no timeline.
        include: NVTX expressions of the regions to measure in; empty for everywhere.
        ranges: Instances of these regions, where they are replayed as a whole.
        notes: What the reader must know, one line each.
    """

    patterns: tuple[str, ...] = ()
    sample: Mapping[str, Sequence[int]] | None = None
    launches: int | None = None
    each: int | None = None
    passes: int = 1
    covered: float = 1.0
    seconds: float | None = None
    include: tuple[str, ...] = ()
    ranges: int | None = None
    notes: tuple[str, ...] = ()

    def announcement(self) -> str:
        """Return what will be measured, in one line."""
        about = "" if self.seconds is None else f", about {self.seconds:.0f} s"
        if self.ranges is not None:
            return f"ncu: {self.ranges} ranges x {self.passes} passes = {self.ranges * self.passes} at most{about}"
        if self.launches is None:
            return f"ncu: every distinct launch x {self.passes} passes; nothing counted them before"
        return (
            f"ncu: {self.launches} launches x {self.passes} passes = {self.launches * self.passes}, "
            f"{self.covered:.1%} of the kernel time{about}"
        )

    def values(self) -> Mapping[str, Any]:
        """Return it as plain values, for a pass."""
        return {
            "kernels": selection(self.patterns),
            "include": list(self.include),
            "sample": None if self.sample is None else {path: list(one) for path, one in self.sample.items()},
            "launches": self.launches,
            "each": self.each,
        }


def plan_kernels(
    timeline: RegionsReport | None,
    options: NcuOptions,
    *,
    passes: int,
    run_seconds: float,
    limit: float | None,
    symbols: Mapping[str, str],
    samples: bool,
) -> MeasuringPlan:
    """Choose kernels by what they work on, largest time first, until they make up the wanted part of the time.

    A kernel whose mangled name is known is chosen alone; of others, all kernels of the same function are chosen
    together, whatever template arguments they have.

    Args:
        timeline: Kernels of the run and their time; None when nothing found them.
        passes: Passes of each launch.
        run_seconds: How long the program itself takes.
        limit: Seconds that the pass may take; kernels are left out until it fits.
        symbols: Mangled names, by name as the timeline has it.
        samples: Whether the process can say when it is in a region that is to be measured.

    Raises:
        UsageError: Kernels are to be chosen by name, and nothing found any.
        ToolError: None is left to measure.
    """
    rows = timeline.kernels if timeline else ()
    kernels = [row for row in rows if row.kind == "kernel" and _inside(row, options.region) and not _seeks(row.region)]
    include = _region(timeline, options.region)
    if timeline is None or not (kernels or options.region):
        _check_no_names(options)
        return MeasuringPlan(passes=passes, include=include, each=1)
    notes = [*_unmatched(kernels, options), *_collectives(kernels), *_graphs(rows)]
    groups = groups_of(row for row in kernels if _wanted(row, options))
    if not groups:
        raise _nothing_left(kernels, options)
    chosen = _covering(groups, options.coverage)
    measuring = Measuring(kernels=kernels, instances=_instances(timeline), symbols=symbols, samples=samples)
    named = nameable(chosen, measuring)
    if len(named) < len(chosen):
        notes.append(f"{len(chosen) - len(named)} of {len(chosen)} kernels are left out: ncu takes no more names")
    whole = seconds_of(measuring.expected(named), passes, run_seconds)
    fitting, measuring = (named, measuring) if limit is None else timely(named, measuring, passes, run_seconds, limit)
    notes.extend(_untimely(len(named) - len(fitting), len(named), measuring, whole))
    total, expected = sum(row.total_ns for row in kernels), measuring.expected(fitting)
    return MeasuringPlan(
        patterns=measuring.patterns(fitting),
        sample=measuring.sample(fitting) if samples else None,
        launches=expected.launches,
        each=expected.each,
        passes=passes,
        covered=sum(group.time for group in fitting) / total if total else 0.0,
        seconds=seconds_of(expected, passes, run_seconds),
        include=include,
        notes=tuple(notes),
    )


def _check_no_names(options: NcuOptions) -> None:
    """Refuse to choose kernels by name where nothing found any."""
    if options.include or options.exclude:
        raise UsageError(
            "ncu.include and ncu.exclude choose among kernels that a first pass finds, and none found any",
            fix="leave them out, or let nsys find kernels: --set ncu.find=nsys; perfkit doctor says whether it can",
        )


def _covering(groups: Sequence[Group], coverage: float) -> Sequence[Group]:
    """Return the largest groups that make up this part of the time of all, at least one."""
    wanted, chosen, time = coverage * sum(group.time for group in groups), [groups[0]], groups[0].time
    for group in groups[1:]:
        if time >= wanted:
            break
        chosen.append(group)
        time += group.time
    return chosen


def _untimely(left: int, number: int, measuring: Measuring, seconds: float) -> Iterable[str]:
    if left or measuring.most < MOST:
        fewer = "" if measuring.most == MOST else f", and {measuring.most} launch of each other kernel is measured"
        yield f"{left} of {number} kernels are left out{fewer}: in full it would take {seconds:.0f} s (--max-minutes)"


def plan_ranges(
    timeline: RegionsReport | None,
    options: NcuOptions,
    *,
    passes: int,
    run_seconds: float,
    again: bool,
    limit: float | None = None,
) -> MeasuringPlan:
    """Choose the regions to replay as a whole: the one that was named, else the outermost ones.

    Args:
        passes: Passes that a kernel needs.
        again: Whether the whole program is run for every pass.
        limit: Seconds that the pass may take.

    Raises:
        ToolError: It would take longer.
    """
    seconds = run_seconds * passes if again else run_seconds
    most = math.ceil(passes * RANGE_PASSES)
    if limit is not None and seconds > limit:
        raise too_slow(seconds, limit)
    notes = (f"Sections of preset {options.preset} are of single kernels and left out: metrics alone are of ranges",)
    if options.region or timeline is None:
        rows = [] if timeline is None else [row for row in _aggregates(timeline) if row.path == options.region]
        known = sum(row.instances or 0 for row in rows) if rows else None
        return MeasuringPlan(
            passes=most,
            include=_region(timeline, options.region),
            ranges=known,
            seconds=seconds if rows else None,
            notes=notes,
        )
    domains = {row.domain for row in _aggregates(timeline)}
    domain = OWN_DOMAIN if OWN_DOMAIN in domains else next(iter(sorted(domains)), "")
    outermost = [row for row in _aggregates(timeline) if row.domain == domain and "/" not in row.path]
    outermost = [row for row in outermost if not _seeks(row.path)]
    return MeasuringPlan(
        passes=most,
        include=tuple(_expression(domain, row.path) for row in outermost),
        ranges=sum(row.instances or 0 for row in outermost),
        seconds=seconds,
        notes=notes,
    )


def _nothing_left(kernels: Sequence[KernelRow], options: NcuOptions) -> ToolError:
    """Return the error where no kernel is to be measured: ncu, given none, would take them all."""
    if not kernels:
        return ToolError(
            f"no kernel ran inside the region {options.region!r} that was asked for",
            fix="regions.json lists them; --set ncu.region=PATH",
        )
    names = sorted({row.short_name or row.name for row in kernels})
    shown = ", ".join(name[:_SHOWN] for name in names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    if options.include or options.exclude:
        return ToolError(
            f"ncu.include and ncu.exclude leave no kernel to measure; there are: {shown}",
            fix="leave them out, or see kernels.md for names",
        )
    return ToolError(
        f"all kernels are NCCL's, which cannot be replayed alone: {shown}", fix="run it with --backend nsys instead"
    )


def _instances(timeline: RegionsReport) -> dict[Place, int]:
    return {(row.domain, row.path): row.instances or 1 for row in _aggregates(timeline)}


def _collectives(kernels: Sequence[KernelRow]) -> Iterable[str]:
    collective = sum(row.calls for row in kernels if COLLECTIVE.search(row.name))
    if collective:
        yield f"{collective} kernels of NCCL are left out: replayed alone they wait for the other GPUs for ever"


def _seeks(path: str) -> bool:
    """Tell whether a region only brings about what a measured iteration finds: the workload has none such."""
    return any(name.endswith(SEEK) for name in path.split("/"))


def _graphs(rows: Sequence[KernelRow]) -> Iterable[str]:
    whole, time = sum(row.total_ns for row in rows if row.kind == "graph"), sum(row.total_ns for row in rows)
    if whole:
        yield (
            f"{whole / time:.1%} of the time is of CUDA graphs that the timeline has as a whole: kernels in them were "
            "not found, and shares are of the others"
        )


def _inside(row: KernelRow, region: str) -> bool:
    return not region or row.region == region or row.region.startswith(f"{region}/")


def _wanted(row: KernelRow, options: NcuOptions) -> bool:
    include, exclude = listed(options.include), listed(options.exclude)
    if COLLECTIVE.search(row.name) or any(re.search(pattern, row.name) for pattern in exclude):
        return False
    return not include or any(re.search(pattern, row.name) for pattern in include)


def _unmatched(kernels: Sequence[KernelRow], options: NcuOptions) -> Iterable[str]:
    for kind in ("include", "exclude"):
        for pattern in listed(getattr(options, kind)):
            if not any(re.search(pattern, row.name) for row in kernels):
                yield f"No kernel's name holds {pattern!r} of ncu.{kind}"


def _aggregates(timeline: RegionsReport) -> list[Any]:
    return [row for row in timeline.regions if row.process is None and row.device is None]


def _region(timeline: RegionsReport | None, region: str) -> tuple[str, ...]:
    """Return the NVTX expression for the region to measure in; the domain is the one that the timeline has it in."""
    if not region:
        return ()
    domains = [row.domain for row in _aggregates(timeline) if row.path == region] if timeline else []
    return (_expression(OWN_DOMAIN if OWN_DOMAIN in domains or not domains else domains[0], region),)


def _expression(domain: str, path: str) -> str:
    """Return ncu's expression for push/pop ranges, which ends in a slash."""
    return f"{domain}@{path}/" if domain else f"{path}/"
