"""Which kernels to measure: those that make up most of the time, each distinct launch of them once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfkit_core.schema.regions import KernelRow, RegionsReport
from perfkit_nsight.ncu_options import NcuOptions, listed

OWN_DOMAIN = "perfkit"
SECONDS_PER_PASS = 0.02
"""What one pass of one launch costs besides the kernel's own time, in seconds: counters are read and memory is
restored. Seen on an H200: 13 kernels of a small program in 16 passes took 4 s longer than with one pass."""

_COLLECTIVE = re.compile(r"nccl", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MeasuringPlan:
    """What a pass of ncu is to measure.

    Attributes:
        patterns: Regular expressions for the mangled names of kernels; empty for all.
        launches: Distinct launches (name, grid, block) of these in the timeline; None when there is no timeline.
        passes: Passes of each.
        covered: Part of the kernel time that they stand for, 0 to 1.
        seconds: About how long it takes; None when there is no timeline.
        include: NVTX expressions of the regions to measure in; empty for everywhere.
        ranges: Instances of these regions, where they are replayed as a whole.
        notes: What the reader must know, one line each.
    """

    patterns: tuple[str, ...] = ()
    launches: int | None = None
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
            return f"ncu: {self.ranges} ranges x {self.passes} passes{about}"
        if self.launches is None:
            return f"ncu: every distinct launch x {self.passes} passes; nothing counted them before"
        return (
            f"ncu: {self.launches} launches x {self.passes} passes = {self.launches * self.passes}, "
            f"{self.covered:.1%} of the kernel time{about}"
        )

    def values(self) -> Mapping[str, Any]:
        """Return it as plain values, for a pass."""
        return {"kernels": selection(self.patterns), "include": list(self.include)}


@dataclass
class _Group:
    """The launches that one pattern selects."""

    total: int = 0
    launches: set[tuple[str, str, str]] = field(default_factory=set)
    replayed: float = 0.0


def plan_kernels(
    timeline: RegionsReport | None,
    options: NcuOptions,
    *,
    passes: int,
    run_seconds: float,
    limit: float | None,
    symbols: Mapping[str, str],
) -> MeasuringPlan:
    """Choose kernels, largest time first, until they make up the wanted part of the time.

    A kernel whose mangled name is known is chosen alone; of others, all kernels of the same function are chosen
    together, whatever template arguments they have.

    Args:
        timeline: Kernels of the run and their time; None when nothing found them.
        symbols: Mangled names, by name as the timeline has it.
        passes: Passes of each launch.
        run_seconds: How long the program itself takes.
        limit: Seconds that the pass may take; kernels are left out until it fits.
    """
    include = _region(timeline, options.region)
    if timeline is None:
        return MeasuringPlan(passes=passes, include=include)
    kernels = [row for row in timeline.kernels if row.kind == "kernel" and _inside(row, options.region)]
    notes = list(_unmatched(kernels, options))
    wanted = [row for row in kernels if _wanted(row, options)]
    collective = sum(bool(_COLLECTIVE.search(row.name)) for row in kernels)
    if collective:
        notes.append(f"{collective} kernels of NCCL are left out: replayed alone they wait for the other GPUs for ever")
    groups = _groups(wanted, symbols)
    ranked = sorted(groups, key=lambda pattern: (-groups[pattern].total, pattern))
    total, eligible = sum(row.total_ns for row in kernels), sum(row.total_ns for row in wanted)
    chosen: list[str] = []
    for pattern in ranked:
        if sum(groups[one].total for one in chosen) >= options.coverage * eligible:
            break
        chosen.append(pattern)
    fitting = _fitting(chosen, groups, passes, run_seconds, limit)
    if len(fitting) < len(chosen):
        notes.append(
            f"{len(chosen) - len(fitting)} of {len(chosen)} kernels are left out: with them it would take "
            f"{_seconds(chosen, groups, passes, run_seconds):.0f} s (--max-minutes)"
        )
    return MeasuringPlan(
        patterns=tuple(sorted(fitting)),
        launches=sum(len(groups[pattern].launches) for pattern in fitting),
        passes=passes,
        covered=sum(groups[pattern].total for pattern in fitting) / total if total else 0.0,
        seconds=_seconds(fitting, groups, passes, run_seconds),
        include=include,
        notes=tuple(notes),
    )


def plan_ranges(
    timeline: RegionsReport | None, options: NcuOptions, *, passes: int, run_seconds: float, again: bool
) -> MeasuringPlan:
    """Choose the regions to replay as a whole: the one that was named, else the outermost ones.

    Args:
        again: Whether the whole program is run for every pass.
    """
    seconds = run_seconds * passes if again else run_seconds
    if options.region or timeline is None:
        rows = [] if timeline is None else [row for row in _aggregates(timeline) if row.path == options.region]
        known = sum(row.instances or 0 for row in rows) if rows else None
        return MeasuringPlan(
            passes=passes, include=_region(timeline, options.region), ranges=known, seconds=seconds if rows else None
        )
    domains = {row.domain for row in _aggregates(timeline)}
    domain = OWN_DOMAIN if OWN_DOMAIN in domains else next(iter(sorted(domains)), "")
    outermost = [row for row in _aggregates(timeline) if row.domain == domain and "/" not in row.path]
    return MeasuringPlan(
        passes=passes,
        include=tuple(_expression(domain, row.path) for row in outermost),
        ranges=sum(row.instances or 0 for row in outermost),
        seconds=seconds,
    )


def function_of(name: str) -> str:
    """Return the name of a kernel's function without scope, template arguments and parameters."""
    text = re.sub(r"\(anonymous namespace\)|<unnamed>", "anonymous", name)
    depth, plain = 0, []
    for letter in text:
        depth += letter == "<"
        if depth == 0:
            plain.append(letter)
        depth -= letter == ">"
    words = "".join(plain).partition("(")[0].split()
    return words[-1].rpartition("::")[2] if words else name


