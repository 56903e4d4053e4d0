"""Kernels of a timeline by what they work on: name and geometry alone do not tell.

Kernels of matrix products and attention on recent GPUs run as many blocks as the GPU has room for, whatever the size
of the problem: self-attention and cross-attention of one model are the same kernel with the same grid, and differ in
time by a factor of a hundred. So launches count as the same work only where they come from regions of one family (equal
paths but for indices) and take about the same time there.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from perfkit_core.schema.regions import KernelRow

Place = tuple[str, str]
"""Domain and path of a region; the path is empty outside every region."""

SAME_SHARE, SAME_NS = 0.15, 2000
"""Mean times of one kernel in two regions up to which it does the same work there: relative, and in nanoseconds."""


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
    """

    name: str
    short_name: str
    grid: str
    block: str
    regions: tuple[Place, ...]
    calls: int
    time: int

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
    found = [
        _group(key, [(place, ran[place]) for place in cluster])
        for key, ran in families.items()
        for cluster in _clusters({place: one.time / max(1, one.calls) for place, one in ran.items()})
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


def _group(key: tuple[str, str, str, str, str], ran: Sequence[tuple[Place, _Ran]]) -> Group:
    name, grid, block, _, _ = key
    return Group(
        name=name,
        short_name=ran[0][1].short_name,
        grid=grid,
        block=block,
        regions=tuple(sorted((place for place, _ in ran), key=lambda place: (place[0], natural(place[1])))),
        calls=sum(one.calls for _, one in ran),
        time=sum(one.time for _, one in ran),
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
