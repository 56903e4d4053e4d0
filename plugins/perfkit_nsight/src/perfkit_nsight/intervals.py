"""Unions of time intervals, over columns."""

from __future__ import annotations

from dataclasses import dataclass

from perfkit_nsight.capture import Numbers

_LARGEST = 1 << 62


def unions(group: Numbers, start: Numbers, end: Numbers, groups: int) -> Numbers:
    """Return for every group how many nanoseconds its intervals cover.

    Args:
        group: Group of every interval, 0 and up.
        start: First nanosecond of every interval, ascending.
        end: Nanosecond after the last.
        groups: How many groups there are.
    """
    import numpy as np

    covered = np.zeros(groups, dtype=np.int64)
    if not len(group):
        return covered
    # Sorting 16-bit numbers takes a few passes without comparisons.
    group = group.astype(np.uint16) if groups <= 1 << 16 else group
    order = np.argsort(group, kind="stable").astype(np.int32)
    base = int(start.min())
    width = max(int(end.max()), int(start.max())) - base + 1
    at_once = max(1, _LARGEST // width)
    sorted_group = group[order]
    for low in range(0, groups, at_once):
        part = slice(*np.searchsorted(sorted_group, (low, low + at_once)))
        if part.start == part.stop:
            continue
        own = sorted_group[part].astype(np.int32) - low
        # Each group gets a stretch of time of its own, so that one running maximum serves all of them.
        begins = own.astype(np.int64)
        begins *= width
        ends = begins + end[order[part]]
        begins += start[order[part]]
        begins -= base
        ends -= base
        np.maximum(begins[1:], np.maximum.accumulate(ends)[:-1], out=begins[1:])
        ends -= begins
        np.maximum(ends, 0, out=ends)
        first = np.flatnonzero(np.diff(own, prepend=-1))
        covered[own[first] + low] += np.add.reduceat(ends, first)
    return covered


@dataclass(frozen=True, eq=False)
class Busy:
    """When something ran: intervals that neither overlap nor touch.

    Attributes:
        start: First nanosecond of each, ascending.
        end: Nanosecond after the last of each.
        before: What the intervals before each one cover together; one more value for all of them.
    """

    start: Numbers
    end: Numbers
    before: Numbers

    def until(self, moment: Numbers) -> Numbers:
        """Return how many nanoseconds before each moment something ran."""
        import numpy as np

        place = np.searchsorted(self.start, moment, side="right") - 1
        inside = np.minimum(moment, self.end[place]) - self.start[place]
        return np.where(place >= 0, self.before[place] + inside, 0)


def merged(start: Numbers, end: Numbers) -> Busy:
    """Return the union of intervals; at least one is needed."""
    import numpy as np

    order = np.argsort(start, kind="stable")
    start, reached = start[order], np.maximum.accumulate(np.maximum(end, start)[order])
    first = np.flatnonzero(np.concatenate([[True], start[1:] > reached[:-1]]))
    last = np.concatenate([first[1:] - 1, [len(start) - 1]])
    begins, ends = start[first], reached[last]
    return Busy(begins, ends, np.concatenate([[0], np.cumsum(ends - begins)]))
