"""Totals of a capture, and why what is outside every range is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from perfkit_core.schema.regions import RegionTotals, WorkTotal
from perfkit_nsight.capture import NO_END, Calls, Capture, Ranges, Work
from perfkit_nsight.intervals import Busy, merged
from perfkit_nsight.ranges import OUTSIDE, Forest, calls_within
from perfkit_nsight.sums import Places, node_of_work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

GRAPH = "part of a CUDA graph"
NO_LAUNCH = "no launch row"
OPEN_END = "launched after the last NVTX event, in a range that was never closed"
START_END = "only a start/end range was open"
ACROSS = "only a range that ends on another thread was open"
NO_RANGE = "launched outside every range"


def totals_of(capture: Capture, forest: Forest, places: Places, busy: Mapping[int, Busy]) -> RegionTotals:
    """Add up everything, and split what is outside every range by the first reason that holds."""
    import numpy as np

    kernels = capture.work["kernel"]
    outside = {kind: _outside(capture, forest, work) for kind, work in capture.work.items()}
    spent = kernels.end - kernels.start
    launches = capture.calls.launches
    around = _any_inside(forest, len(launches))
    others = {kind: _total(capture.work[kind], outside[kind]) for kind in ("copy", "set", "graph")}
    own = [places.of_work["kernel"] == one for one in range(len(places))]
    covered = [merged(kernels.start[rows], kernels.end[rows]).before[-1] for rows in own if rows.any()]
    return RegionTotals(
        kernels=len(spent),
        total_ns=int(spent.sum()),
        outside_ns=int(spent[outside["kernel"]].sum()),
        unattributed=_reasons(capture, kernels, outside["kernel"]),
        outside_by_domain={
            domain: int(spent[node_of_work(capture, kernels, innermost) == OUTSIDE].sum())
            for domain, innermost in sorted(zip(capture.domains, forest.innermost, strict=True), key=lambda one: one[0])
        },
        copies=others["copy"],
        sets=others["set"],
        graphs=others["graph"],
        copies_time=others["copy"].time + others["set"].time,
        copies_outside_time=others["copy"].outside_time + others["set"].outside_time,
        launches=int(launches.sum()),
        launches_outside=int((launches & ~around).sum()),
        busy_ns=int(np.sum(covered, dtype=np.int64)),
        idle_time=sum(int(one.end[-1] - one.start[0] - one.before[-1]) for one in busy.values()),
    )


def _outside(capture: Capture, forest: Forest, work: Work) -> Flags:
    import numpy as np

    outside = np.ones(len(work.start), dtype=bool)
    for innermost in forest.innermost:
        outside &= node_of_work(capture, work, innermost) == OUTSIDE
    return outside


def _any_inside(forest: Forest, calls: int) -> Flags:
    import numpy as np

    inside = np.zeros(calls, dtype=bool)
    for innermost in forest.innermost:
        inside |= innermost != OUTSIDE
    return inside


def _total(work: Work, outside: Flags) -> WorkTotal:
    spent = work.end - work.start
    return WorkTotal(
        count=len(spent),
        time=int(spent.sum()),
        outside=int(outside.sum()),
        outside_time=int(spent[outside].sum()),
    )


def _reasons(capture: Capture, kernels: Work, outside: Flags) -> dict[str, int]:
    import numpy as np

    rows = np.flatnonzero(outside)
    spent, call = (kernels.end - kernels.start)[rows], kernels.call[rows]
    left = np.ones(len(rows), dtype=bool)
    found: dict[str, int] = {}
    for reason, holds in _tests(capture, kernels.in_graph[rows], call):
        chosen = left & holds
        if chosen.any():
            found[reason] = int(spent[chosen].sum())
        left &= ~chosen
    return found


def _tests(capture: Capture, in_graph: Flags, call: NDArray[np.int64]) -> Iterator[tuple[str, Flags]]:
    """Yield reasons and for which kernels each holds, the most telling first."""
    import numpy as np

    yield GRAPH, in_graph
    yield NO_LAUNCH, call < 0
    launched = np.flatnonzero(call >= 0)
    # Only the calls in question are looked at: there are few, and many in all.
    calls = Calls(
        start=capture.calls.start[call[launched]],
        end=capture.calls.end[call[launched]],
        thread=capture.calls.thread[call[launched]],
        launches=capture.calls.launches[call[launched]],
    )

    def within(ranges: Ranges, *, whole_process: bool) -> Flags:
        holds = np.zeros(len(call), dtype=bool)
        holds[launched] = calls_within(capture, ranges, calls, whole_process=whole_process)
        return holds

    yield OPEN_END, within(_never_closed(capture.push_pop), whole_process=False)
    yield START_END, within(capture.start_end, whole_process=True)
    yield ACROSS, within(capture.across_threads, whole_process=True)
    yield NO_RANGE, np.ones(len(call), dtype=bool)


def _never_closed(ranges: Ranges) -> Ranges:
    rows = ranges.end == NO_END
    return Ranges(
        start=ranges.start[rows],
        end=ranges.end[rows],
        thread=ranges.thread[rows],
        domain=ranges.domain[rows],
        name=ranges.name[rows],
    )
