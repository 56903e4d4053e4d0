"""Push/pop ranges as trees, and the innermost range around every launch.

A range contains a launch when it is of the launch's thread, begins no later than the API call and ends no earlier:
nsys's own rule. The stack of a launch in a domain is all ranges of that domain that contain it, by start, longer ones
first. A tree has one node per stack that occurs. Ranges that are properly nested have one node each, found in a few
passes over columns; threads whose ranges overlap otherwise are walked event by event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfkit_nsight.capture import NO_END, Calls, Capture, Numbers, Ranges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OUTSIDE = -1
"""In place of a node: outside every range of the domain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forest:
    """Instances of regions, a row each; parents stand before their children.

    Attributes:
        parent: Position of the instance around it; ``OUTSIDE`` for none.
        depth: Instances around it.
        row: Its range, a row of ``Capture.push_pop``.
        thread: Position in ``Capture.threads``.
        domain: Position in ``Capture.domains``.
        start: First nanosecond.
        end: Last nanosecond.
        innermost: For every domain the node of every call, ``OUTSIDE`` where none contains it.
    """

    parent: Numbers
    depth: Numbers
    row: Numbers
    thread: Numbers
    domain: Numbers
    start: Numbers
    end: Numbers
    innermost: tuple[Numbers, ...]


def forest_of(capture: Capture) -> Forest:
    """Nest the push/pop ranges of every thread and domain, and find the innermost one around every call."""
    import numpy as np

    ranges, calls = capture.push_pop, capture.calls
    end = np.where(ranges.end == NO_END, np.maximum(capture.last, ranges.start), ranges.end)
    group = ranges.thread * max(1, len(capture.domains)) + ranges.domain
    order = np.lexsort((np.arange(len(group)), -end, ranges.start, group))
    by_thread = np.lexsort((calls.start, calls.thread))
    innermost = tuple(np.full(len(calls.start), OUTSIDE, dtype=np.int64) for _ in capture.domains)
    parents, rows, offset = [], [], 0
    bounds = np.flatnonzero(np.diff(group[order], prepend=-1, append=-1))
    called = np.searchsorted(calls.thread[by_thread], np.arange(len(capture.threads) + 1))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        chosen = order[low:high]
        thread, domain = int(ranges.thread[chosen[0]]), int(ranges.domain[chosen[0]])
        inside = by_thread[called[thread] : called[thread + 1]]
        nested = _nested(ranges.start[chosen], end[chosen], calls.start[inside], calls.end[inside])
        node, parent, found = nested
        parents.append(np.where(parent == OUTSIDE, OUTSIDE, parent + offset))
        rows.append(chosen[node])
        innermost[domain][inside] = np.where(found == OUTSIDE, OUTSIDE, found + offset)
        offset += len(node)
    return _forest(ranges, end, parents, rows, innermost)


def _forest(
    ranges: Ranges, end: Numbers, parents: list[Numbers], rows: list[Numbers], innermost: tuple[Numbers, ...]
) -> Forest:
    import numpy as np

    nothing = np.empty(0, dtype=np.int64)
    parent = np.concatenate([nothing, *parents])
    row = np.concatenate([nothing, *rows])
    return Forest(
        parent=parent,
        depth=_depths(parent),
        row=row,
        thread=ranges.thread[row],
        domain=ranges.domain[row],
        start=ranges.start[row],
        end=end[row],
        innermost=innermost,
    )


def _depths(parent: Numbers) -> Numbers:
    import numpy as np

    depth = np.zeros(len(parent), dtype=np.int64)
    inner = np.flatnonzero(parent >= 0)
    above = parent[inner]
    while len(inner):
        depth[inner] += 1
        above = parent[above]
        inner, above = inner[above >= 0], above[above >= 0]
    return depth


