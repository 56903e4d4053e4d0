"""What a report of counters says of what was left out: why kernels have no counters, and how much that is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from perfkit_core.units import format_share, format_time
from perfkit_nsight.counter_join import Joined, Timeline, upwards
from perfkit_nsight.results import Counters
from perfkit_nsight.work_groups import Place, Spread

UNMEASURED: Final = "it was not measured"
OTHER_WORK: Final = (
    "its time under the counters is another than on the timeline: what was measured may be of other work"
)
IN_RANGE: Final = "it ran inside a range measured as a whole"

_SHOWN: Final = 5
"""Names that a note gives."""


def around(place: Place, ranges: Collection[Place]) -> str:
    """Return the path of the nearest range around a region that was measured as a whole; empty when there is none."""
    domain, path = place
    return next((one for one in upwards(path.rpartition("/")[0]) if (domain, one) in ranges), "")


def inside_ranges(timeline: Timeline, ranges: Collection[Place]) -> frozenset[int]:
    """Return the kernels that ran nowhere but inside ranges that were measured as a whole."""
    return frozenset(
        index
        for index, group in enumerate(timeline.kernels)
        if all(place in ranges or around(place, ranges) for place in group.regions)
    )


def reasons_of(timeline: Timeline, joined: Joined, ranges: Collection[Place]) -> dict[int, str]:
    """Return why kernels have no counters, by their place; kernels that were simply not measured are left out."""
    found = dict.fromkeys(inside_ranges(timeline, ranges), IN_RANGE)
    found |= dict.fromkeys(joined.differing, OTHER_WORK)
    return found | {index: _differ(timeline.kernels[index].spread) for index in joined.uneven}


def notes_of(
    found: Counters, timeline: Timeline, joined: Joined, ranges: Collection[Place], *, any_region: bool
) -> Iterator[str]:
    """Yield what the reader must know of the whole report.

    Args:
        found: What was measured.
        timeline: All kernels.
        joined: Which were measured.
        ranges: Regions whose range was measured as a whole.
        any_region: Whether there are regions.
    """
    if not any_region:
        yield "No kernel has a range around it: there are no regions, and every kernel is listed as outside"
    yield from _kernels(timeline, joined, ranges)
    if joined.unmatched:
        names = list(dict.fromkeys(found.results[number].name for number in joined.unmatched))
        shown = ", ".join(f"{name:.100}" for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        yield (
            f"Measured launches of no kernel that the timeline has with that geometry, left out: "
            f"{len(joined.unmatched)}, of {shown}"
        )
    if joined.untold:
        yield joined.untold
    if any(not key.grid for key in timeline.kernels):
        yield "The timeline does not tell the geometry of all its kernels: those without one are not matched"
    whole = sum(not one.is_kernel for one in found.results)
    if whole:
        yield f"Ranges or graphs measured as a whole: {whole}; their times are no kernel times"
    if whole and not ranges:
        yield "No range around them was recorded, so no region has their values"


def _kernels(timeline: Timeline, joined: Joined, ranges: Collection[Place]) -> Iterator[str]:
    """Yield which kernels have no counters, or those of others, and why."""
    everything = len(timeline.kernels)
    bare = {index for index, launches in enumerate(joined.launches) if not launches}
    differing, uneven = set(joined.differing), set(joined.uneven)
    bare -= differing | uneven
    inside = bare & inside_ranges(timeline, ranges)
    left = bare - inside
    if inside:
        yield (
            f"{_of(len(inside), everything, 'ran')} inside ranges measured as a whole{_share(inside, timeline)}: they "
            "have no counters of their own"
        )
    if left:
        yield f"{_of(len(left), everything)} not measured{_share(left, timeline)}"
    if joined.borrowed:
        yield (
            f"{_of(len(joined.borrowed), everything)} measured in other regions only, where the same kernel with the "
            "same geometry took the same time"
        )
    if differing:
        yield (
            f"{_of(len(differing), everything)} measured with another time than on the timeline"
            f"{_share(differing, timeline)}: that may be of other work, and these counters are left out"
        )
    if uneven:
        yield (
            f"{_of(len(uneven), everything)} measured on some of their launches, which differ in time"
            f"{_share(uneven, timeline)}: how many are like those is not known, and their counters are left out"
        )


def _differ(spread: Spread | None) -> str:
    if spread is None:
        return UNMEASURED
    return (
        f"its launches differ in time: shortest {format_time(spread.shortest)}, median {format_time(spread.median)}, "
        f"mean {format_time(spread.mean)}; counters of one stand for no other"
    )


def _of(some: int, every: int, verb: str = "") -> str:
    return f"{some} of {every} kernel{'s' * (every != 1)} {verb or ('was' if some == 1 else 'were')}"


def _share(kernels: Collection[int], timeline: Timeline) -> str:
    total = sum(tally.time for tally in timeline.whole)
    time = sum(timeline.whole[kernel].time for kernel in kernels)
    return f", {format_share(time / total)} of the kernel time" if total else ""
