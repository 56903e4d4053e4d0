"""What limits a kernel or a region: a word, and the figures and thresholds that decide it.

Achieved throughput comes first: what reaches neither side's peak waits (for launches, or for latency, with the cause),
and a side that is clearly ahead is what limits. Where both are as busy, the arithmetic intensity against the device's
ridge decides, which is a statement about device memory: it decides only where that is the busiest part of memory.
Intensity that contradicts the throughput is named and overrules nothing, because throughput was measured of the very
unit that is busy, and the ridge is of the peak that the data sheet has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from perfkit_core.schema.counters import Bound, Efficiency, Thresholds
from perfkit_core.units import format_intensity, format_share, format_time
from perfkit_nsight.efficiency import COMPUTE, MEMORY

_ROUNDING: Final = 1e-9
"""Difference that is none: 0.8 - 0.7 is a little more than 0.1."""

_BUSIEST: Final = 0.9
"""Part of memory's share from which on device memory is its busiest part; both are measured in passes of their own."""

MAJORITY: Final = 0.6
"""Part of a region's measured time from which on one verdict of its kernels is said to hold for most of it."""

Side = Literal["above", "near", "below"]


class Verdict(NamedTuple):
    """What limits it, and why.

    Attributes:
        bound: The word.
        reason: A sentence with the figures that decide.
    """

    bound: Bound
    reason: str


def verdict_of(
    found: Efficiency,
    limits: Thresholds,
    *,
    waves: float | None = None,
    time: float | None = None,
) -> Verdict:
    """Decide what limits a kernel, or a region by the figures of its kernels together.

    What the SMs reach is the larger of their busiest part and of the dense peak; without both sides there is no
    verdict, whatever the other figures are.

    Args:
        found: Its figures.
        limits: Thresholds.
        waves: Waves of blocks that a kernel's grid fills the SMs with; None when unknown, and for a region.
        time: Nanoseconds that one run of a kernel takes; None when unknown, and for a region.
    """
    reached = [share for share in (found.compute_share, found.peak_share) if share is not None]
    missing = [name for name, known in ((COMPUTE, reached), (MEMORY, found.memory_share is not None)) if not known]
    if found.memory_share is None or not reached:
        return Verdict("unknown", f"not collected: {', '.join(missing)}")
    compute, memory = max(reached), found.memory_share
    sides = f"compute {format_share(compute)}, memory {format_share(memory)}"
    if not reaches(max(compute, memory), limits.near_peak):
        causes = "".join(f"; {cause}" for cause in _causes(found, limits, waves, time))
        return Verdict("latency", f"{sides}, both below {at(limits.near_peak)}{causes}")
    if reaches(limits.balanced_within, abs(compute - memory)):
        bound, why = _between(found, limits)
        return Verdict(bound, f"{sides}, within {at(limits.balanced_within)} of each other; {why}")
    ahead: Bound = "compute" if compute > memory else "memory"
    evidence = "".join(f"; {one}" for one in _evidence(found, limits, ahead))
    return Verdict(ahead, f"{sides}, from {at(limits.near_peak)} on{evidence}")


def waiting(idle: float | None, limits: Thresholds) -> Verdict | None:
    """Return the verdict of a region that waits for launches; None of one that does not.

    Args:
        idle: Part of its time in which the GPU did nothing; None when unknown.
        limits: Thresholds.
    """
    if idle is None or not reaches(idle, limits.launch_idle):
        return None
    return Verdict(
        "launch",
        f"the GPU did nothing for {format_share(idle)} of its time on the timeline (from {at(limits.launch_idle)} on), "
        "which its profiler stretches: it waits for launches, or for what the host does between them",
    )


