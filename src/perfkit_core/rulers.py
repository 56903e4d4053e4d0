"""How far kernels are from the most that the device could do for them, and which ruler that was told with.

A data sheet's peak holds at the clock that it was made for. A GPU that lowers its clock, because of its power for one,
cannot reach it. Counters tell how many of the cycles that there were the busiest part of the SMs was busy in, so where
that part is arithmetic they are the ruler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from perfkit_core.counter_use import SM_PEAK
from perfkit_core.kernel_kinds import HEAVY
from perfkit_core.kernel_use import KindUse
from perfkit_core.stage_facts import StageFacts, Whole
from perfkit_core.units import format_flops, format_share

REACHABLE: Final = 0.75
"""Part of a peak that a change is assumed to come to."""

ARITHMETIC: Final = 0.6
"""FLOPs that counters saw, as part of the data sheet's peak, by the SMs' share, from which on arithmetic is what keeps
the SMs busy: clocks alone explain no less."""

MORE: Final = 2.0
"""FLOPs executed by those needed, from which on that is said: beneath that counters and formulas agree well enough."""

COMPARED: Final = 0.01
"""Part of the run's time that kernels take at least to be compared with."""


class Ruler(NamedTuple):
    """How much of what the device could do some kernels use.

    Attributes:
        share: Part of the most that is possible, 0 to 1.
        by: The SMs' cycles by counters; the data sheet's arithmetic; bytes by formula; or the nearest counted peak.
        text: That part and what it is of.
    """

    share: float
    by: Literal["cycles", "data sheet", "bytes", "counters"]
    text: str


def ruler_of(use: KindUse) -> Ruler | None:
    """Return how far some kernels are from the most that the device could do; None where nothing tells."""
    share = _cycles(use)
    if share is not None:
        text = f"{format_share(use.counted.compute or 0.0)} of {SM_PEAK} by counters"
        if use.executed is not None and use.executed >= MORE:
            text += f", {format_share(share)} with work that is needed"
        if use.compute_seconds is not None:
            text += f", {of_sheet(use)}"
        return Ruler(share, "cycles", text)
    if use.peak_share is None:
        return None
    if use.is_compute and use.peak_flops_per_s is not None:
        return Ruler(use.peak_share, "data sheet", of_sheet(use))
    part = format_share(use.peak_share)
    if use.is_compute:
        return Ruler(use.peak_share, "counters", f"{part} of {use.counted.arithmetic}")
    by: Literal["bytes", "counters"] = "bytes" if use.memory_seconds is not None else "counters"
    return Ruler(use.peak_share, by, f"{part} of peak memory bandwidth")


def of_sheet(use: KindUse) -> str:
    """Return the useful work of some kernels as a part of the data sheet's peak, in words."""
    part = format_share((use.compute_seconds or 0.0) / use.seconds if use.seconds else 0.0)
    return f"{part} of the {' and '.join(use.dtypes[:2])} peak of {format_flops(use.peak_flops_per_s or 0.0)}/s"


def _cycles(use: KindUse) -> float | None:
    """Return the part of the SMs' cycles that needed arithmetic took; None where counters do not tell that."""
    counted = use.counted
    if not set(use.members) & set(HEAVY) or not use.is_compute or not counted.is_telling:
        return None
    if not counted.compute or counted.peak is None or counted.peak < ARITHMETIC * counted.compute:
        return None
    executed = use.executed or 1.0
    return min(1.0, counted.compute / (executed if executed >= MORE else 1.0))


def best_text(use: KindUse, ruler: Ruler, facts: Sequence[StageFacts], whole: Whole) -> str:
    """Return which other arithmetic of the run comes nearest to the same ruler, if nearer than this; empty without."""
    if ruler.by not in ("cycles", "data sheet"):
        return ""
    known = [one for one in _others(use, facts, whole) if one[2].by == ruler.by and one[2].share > ruler.share]
    if not known:
        return ""
    stage, other, best = max(known, key=lambda one: one[2].share)
    return f"{other.kind} of {stage.path} reach {best.text} in this run"


def _others(use: KindUse, facts: Sequence[StageFacts], whole: Whole) -> Iterator[tuple[StageFacts, KindUse, Ruler]]:
    for stage in facts:
        for one in stage.kinds:
            ruler = ruler_of(one)
            noticed = one.seconds >= COMPARED * whole.seconds and set(one.members) & set(HEAVY)
            if one is not use and noticed and ruler is not None:
                yield stage, one, ruler
