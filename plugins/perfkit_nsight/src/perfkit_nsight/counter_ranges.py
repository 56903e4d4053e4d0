"""Figures and verdict of a range that was replayed as a whole: counts by the time of its kernels on the timeline.

What such a replay gives as a part of a peak is of the time from the range's beginning to its end. Where kernels ran in
a small part of it, that says nothing of them; counts of FLOPs and bytes do, by the time that the timeline has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from perfkit_core.schema.counters import Efficiency, Thresholds
from perfkit_core.units import format_share, format_time
from perfkit_nsight.efficiency import Amounts, Shares, efficiency_of
from perfkit_nsight.verdicts import Verdict, verdict_of

if TYPE_CHECKING:
    from perfkit_core.schema.regions import RegionRow
    from perfkit_core.specs import DeviceSpec

STRETCHED: Final = 1.3
"""How often its kernels' time fits into a range's from which on percentages of the range tell nothing of kernels: of
what reaches a peak while it runs, the largest part that is then seen is 77 %."""


def range_figures(
    amounts: Amounts,
    shares: Shares,
    row: RegionRow | None,
    waits: Verdict | None,
    device: DeviceSpec | None,
    limits: Thresholds,
) -> tuple[Efficiency, Verdict]:
    """Return figures and verdict of a region whose range was replayed as a whole, of one instance of it.

    Args:
        amounts: What was counted of it, with its own time.
        shares: Parts of peaks, of its own time.
        row: The timeline's row of it; None when there is none.
        waits: The verdict that it waits for launches; None when it does not.
        device: The GPU with its peaks; None when unknown.
        limits: Thresholds.
    """
    kernels = row.inclusive_ns / row.instances if row is not None and row.instances else None
    if not kernels:
        efficiency = efficiency_of(amounts, shares, device)
        verdict = verdict_of(efficiency, limits)
        told = f"{verdict.reason}; of the range replayed as a whole, {format_time(amounts.time)}"
        return efficiency, waits or Verdict(verdict.bound, told)
    ran = f"kernels ran for {format_time(kernels)} of the {format_time(amounts.time)} range"
    by_kernels = replace(amounts, time=kernels)
    if amounts.time is not None and amounts.time <= STRETCHED * kernels:
        efficiency = efficiency_of(by_kernels, shares, device)
        verdict = verdict_of(efficiency, limits)
        return efficiency, waits or Verdict(verdict.bound, f"{verdict.reason}; of the range as a whole: {ran}")
    efficiency = efficiency_of(by_kernels, _by_kernel_time(by_kernels, device), device)
    return efficiency, waits or _achieved(efficiency, ran, limits)


def _by_kernel_time(amounts: Amounts, device: DeviceSpec | None) -> Shares:
    """Return the part of the device's bandwidth that bytes reach by kernel time; nothing else can be told."""
    known = device is not None and amounts.dram is not None and amounts.time
    dram = amounts.dram / (amounts.time / 1e9) / device.memory_bandwidth if known else None  # type: ignore[operator,union-attr]
    return Shares(compute=None, memory=None, dram=dram, occupancy=None)


def _achieved(found: Efficiency, ran: str, limits: Thresholds) -> Verdict:
    """Decide by FLOPs and bytes; below both peaks other parts of the chip may be at theirs, and nothing is decided."""
    percent = f"{ran}; its percentages are of the whole range"
    if found.peak_share is None or found.dram_share is None:
        return Verdict("unknown", percent)
    reached = found.model_copy(update={"memory_share": found.dram_share})
    verdict = verdict_of(reached, limits)
    if verdict.bound == "latency":
        sides = f"FLOPs reach {format_share(found.peak_share)} of their peak and bytes {format_share(found.dram_share)}"
        return Verdict("unknown", f"{percent}, and by kernel time {sides}, which tells no limit")
    return Verdict(verdict.bound, f"{verdict.reason}; FLOPs and bytes by kernel time: {percent}")
