"""Device work added up by region, exactly, in columns: every figure is a table of regions by places.

A place is one device of one process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfkit_nsight.capture import Capture, Numbers, Work, WorkKind
from perfkit_nsight.intervals import Busy, merged, unions
from perfkit_nsight.nsys_columns import combined
from perfkit_nsight.paths import Paths
from perfkit_nsight.ranges import OUTSIDE, Forest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Table = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Places:
    """Every device of every process that worked.

    Attributes:
        process: Position in ``Capture.processes``.
        device: Device number.
        of_work: For every kind of work the place of every row.
    """

    process: Numbers
    device: Numbers
    of_work: Mapping[WorkKind, Numbers]

    def __len__(self) -> int:
        return len(self.process)


def places_of(capture: Capture) -> Places:
    """Find the devices that worked, by process, then by number."""
    import numpy as np

    works = capture.work.values()
    process = np.concatenate([work.process for work in works])
    device = np.concatenate([work.device for work in works])
    codes, first = combined([process, device], len(process))
    order = np.lexsort((device[first], process[first]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    bounds = np.cumsum([len(work.start) for work in works])[:-1]
    found = np.split(rank[codes].astype(np.int32), bounds)
    return Places(process[first][order], device[first][order], dict(zip(capture.work, found, strict=True)))


@dataclass(eq=False)
class Tables:
    """Sums by region and place; ``inclusive`` ones hold everything inside, ``exclusive`` ones none of it.

    Attributes:
        count: How many, by kind and by whether inclusive; ``launch`` for API calls that launch.
        time: Nanoseconds, likewise.
        busy: Nanoseconds in which a kernel ran.
        span: Nanoseconds from first kernel to last, added over instances.
        idle: Nanoseconds between an instance's first and last work in which the place did nothing.
    """

    count: dict[tuple[str, bool], Table] = field(default_factory=dict)
    time: dict[tuple[str, bool], Table] = field(default_factory=dict)
    busy: Table | None = None
    span: Table | None = None
    idle: Table | None = None


def node_of_work(capture: Capture, work: Work, innermost: Numbers) -> Numbers:
    """Return the innermost instance of one domain around the launch of every row; ``OUTSIDE`` for none."""
    import numpy as np

    node = np.full(len(work.call), OUTSIDE, dtype=np.int32)
    launched = np.flatnonzero(work.call >= 0)
    node[launched] = innermost[work.call[launched]]
    return node


def levels(forest: Forest, node: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield, from the deepest level up, which rows are inside an instance of that depth, and inside which."""
    import numpy as np

    rows = np.flatnonzero(node >= 0).astype(np.int32)
    node = node[rows]
    depth = forest.depth[node].astype(np.int32)
    for level in range(int(depth.max(initial=-1)), -1, -1):
        deeper = depth > level
        node[deeper] = forest.parent[node[deeper]]
        here = depth >= level
        yield rows[here], node[here]


def tables_of(capture: Capture, forest: Forest, paths: Paths, places: Places, busy: Mapping[int, Busy]) -> Tables:
    """Add up everything that the regions of all domains hold; ``busy`` says when every place did anything."""
    import numpy as np

    shape = (len(paths.stack), max(1, len(places)))
    tables = Tables(busy=np.zeros(shape, dtype=np.int64))
    bounds = _Bounds(forest, places)
    for innermost in forest.innermost:
        for work in capture.work.values():
            node = node_of_work(capture, work, innermost)
            _add_work(tables, work, node, forest, paths, places)
            bounds.add(work, node)
        _add_launches(tables, capture, innermost, forest, paths, places)
    tables.span, tables.idle = bounds.tables(capture, paths, busy, shape)
    return tables


def _add_work(tables: Tables, work: Work, node: Numbers, forest: Forest, paths: Paths, places: Places) -> None:
    import numpy as np

    shape = (len(paths.stack), max(1, len(places)))
    place, kernels = places.of_work[work.kind], work.kind == "kernel"
    order = np.argsort(work.start, kind="stable") if kernels else np.arange(len(work.start))
    order = order[node[order] >= 0]
    start, end, place, node = work.start[order], work.end[order], place[order], node[order]
    del order  # this is where the most memory is in use
    spent = (end - start).astype(np.int64)
    _add(tables, (work.kind, False), paths.of_node[node] * shape[1] + place, spent, shape)
    for rows, nodes in levels(forest, node):
        cell = paths.of_node[nodes] * shape[1] + place[rows]
        _add(tables, (work.kind, True), cell, spent[rows], shape)
        if kernels and tables.busy is not None:
            tables.busy += unions(cell, start[rows], end[rows], shape[0] * shape[1]).reshape(shape)