def selection(patterns: Sequence[str]) -> str:
    """Return the expression for ``ncu --kernel-name-base mangled -k``; without patterns, all but NCCL's kernels.

    Compared with mangled names, because ncu then tells template arguments apart when it measures each launch once.
    """
    if not patterns:
        return "regex:^(?!.*[nN][cC][cC][lL]).*$"
    return f"regex:^({'|'.join(patterns)})$"


def _pattern(row: KernelRow, symbols: Mapping[str, str]) -> str:
    """Return the regular expression that selects a kernel by its mangled name."""
    if row.name in symbols:
        return re.escape(symbols[row.name])
    function = function_of(row.short_name or row.name)
    return f"{re.escape(function)}|_Z.*{len(function)}{re.escape(function)}.*"


def _groups(kernels: Sequence[KernelRow], symbols: Mapping[str, str]) -> dict[str, _Group]:
    found: dict[str, _Group] = defaultdict(_Group)
    for row in kernels:
        one = found[_pattern(row, symbols)]
        one.total += row.total_ns
        launch = (row.name, row.grid, row.block)
        if launch not in one.launches:
            one.launches.add(launch)
            one.replayed += row.total_ns / max(1, row.calls)
    return dict(found)


def _seconds(patterns: Iterable[str], groups: Mapping[str, _Group], passes: int, run_seconds: float) -> float:
    chosen = [groups[pattern] for pattern in patterns]
    replays = sum(one.replayed / 1e9 + SECONDS_PER_PASS * len(one.launches) for one in chosen)
    return run_seconds + passes * replays


def _fitting(
    chosen: Sequence[str], groups: Mapping[str, _Group], passes: int, run_seconds: float, limit: float | None
) -> list[str]:
    fitting = list(chosen)
    while limit is not None and len(fitting) > 1 and _seconds(fitting, groups, passes, run_seconds) > limit:
        fitting.pop()
    return fitting


def _inside(row: KernelRow, region: str) -> bool:
    return not region or row.region == region or row.region.startswith(f"{region}/")


def _wanted(row: KernelRow, options: NcuOptions) -> bool:
    include, exclude = listed(options.include), listed(options.exclude)
    if _COLLECTIVE.search(row.name) or any(re.search(pattern, row.name) for pattern in exclude):
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