def region_verdict(verdict: Verdict, times: Mapping[Bound, float], limits: Thresholds) -> Verdict:
    """Return the verdict of a region of several kernels: means hide that different kernels reach different peaks.

    Args:
        verdict: By the means of its kernels.
        times: Time of its measured kernels by what limits each.
        limits: Thresholds.
    """
    whole = sum(times.values())
    if verdict.bound in ("launch", "unknown") or len(times) < 2 or not whole:
        return verdict
    shares = {bound: time / whole for bound, time in sorted(times.items(), key=lambda one: (-one[1], one[0]))}
    split = "kernels by time: " + ", ".join(f"{format_share(share)} {bound}" for bound, share in shares.items())
    if not reaches(max(shares.values()), MAJORITY):
        split = f"different kernels are limited by different things, none for {at(MAJORITY)} of the time; {split}"
    busy = {bound: share for bound, share in shares.items() if bound in ("compute", "memory", "balanced")}
    if verdict.bound != "latency" or sum(busy.values()) <= 0.5:
        return Verdict(verdict.bound, f"{verdict.reason}; {split}")
    sides = verdict.reason.partition(", both below")[0]
    return Verdict(
        next((bound for bound, share in busy.items() if share > 0.5), "balanced"),
        f"{sides} on average, both below {at(limits.near_peak)}, but most of its time is in kernels that reach one; "
        f"{split}",
    )


def _between(found: Efficiency, limits: Thresholds) -> tuple[Bound, str]:
    """Return what limits where both sides are as busy, and why."""
    side = _side(found, limits)
    if side is None:
        return "balanced", "the intensity or the ridge is not known"
    if not _of_device_memory(found):
        return "balanced", f"{_traffic(found)}; {_roof(found, side)}, which therefore does not decide"
    decided: Bound = {"above": "compute", "near": "balanced", "below": "memory"}[side]  # type: ignore[assignment]
    return decided, f"{_roof(found, side)}, which decides"


def _causes(found: Efficiency, limits: Thresholds, waves: float | None, time: float | None) -> Iterator[str]:
    small = waves is not None and waves < 1
    if small:
        yield f"its grid fills {waves:.2g} of one wave of blocks"
    few = found.occupancy is not None and not reaches(found.occupancy, limits.low_occupancy)
    if few:
        yield f"occupancy {format_share(found.occupancy or 0)} is below {at(limits.low_occupancy)}"
    short = time is not None and time < limits.short_kernel_us * 1e3
    if short:
        bound = f"{limits.short_kernel_us:g} µs"
        yield f"it takes {format_time(time)}, below {bound}: its beginning and end weigh"
    if small or few or short:
        return
    if found.occupancy is None:
        yield "occupancy was not collected"
    else:
        yield f"occupancy {format_share(found.occupancy)} is not low: instructions wait for each other or for data"


def _evidence(found: Efficiency, limits: Thresholds, ahead: Bound) -> Iterator[str]:
    """Yield what else speaks for or against the side that is ahead."""
    side = _side(found, limits)
    if ahead == "compute":
        if side == "below":
            yield (
                f"yet {_roof(found, side)}: what keeps the SMs busy is little of it floating-point arithmetic at that "
                "peak"
            )
        elif side is not None:
            yield _roof(found, side)
        return
    if found.dram_share is not None:
        yield _traffic(found)
    if side is not None:
        yield f"yet {_roof(found, side)}: device memory could feed more" if side == "above" else _roof(found, side)


def _side(found: Efficiency, limits: Thresholds) -> Side | None:
    """Return where the intensity lies by the ridge; None when either is not known."""
    if found.intensity is None or not found.ridge:
        return None
    away = found.intensity / found.ridge - 1
    if reaches(limits.near_ridge, abs(away)):
        return "near"
    return "above" if away > 0 else "below"


def _roof(found: Efficiency, side: Side) -> str:
    ridge = f"the ridge of {format_intensity(found.ridge)} for {found.dtype}"
    return f"intensity {format_intensity(found.intensity)} is {side} {ridge}"


def _of_device_memory(found: Efficiency) -> bool:
    """Tell whether the busiest part of memory is known to be device memory."""
    if found.memory_share is None or found.dram_share is None:
        return False
    return found.dram_share >= _BUSIEST * found.memory_share


def _traffic(found: Efficiency) -> str:
    if found.dram_share is None:
        return "what device memory reaches was not collected"
    if _of_device_memory(found):
        return f"device memory {format_share(found.dram_share)}"
    return f"device memory only {format_share(found.dram_share)}: caches or shared memory are the busiest part"


def reaches(value: float, limit: float) -> bool:
    """Tell whether a share is at least a limit, but for rounding."""
    return value >= limit - _ROUNDING


def at(share: float) -> str:
    """Return a threshold as text."""
    return format_share(share).replace(".0 %", " %")