def _add(tables: Tables, key: tuple[str, bool], cell: Numbers, spent: Numbers | None, shape: tuple[int, int]) -> None:
    import numpy as np

    size = shape[0] * shape[1]
    count = tables.count.setdefault(key, np.zeros(shape, dtype=np.int64))
    count += np.bincount(cell, minlength=size).reshape(shape)
    if spent is not None:
        time = tables.time.setdefault(key, np.zeros(shape, dtype=np.int64))
        np.add.at(time.reshape(-1), cell, spent)


def _add_launches(
    tables: Tables, capture: Capture, innermost: Numbers, forest: Forest, paths: Paths, places: Places
) -> None:
    """Count API calls that launch; one that launches on several devices counts for the first."""
    import numpy as np

    shape = (len(paths.stack), max(1, len(places)))
    place = np.full(len(innermost), len(places), dtype=np.int64)
    for kind in ("kernel", "graph"):
        work = capture.work[kind]
        launched = np.flatnonzero(work.call >= 0)
        np.minimum.at(place, work.call[launched], places.of_work[kind][launched])
    node = np.where(capture.calls.launches, innermost, OUTSIDE)
    inside = np.flatnonzero(node >= 0)
    _add(tables, ("launch", False), paths.of_node[node[inside]] * shape[1] + place[inside], None, shape)
    for rows, nodes in levels(forest, node):
        _add(tables, ("launch", True), paths.of_node[nodes] * shape[1] + place[rows], None, shape)


class _Bounds:
    """First and last work of every instance on every device of its process."""

    def __init__(self, forest: Forest, places: Places) -> None:
        import numpy as np

        self._forest, self._places = forest, places
        _, first = np.unique(places.process, return_index=True)
        lowest = np.zeros(int(places.process.max(initial=-1)) + 1, dtype=np.int64)
        lowest[places.process[first]] = first
        self._slot = np.arange(len(places)) - lowest[places.process]
        self._slots = int(self._slot.max(initial=0)) + 1
        self._lowest = lowest
        size = len(forest.parent) * self._slots
        self._none = np.iinfo(np.int64).max
        self._bounds = {kernels: (np.full(size, self._none), np.full(size, -self._none)) for kernels in (True, False)}

    def add(self, work: Work, node: Numbers) -> None:
        """Take in work of one kind and the innermost instance around each row."""
        import numpy as np

        inside = np.flatnonzero(node >= 0)
        cell = node[inside] * self._slots + self._slot[self._places.of_work[work.kind][inside]]
        for kernels, (first, last) in self._bounds.items():
            if not kernels or work.kind == "kernel":
                np.minimum.at(first, cell, work.start[inside])
                np.maximum.at(last, cell, work.end[inside])

    def tables(
        self, capture: Capture, paths: Paths, busy: Mapping[int, Busy], shape: tuple[int, int]
    ) -> tuple[Table, Table]:
        """Return span and idle time by region and place."""
        import numpy as np

        self._raise_to_parents()
        span, idle = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        process = capture.process_of_thread()
        for kernels, (first, last) in self._bounds.items():
            used = np.flatnonzero(first != self._none)
            node = used // self._slots
            place = self._lowest[process[self._forest.thread[node]]] + used % self._slots
            spent = last[used] - first[used]
            if not kernels:
                for one, when in busy.items():
                    own = place == one
                    spent[own] -= when.until(last[used[own]]) - when.until(first[used[own]])
            np.add.at(span if kernels else idle, (paths.of_node[node], place), spent)
        return span, idle

    def _raise_to_parents(self) -> None:
        import numpy as np

        forest, slots = self._forest, np.arange(self._slots)
        by_depth = np.argsort(forest.depth, kind="stable")
        bounds = np.searchsorted(forest.depth[by_depth], np.arange(int(forest.depth.max(initial=-1)) + 2))
        for level in range(len(bounds) - 2, 0, -1):
            nodes = by_depth[bounds[level] : bounds[level + 1]]
            own = (nodes[:, None] * self._slots + slots).reshape(-1)
            above = (forest.parent[nodes][:, None] * self._slots + slots).reshape(-1)
            for first, last in self._bounds.values():
                np.minimum.at(first, above, first[own])
                np.maximum.at(last, above, last[own])


def place_busy(capture: Capture, places: Places) -> dict[int, Busy]:
    """Return when every place did anything at all."""
    import numpy as np

    place = np.concatenate(list(places.of_work.values()))
    start = np.concatenate([work.start for work in capture.work.values()])
    end = np.concatenate([work.end for work in capture.work.values()])
    found = {}
    for one in range(len(places)):
        own = place == one
        found[one] = merged(start[own], end[own])
    return found
