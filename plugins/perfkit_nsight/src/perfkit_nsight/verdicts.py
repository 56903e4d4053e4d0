"""What limits a kernel or a region: a word, and the figures and thresholds that decide it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from perfkit_core.schema.counters import Bound, Efficiency, Thresholds
from perfkit_core.units import format_intensity, format_share
from perfkit_nsight.efficiency import COMPUTE, MEMORY


class Verdict(NamedTuple):
    """What limits it, and why.

    Attributes:
        bound: The word.
        reason: A sentence with the figures that decide.
    """

    bound: Bound
    reason: str


def verdict_of(
    found: Efficiency, limits: Thresholds, *, waves: float | None = None, idle: float | None = None
) -> Verdict:
    """Decide what limits a kernel, or the kernels of a region together.

    What the SMs reach is the larger of their busiest part and of the dense peak; without both sides there is no
    verdict, whatever the other figures are.

    Args:
        found: Its figures.
        limits: Thresholds.
        waves: Waves of blocks that a kernel's grid fills the SMs with; None when unknown, and for a region.
        idle: Part of a region's time in which the GPU did nothing; None when unknown, and for a kernel.
    """
    if idle is not None and idle >= limits.launch_idle:
        return Verdict(
            "launch", f"the GPU did nothing for {format_share(idle)} of its time (from {_at(limits.launch_idle)} on)"
        )
    reached = [share for share in (found.compute_share, found.peak_share) if share is not None]
    missing = [name for name, known in ((COMPUTE, reached), (MEMORY, found.memory_share is not None)) if not known]
    if found.memory_share is None or not reached:
        return Verdict("unknown", f"not collected: {', '.join(missing)}")
    compute, memory = max(reached), found.memory_share
    sides = f"compute {format_share(compute)}, memory {format_share(memory)}"
    if max(compute, memory) < limits.near_peak:
        return Verdict("latency", f"{sides}, both below {_at(limits.near_peak)}{_waiting(found, limits, waves)}")
    both = min(compute, memory) >= limits.near_peak
    if both and abs(compute - memory) <= limits.balanced_within:
        return Verdict(
            "balanced",
            f"{sides}, both from {_at(limits.near_peak)} on and within {_at(limits.balanced_within)} of each other",
        )
    if compute >= memory:
        return Verdict("compute", f"{sides}, from {_at(limits.near_peak)} on{_arithmetic(found)}")
    return Verdict("memory", f"{sides}, from {_at(limits.near_peak)} on{_traffic(found)}")


def _waiting(found: Efficiency, limits: Thresholds, waves: float | None) -> str:
    return "".join(f"; {cause}" for cause in _causes(found, limits, waves))


def _causes(found: Efficiency, limits: Thresholds, waves: float | None) -> Iterator[str]:
    if waves is not None and waves < 1:
        yield f"its grid fills {waves:.2g} of one wave of blocks"
    if found.occupancy is not None and found.occupancy < limits.low_occupancy:
        yield f"occupancy {format_share(found.occupancy)} is below {_at(limits.low_occupancy)}"
    elif found.occupancy is not None:
        yield f"occupancy {format_share(found.occupancy)}"


def _arithmetic(found: Efficiency) -> str:
    if found.intensity is None or found.ridge is None:
        return ""
    sides = f"{format_intensity(found.intensity)} against a ridge of {format_intensity(found.ridge)} for {found.dtype}"
    if found.intensity >= found.ridge:
        return f"; {sides}"
    return f"; yet {sides}: what keeps the SMs busy is little of it floating-point arithmetic at that peak"


def _traffic(found: Efficiency) -> str:
    if found.memory_share is None or found.dram_share is None:
        return ""
    if found.dram_share >= 0.9 * found.memory_share:
        return f"; device memory {format_share(found.dram_share)}"
    return f"; device memory only {format_share(found.dram_share)}: caches or shared memory are the busiest part"


def _at(share: float) -> str:
    return format_share(share).replace(".0 %", " %")
