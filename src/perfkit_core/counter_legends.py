"""What pages of hardware counters say of their figures."""

from __future__ import annotations

from typing import Final

from perfkit_core.schema.counters import CountersReport
from perfkit_core.units import format_share

REPLAY: Final = {
    "kernel": "each kernel was repeated by itself, as often as the counters needed",
    "application": "the whole program was run as often as the counters needed",
    "range": "each range was captured and repeated as a whole",
    "app-range": "the whole program was run as often as the counters needed, and each range measured as a whole",
    "": "the report does not tell how it was repeated",
}
"""How what was measured was repeated, by the mode of the replay."""

KERNEL_FIGURES: Final = (
    "Time, share and mean are of all calls on the timeline; mean counted is the time of one under the counters. FLOP/s "
    "are of the element type that most of the arithmetic is in, by the time under the counters; of peak is the same by "
    "the device's dense peak for that type."
)
"""What the times and rates of the table of kernels are of."""

AS_RECORDED: Final = (
    "Times, shares and calls are as recorded: a loop that was sampled stands here with the iterations that were "
    "recorded, not with all those of a run, and parts with longer loops are larger in the whole run than here."
)
"""What times and shares by region are of."""

RANGE: Final = (
    "The time of its range is that of one instance under the counters, from its beginning to its end, with what lies "
    "between kernels. FLOPs, bytes and intensity are of one instance; FLOP/s and its part of the peak are by the time "
    "that its kernels take on the timeline."
)
"""What the figures of a range are of that was replayed as a whole."""


def meaning(report: CountersReport) -> str:
    """Return how verdicts are decided, with the report's thresholds."""
    limits = report.thresholds
    near, within = format_share(limits.near_peak), format_share(limits.balanced_within)
    return (
        "Compute is the busiest part of the SMs, memory the busiest part of the memory system, each of its sustained "
        f"peak. From {near} on, the side that is ahead limits. Within {within} of each other, the intensity decides, "
        f"where it is more than {format_share(limits.near_ridge)} from the ridge and device memory is the busiest part "
        f"of memory; else both limit. Where both are below {near}, a kernel waits for latency: a grid below one wave "
        f"of blocks, occupancy below {format_share(limits.low_occupancy)} and a time below "
        f"{limits.short_kernel_us:g} µs are named as causes. A region whose GPU is idle for "
        f"{format_share(limits.launch_idle)} of its time waits for launches, and one whose means are low because "
        "different kernels reach different peaks is named by the time of these. A region of which less than "
        f"{format_share(limits.least_measured)} of the kernel time has counters has no verdict from them. Values of a "
        "region are sums over the runs of its measured kernels, or means weighted by their time under the counters."
    )
