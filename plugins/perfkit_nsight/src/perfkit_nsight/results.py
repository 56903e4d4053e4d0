"""Results of a kernel profiler, one per profiled kernel: the report by region that they make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfkit_core.schema.counters import Replay
from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport, RegionTotals
from perfkit_nsight.paths import segment

OWN_DOMAIN = "perfkit"
SERIAL = (
    "ncu runs kernels one by one and records nothing else: a region is busy as long as its kernels take; spans, idle "
    "times and copies are not known"
)
UNCOUNTED = "ncu does not record how often a region was opened"
DURATION = "gpu__time_duration.sum"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One profiled kernel, or a range that was profiled as a whole.

    Attributes:
        number: Its number in the report.
        name: Demangled name.
        short: Name without parameters; empty when unknown.
        process: Process number; None when unknown.
        device: Device number; -1 when unknown.
        grid: Blocks per grid as ``x,y,z``; empty when unknown.
        block: Threads per block as ``x,y,z``; empty when unknown.
        duration_ns: Its time; None when it was not collected.
        is_kernel: False for a range or graph profiled as a whole.
        stacks: Open push/pop ranges by domain, outermost first.
        mangled: Name as it is in the program; empty when unknown.
        passes: How often it was replayed; None when unknown.
    """

    number: int
    name: str
    short: str = ""
    process: int | None = None
    device: int = -1
    grid: str = ""
    block: str = ""
    duration_ns: int | None = None
    is_kernel: bool = True
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mangled: str = ""
    passes: int | None = None

    def paths(self) -> dict[str, tuple[str, ...]]:
        """Return its regions' paths by domain, outermost first; domains without an open range are left out."""
        found: dict[str, tuple[str, ...]] = {}
        for domain, stack in self.stacks.items():
            segments = [segment(name) for name in stack]
            if segments:
                found[domain] = tuple("/".join(segments[: depth + 1]) for depth in range(len(segments)))
        return found


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What was read from a kernel profiler's file.

    Attributes:
        profiler: What recorded it, with its version where the file tells.
        results: Launches, and ranges replayed as a whole.
        metrics: Their metrics, as ``launches.json`` has them.
        rules: What the profiler's rules said, as ``launches.json`` has it.
        replay: How what was measured was repeated; empty when unknown.
    """

    profiler: str
    results: Sequence[Result]
    metrics: Sequence[Mapping[str, Any]]
    rules: Sequence[Mapping[str, Any]] = ()
    replay: Replay = ""


def report_of(results: Sequence[Result], *, profiler: str, limits: Iterable[str]) -> RegionsReport:
    """Return kernel time by region; ranges that were profiled as a whole are not among kernels."""
    kernels = [result for result in results if result.is_kernel]
    timed = sum(result.duration_ns or 0 for result in kernels)
    outside = sum(result.duration_ns or 0 for result in kernels if not result.paths())
    domains = dict.fromkeys(domain for result in kernels for domain in result.paths())
    found = [*limits, *_limits(results, kernels)]
    return RegionsReport(
        profiler=profiler,
        limits=tuple(found),
        regions=(*_regions(kernels, single=False), *_regions(kernels, single=True)),
        totals=RegionTotals(
            kernels=len(kernels),
            total_ns=timed,
            outside_ns=outside,
            unattributed={"no range": outside} if outside else {},
            outside_by_domain={
                domain: sum(one.duration_ns or 0 for one in kernels if domain not in one.paths()) for domain in domains
            },
            busy_ns=timed,
        ),
        kernels=tuple(_kernels(kernels)),
    )


def columns_of(
    results: Sequence[Result], metrics: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return ``launches.json``: a column per fact and per metric, an entry per result, units beside the values."""
    return {
        "launches": {
            "number": [one.number for one in results],
            "name": [one.name for one in results],
            "process": [one.process for one in results],
            "device": [one.device for one in results],
            "grid": [one.grid for one in results],
            "block": [one.block for one in results],
            "duration_ns": [one.duration_ns for one in results],
            "is_kernel": [one.is_kernel for one in results],
            "regions": [{domain: paths[-1] for domain, paths in one.paths().items()} for one in results],
        },
        "metrics": list(metrics),
        "rules": list(rules),
    }


def _limits(results: Sequence[Result], kernels: Sequence[Result]) -> Iterator[str]:
    yield SERIAL
    untimed = sum(one.duration_ns is None for one in kernels)
    if untimed:
        yield f"Of {len(kernels)} kernels {untimed} without a duration: {DURATION} was not collected"
    if len(kernels) < len(results):
        whole = len(results) - len(kernels)
        yield f"Ranges or graphs profiled as a whole: {whole}; launches.json has their metrics, and they are no kernels"
    if any(one.paths() for one in kernels):
        yield UNCOUNTED
    else:
        yield "No kernel has NVTX ranges around it: ncu records them with --nvtx"


def _regions(kernels: Sequence[Result], *, single: bool) -> Iterator[RegionRow]:
    sums: dict[tuple[str, str, int | None, int | None], list[int]] = {}
    for one in kernels:
        place = (one.process, one.device) if single else (None, None)
        for domain, paths in one.paths().items():
            for path in paths:
                own, time = int(path == paths[-1]), one.duration_ns or 0
                values = sums.setdefault((domain, path, *place), [0, 0, 0, 0])
                values[:] = values[0] + time, values[1] + own * time, values[2] + 1, values[3] + own
    for (domain, path, process, device), (inclusive, exclusive, whole, own) in sums.items():
        yield RegionRow(
            domain=domain,
            path=path,
            process=process,
            device=device,
            inclusive_ns=inclusive,
            exclusive_ns=exclusive,
            inclusive_kernels=whole,
            exclusive_kernels=own,
            busy_ns=inclusive,
            span_ns=None,
            instances=None,
        )


def _kernels(kernels: Sequence[Result]) -> Iterator[KernelRow]:
    sums: dict[tuple[str, str, int, str, str, str, str], list[int]] = {}
    for one in kernels:
        paths = one.paths()
        # The order of ranges of different domains is not recorded; perfkit's own goes first.
        domain = OWN_DOMAIN if OWN_DOMAIN in paths else next(iter(paths), "")
        region = paths[domain][-1] if paths else ""
        values = sums.setdefault((domain, region, one.device, one.name, one.short, one.grid, one.block), [0, 0])
        values[:] = values[0] + 1, values[1] + (one.duration_ns or 0)
    ranked = sorted(sums.items(), key=lambda item: (-item[1][1], item[0]))
    for (domain, region, device, name, short, grid, block), (calls, time) in ranked:
        yield KernelRow(
            region=region,
            domain=domain,
            device=device,
            kind="kernel",
            name=name,
            short_name=short,
            grid=grid,
            block=block,
            calls=calls,
            total_ns=time,
        )