def _nested(start: Numbers, end: Numbers, call_start: Numbers, call_end: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return range and parent of every node, and the node of every call; all in order of start."""
    import numpy as np

    parent = _parents(start, end)
    if parent is None or _touched(end, call_start, call_end):
        return _walked(start, end, call_start, call_end)
    node = np.searchsorted(start, call_start, side="right") - 1
    outside = np.flatnonzero((node >= 0) & (end[node] < call_end))
    while len(outside):
        node[outside] = parent[node[outside]]
        outside = outside[node[outside] >= 0]
        outside = outside[end[node[outside]] < call_end[outside]]
    return np.arange(len(start)), parent, node


def _parents(start: Numbers, end: Numbers) -> Numbers | None:
    """Return the parent of every range; None when some are not properly nested, or last no time.

    A range lies as deep as there are ranges before it that are still open, and its parent is the last one before it
    that lies one less deep. Where that parent ends early, the ranges overlap.
    """
    import numpy as np

    if (end <= start).any():
        return None
    depth = np.arange(len(start)) - np.searchsorted(np.sort(end), start, side="right")
    by_depth = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[by_depth], np.arange(int(depth.max(initial=0)) + 2))
    parent = np.full(len(start), OUTSIDE, dtype=np.int64)
    for level in range(1, len(bounds) - 1):
        above, own = (by_depth[bounds[one] : bounds[one + 1]] for one in (level - 1, level))
        parent[own] = above[np.searchsorted(above, own) - 1]
    inner = np.flatnonzero(parent >= 0)
    proper = (parent[inner] < inner) & (end[parent[inner]] >= end[inner])
    return parent if proper.all() else None


def _touched(end: Numbers, call_start: Numbers, call_end: Numbers) -> bool:
    """Whether a call of no duration lies where one range ends and the next begins: it is in both."""
    import numpy as np

    short = call_start[call_end <= call_start]
    return bool(len(short) and np.isin(short, end).any())


def _walked(start: Numbers, end: Numbers, call_start: Numbers, call_end: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Do what ``_nested`` does for ranges of any shape."""
    import numpy as np

    walk = _Walk(start.tolist(), end.tolist())
    call_starts, call_ends = call_start.tolist(), call_end.tolist()
    found, opened = [], 0
    for began, ended in zip(call_starts, call_ends, strict=True):
        while opened < len(walk.start) and walk.start[opened] <= began:
            walk.open(opened)
            opened += 1
        found.append(walk.node_around(began, ended))
    for one in range(opened, len(walk.start)):
        walk.open(one)
    return tuple(np.array(values, dtype=np.int64) for values in (walk.row, walk.parent, found))  # type: ignore[return-value]


class _Walk:
    """The ranges of one thread and domain, opened one after the other.

    Attributes:
        start: Starts of the ranges, ascending.
        row: For every node its range.
        parent: For every node the node around it.
    """

    def __init__(self, start: list[int], end: list[int]) -> None:
        self.start, self._end = start, end
        self.row: list[int] = []
        self.parent: list[int] = []
        self._nodes: dict[tuple[int, int], int] = {}
        self._active: list[int] = []

    def open(self, one: int) -> None:
        """Open a range inside those that are open then, and that it does not merely touch."""
        begins, ends = self.start[one], self._end[one]
        self._drop(begins)
        around = [other for other in self._active if self._end[other] > begins or self._end[other] >= ends]
        self._node([*around, one])
        self._active.append(one)

    def node_around(self, began: int, ended: int) -> int:
        """Return the node of the stack of ranges that contain a call."""
        self._drop(began)
        return self._node([other for other in self._active if self._end[other] >= ended])

    def _drop(self, now: int) -> None:
        if any(self._end[other] < now for other in self._active):
            self._active = [other for other in self._active if self._end[other] >= now]

    def _node(self, stack: list[int]) -> int:
        node = OUTSIDE
        for one in stack:
            key = node, one
            if key not in self._nodes:
                self._nodes[key] = len(self.row)
                self.row.append(one)
                self.parent.append(node)
            node = self._nodes[key]
        return node


def contains(start: Numbers, end: Numbers, call_start: Numbers, call_end: Numbers) -> NDArray[np.bool_]:
    """Return for every call whether any of the ranges contains it."""
    import numpy as np

    if not len(start):
        return np.zeros(len(call_start), dtype=bool)
    order = np.argsort(start, kind="stable")
    reached: Any = np.maximum.accumulate(end[order])
    last = np.searchsorted(start[order], call_start, side="right") - 1
    inside: NDArray[np.bool_] = (last >= 0) & (reached[last] >= call_end)
    return inside


def calls_within(capture: Capture, ranges: Ranges, calls: Calls, *, whole_process: bool) -> NDArray[np.bool_]:
    """Return for every call whether a range of its thread, or of its process, contains it; open ones never end."""
    import numpy as np

    forever = np.iinfo(np.int64).max
    end = np.where(ranges.end == NO_END, forever, ranges.end)
    process = capture.process_of_thread() if whole_process else np.arange(len(capture.threads))
    of_range, of_call = process[ranges.thread], process[calls.thread]
    found = np.zeros(len(calls.start), dtype=bool)
    for one in np.unique(of_range).tolist():
        inner, outer = of_call == one, of_range == one
        found[inner] = contains(ranges.start[outer], end[outer], calls.start[inner], calls.end[inner])
    return found


__all__ = ("OUTSIDE", "Calls", "Forest", "calls_within", "contains", "forest_of")
