"""Kernels of a timeline by what they work on: name and geometry alone do not tell.

Kernels of matrix products and attention on recent GPUs run as many blocks as the GPU has room for, whatever the size
of the problem: self-attention and cross-attention of one model are the same kernel with the same grid, and differ in
time by a factor of a hundred. So launches count as the same work only where they come from regions of one family (equal
paths but for indices) and take about the same time there. Where launches in one region differ in time, as with a first
chunk of a video that is smaller than the others, a measured one stands for nothing but its like, and how many these are
is not known.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from perfkit_core.schema.regions import KernelRow

Place = tuple[str, str]
"""Domain and path of a region; the path is empty outside every region."""

SAME_SHARE, SAME_NS = 0.15, 2000
"""Mean times of one kernel in two regions up to which it does the same work there: relative, and in nanoseconds."""

UNEVEN_FROM_NS: Final = 10_000
"""Median time from which on launches can be told apart by their times: shorter ones vary by themselves."""

UNEVEN_SHORTEST: Final = 1.5
"""How often the shortest launch fits into the median where it did less work: noise makes launches slower, never
faster."""

UNEVEN_MEAN: Final = 1.25
"""How often the median fits into the mean where some launches did more work: noise hits few, and weighs less."""


class Spread(NamedTuple):
    """Times of launches of one kernel in one region, in nanoseconds.

    Attributes:
        shortest: The shortest.
        median: The median.
        mean: The mean.
    """

    shortest: float
    median: float
    mean: float

    @property
    def is_uneven(self) -> bool:
        """Whether some launches clearly did other work than others."""
        if self.median < UNEVEN_FROM_NS:
            return False
        return self.shortest * UNEVEN_SHORTEST < self.median or self.mean > UNEVEN_MEAN * self.median

    def is_like(self, other: Spread) -> bool:
        """Tell whether both can be of the same launches."""
        return all(same_time(ours, theirs) for ours, theirs in zip(self, other, strict=True))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Launches of one kernel with one geometry that do the same work.

    Attributes:
        name: The kernel's whole name, as the timeline has it.
        short_name: Without parameters; empty when unknown.
        grid: Blocks per grid as ``x,y,z``.
        block: Threads per block as ``x,y,z``.
        regions: Where it ran, in natural order.
        calls: How often.
        time: Time of all of them, in nanoseconds.
        spreads: For each of the regions how times of launches there differ, where some clearly did other work than
            others; empty where they are alike, and where the timeline does not tell.
    """

    name: str
    short_name: str
    grid: str
    block: str
    regions: tuple[Place, ...]
    calls: int
    time: int
    spreads: tuple[Spread, ...] = ()

    @property
    def spread(self) -> Spread | None:
        """How times differ in the region where they differ most; None where they are alike or not known."""
        return min(self.spreads, key=lambda one: (one.shortest / one.median, one), default=None)

    @property
    def mean(self) -> float:
        """Mean time of one, in nanoseconds."""
        return self.time / max(1, self.calls)

    @property
    def where(self) -> str:
        """The family of its regions, with ``*`` for indices; empty outside every region."""
        return family(self.regions[0][1])


@dataclass
class _Ran:
    """One kernel in one region."""

    calls: int = 0
    time: int = 0
    short_name: str = ""
    spread: Spread | None = None


def groups_of(kernels: Iterable[KernelRow]) -> tuple[Group, ...]:
    """Return the groups of a timeline's kernels, over all devices, largest time first."""
    families: dict[tuple[str, str, str, str, str], dict[Place, _Ran]] = defaultdict(dict)
    for row in kernels:
        if row.kind != "kernel":
            continue
        place = (row.domain if row.region else "", row.region)
        ran = families[row.name, row.grid, row.block, place[0], family(row.region)].setdefault(place, _Ran())
        ran.calls += row.calls
        ran.time += row.total_ns
        ran.short_name = row.short_name
        ran.spread = _more_uneven(ran.spread, _spread(row))
    found = [
        _group(key, [(place, ran[place]) for place in cluster])
        for key, ran in families.items()
        for uneven in (False, True)
        for cluster in _clusters(
            {place: one.time / max(1, one.calls) for place, one in ran.items() if bool(one.spread) is uneven}
        )
    ]
    return tuple(sorted(found, key=lambda one: (-one.time, one.name, one.grid, one.block, one.regions)))


def family(path: str) -> str:
    """Return a path with ``*`` for its indices: ``layers.3/mlp`` is of the family ``layers.*/mlp``."""
    return re.sub(r"(?<=[._\[])\d+(?=$|[./\]])", "*", path)


def same_time(first: float, second: float) -> bool:
    """Tell whether two mean times, in nanoseconds, can be of the same work."""
    return abs(first - second) <= max(SAME_NS, SAME_SHARE * max(first, second))


def natural(path: str) -> list[tuple[int, str]]:
    """Return a key that sorts paths by the numbers in them."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"([0-9]{1,18})", path)]


def _spread(row: KernelRow) -> Spread | None:
    """Return how the launches of a row differ; None where they are alike, or the timeline does not tell."""
    if row.shortest_ns is None or row.median_ns is None or row.calls < 2:
        return None
    found = Spread(row.shortest_ns, row.median_ns, row.total_ns / row.calls)
    return found if found.is_uneven else None


def _more_uneven(first: Spread | None, second: Spread | None) -> Spread | None:
    """Return the one that differs more, by its shortest launch."""
    known = [one for one in (first, second) if one is not None]
    return min(known, key=lambda one: (one.shortest / one.median, one), default=None)


def _group(key: tuple[str, str, str, str, str], ran: Sequence[tuple[Place, _Ran]]) -> Group:
    name, grid, block, _, _ = key
    ran = sorted(ran, key=lambda one: (one[0][0], natural(one[0][1])))
    return Group(
        name=name,
        short_name=ran[0][1].short_name,
        grid=grid,
        block=block,
        regions=tuple(place for place, _ in ran),
        calls=sum(one.calls for _, one in ran),
        time=sum(one.time for _, one in ran),
        spreads=tuple(one.spread for _, one in ran if one.spread is not None),
    )


def _clusters(means: Mapping[Place, float]) -> Iterator[list[Place]]:
    """Yield the regions whose times are alike, the quickest first."""
    cluster: list[Place] = []
    for place in sorted(means, key=lambda one: (means[one], one)):
        if cluster and not same_time(means[cluster[0]], means[place]):
            yield cluster
            cluster = []
        cluster.append(place)
    if cluster:
        yield cluster
