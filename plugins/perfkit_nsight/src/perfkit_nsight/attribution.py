"""Device work of a capture by region: ``attribute`` for the report, ``range_sums`` to compare with nsys's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from perfkit_core.schema.regions import KernelRow, RegionRow, RegionsReport
from perfkit_nsight.capture import Capture, Numbers, Work, process_number, thread_number
from perfkit_nsight.nsys_columns import combined
from perfkit_nsight.paths import Paths, paths_of, segment
from perfkit_nsight.ranges import OUTSIDE, Forest, forest_of
from perfkit_nsight.region_rows import Rows
from perfkit_nsight.sums import Places, node_of_work, place_busy, places_of, tables_of
from perfkit_nsight.totals import totals_of

OWN_DOMAIN: Final = "perfkit"
"""perfkit's own NVTX domain: its regions come first."""


class RangeSum(NamedTuple):
    """Kernels of one name launched by one thread inside one stack of ranges, names as recorded.

    ``nsys stats --report nvtx_kern_sum`` has the same sums by range: of all stacks that hold it, as often as each
    holds it.
    """

    domain: str
    stack: tuple[str, ...]
    process: int
    thread: int
    kernel: str
    kernels: int
    total_ns: int


@dataclass(frozen=True, eq=False)
class _Attributed:
    capture: Capture
    forest: Forest
    paths: Paths
    places: Places


def attribute(capture: Capture, *, aggregate: bool = True) -> RegionsReport:
    """Attribute all device work of a capture to its push/pop ranges.

    Work belongs to the ranges of the launching thread that contain the API call that launched it. Every NVTX domain
    is a tree of its own; within each, exclusive time of all regions and time outside the domain add up to the total,
    in whole nanoseconds.

    Args:
        capture: What ``read_export`` returned.
        aggregate: Whether to add a row per region that sums its processes and devices.

    Returns:
        The report.
    """
    forest = forest_of(capture)
    paths = paths_of(forest, capture.push_pop.name, [segment(name) for name in capture.range_names])
    places = places_of(capture)
    busy = place_busy(capture, places)
    tables = tables_of(capture, forest, paths, places, busy)
    found = _Attributed(capture, forest, paths, places)
    rows = Rows(capture, forest, paths, places, tables)
    made: list[RegionRow] = [*(rows.aggregates() if aggregate else ()), *rows.single()]
    return RegionsReport(
        profiler=capture.profiler,
        limits=capture.limits,
        regions=tuple(made),
        totals=totals_of(capture, forest, places, busy),
        kernels=tuple(sorted(_kernel_rows(found), key=_rank)),
    )


def range_sums(capture: Capture) -> list[RangeSum]:
    """Return kernel time by domain, stack of ranges, thread and kernel, nothing grouped and nothing renamed.

    Kernels outside a domain are in no row of it.
    """
    import numpy as np

    forest = forest_of(capture)
    paths = paths_of(forest, capture.push_pop.name, capture.range_names)
    kernels = capture.work["kernel"]
    names = [name.name for name in kernels.names]
    distinct = {name: place for place, name in enumerate(dict.fromkeys(names))}
    renamed = np.array([distinct[name] for name in names], dtype=np.int64)
    texts, sums = tuple(distinct), []
    for domain, innermost in enumerate(forest.innermost):
        node = node_of_work(capture, kernels, innermost)
        inside = np.flatnonzero(node >= 0)
        path, thread = paths.of_node[node[inside]], forest.thread[node[inside]]
        name = renamed[kernels.name[inside]]
        count, spent, first = _grouped((path, thread, name), (kernels.end - kernels.start)[inside])
        for row, number, total in zip(first.tolist(), count.tolist(), spent.tolist(), strict=True):
            owner = capture.threads[int(thread[row])]
            stack = paths.stack[int(path[row])]
            place = (process_number(owner), thread_number(owner), texts[int(name[row])])
            sums.append(RangeSum(capture.domains[domain], stack, *place, number, total))
    return sorted(sums)


def _grouped(columns: tuple[Numbers, ...], spent: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return count, time and first row of every combination."""
    import numpy as np

    codes, first = combined(columns, len(spent))
    total = np.zeros(len(first), dtype=np.int64)
    np.add.at(total, codes, spent)
    return np.bincount(codes, minlength=len(first)), total, first


def _kernel_rows(found: _Attributed) -> Iterator[KernelRow]:
    for work in found.capture.work.values():
        if len(work.start):
            yield from _rows_of(found, work)


def _rows_of(found: _Attributed, work: Work) -> Iterator[KernelRow]:
    import numpy as np

    capture, paths = found.capture, found.paths
    node = _shown_node(found, work)
    path = np.where(node >= 0, paths.of_node[node], OUTSIDE) if len(paths.of_node) else node
    time = work.end - work.start
    codes, first = combined((path, work.device, work.name), len(time))
    count = np.bincount(codes, minlength=len(first))
    spent = np.zeros(len(first), dtype=np.int64)
    np.add.at(spent, codes, time)
    shortest, median = _spread(codes, count, time)
    texts = ["/".join(stack) for stack in paths.stack]
    columns = (first, count, spent, shortest, median)
    for row, calls, total, least, middle in zip(*(column.tolist() for column in columns), strict=True):
        own, named = int(path[row]), work.names[int(work.name[row])]
        yield KernelRow.model_construct(
            region=texts[own] if own >= 0 else "",
            domain=capture.domains[int(paths.domain[own])] if own >= 0 else "",
            device=int(work.device[row]),
            kind=work.kind,
            name=named.name,
            short_name=named.short,
            grid=named.grid,
            block=named.block,
            calls=calls,
            total_ns=total,
            shortest_ns=least,
            median_ns=middle,
        )


def _spread(codes: Numbers, count: Numbers, time: Numbers) -> tuple[Numbers, Numbers]:
    """Return the shortest time of every group and its median, the lower of two; ``count`` says how many each has."""
    import numpy as np

    ordered = time[np.lexsort((time, codes))]
    begin = np.cumsum(count) - count
    return ordered[begin], ordered[begin + (count - 1) // 2]


def _shown_node(found: _Attributed, work: Work) -> Numbers:
    """Return one instance for every row: perfkit's own, else the one among all domains that was opened last."""
    import numpy as np

    capture, forest = found.capture, found.forest
    shown = np.full(len(work.start), OUTSIDE, dtype=np.int64)
    opened = np.full(len(work.start), np.iinfo(np.int64).min)
    for domain, innermost in zip(capture.domains, forest.innermost, strict=True):
        node = node_of_work(capture, work, innermost)
        inside = np.flatnonzero(node >= 0)
        start = forest.start[node[inside]] if domain != OWN_DOMAIN else np.iinfo(np.int64).max
        later = inside[start > opened[inside]]
        opened[later] = start if domain == OWN_DOMAIN else forest.start[node[later]]
        shown[later] = node[later]
    return shown


def _rank(row: KernelRow) -> tuple[object, ...]:
    return (-row.total_ns, row.domain, row.region, row.device, row.kind, row.name, row.grid, row.block)
