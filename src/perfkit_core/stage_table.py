"""Measured stages against what they must cost at least: the time at the device's peaks, and who waits for whom.

Times come from the unprofiled runs alone. A profile adds in which part of that time the GPU worked: kernels take
about as long with a profiler as without one, the host between them does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from perfkit_core.schema.analytic import AnalyticReport, StageRecord
from perfkit_core.schema.metrics import Metrics, StageTime, Utilisation
from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_core.schema.session import MemorySample
from perfkit_core.units import format_ms, format_share

LAUNCH_BOUND = 0.7
"""Part of a stage's time in which a kernel runs, below which the stage waits for the host."""

LAUNCH_COST = 50e-6
"""Seconds that a launch takes the host at most, under a profiler too: what is idle beyond that has another cause."""

FEW_KERNELS = 2
"""Kernels of one instance up to which nothing is said of launches: what is idle then is around them, not between."""

NEAR_PEAK = 0.6
"""Part of a peak, of arithmetic or bandwidth, from which on that peak is what limits a stage."""


class MeasuredRow(NamedTuple):
    """One measured stage or part, without any profiler.

    Attributes:
        time: Statistics in milliseconds, with ``path``, ``per`` and ``nested_in``.
        share: Part of the time of the runs it was measured in, 0 to 1; parts nested in a stage are never added to it.
        flops: Analytic FLOPs of the whole run spent there; None where the analytic view has no such region.
        use: Utilisation with ``mfu``, ``bandwidth_share`` and ``floor_seconds``; None where no peak is known.
        busy: Part of its time in which a kernel runs, kernels as profiled; None without a profile of a GPU.
        kernels: Kernels of one instance, as profiled; None without a profile of a GPU.
        memory: Device memory while the stage ran; None on the CPU and for nested parts.
    """

    time: StageTime
    share: float
    flops: int | None
    use: Utilisation | None
    busy: float | None
    kernels: float | None
    memory: MemorySample | None

    @property
    def instance_ms(self) -> float:
        """Milliseconds of one instance: an iteration of a loop, or the whole where there is one."""
        return run_ms(self.time) / max(1, self.time.instances)

    @property
    def floor_ms(self) -> float | None:
        """Milliseconds that one instance takes at the device's peaks; None where no peak is known."""
        return 1000 * self.use.floor_seconds / max(1, self.time.instances) if self.use else None

    @property
    def distance(self) -> float | None:
        """Measured time over the time at the device's peaks; None where no peak is known."""
        return 1 / max(self.use.mfu, self.use.bandwidth_share) if self.use else None

    @property
    def is_detailed(self) -> bool:
        """Whether its times are of runs with a region for every module, which these regions make longer."""
        return self.time.runs == "detailed"

    @property
    def first_text(self) -> str:
        """What the first run or iteration took as executed; ``-`` where that is unknown.

        Runs that sample loops are not scaled here, as the first iterations are slow. Older records have them scaled.
        """
        if self.time.first_ms is None:
            return "-"
        text = format_ms(self.time.first_ms)
        if self.time.per == "iteration" or not self.time.scaled_from:
            return text
        executed = self.time.first_iterations
        return f"{text} for {executed} of {self.time.scaled_to}" if executed else "-"

    @property
    def verdict(self) -> str:
        """What limits it: launches or other work of the host, arithmetic, bandwidth, or kernels that reach no peak.

        One kernel or two cannot wait for launches of their own: of those it says what they reach while they run.
        """
        if self.busy and self.kernels and self.kernels <= FEW_KERNELS:
            return self._verdict_of_kernels(self.busy)
        if self.busy is not None and self.busy < LAUNCH_BOUND:
            idle = (1 - self.busy) * self.instance_ms / 1000
            cause = "host-bound" if self.kernels and idle / self.kernels > LAUNCH_COST else "launch-bound"
            most = "up to " if self.is_detailed else ""
            return f"{cause}: no kernel runs in {most}{format_share(1 - self.busy)} of the time"
        if self.use is None:
            return "unknown: no peak of this device is known"
        side, part = self._nearest_peak(self.use)
        if part >= NEAR_PEAK:
            return f"{side}-bound: {format_share(part)} of peak"
        if self.busy is None:
            return f"{format_share(part)} of the {side} peak; --backend torch shows whether the GPU waits"
        return f"kernels reach {format_share(part)} of the {side} peak"

    def _verdict_of_kernels(self, busy: float) -> str:
        if self.use is None:
            return "unknown: no peak of this device is known"
        side, part = self._nearest_peak(self.use)
        part = min(1.0, part / busy)
        if part >= NEAR_PEAK:
            return f"{side}-bound: {format_share(part)} of peak while a kernel runs"
        return f"kernels reach {format_share(part)} of the {side} peak while they run"

    @staticmethod
    def _nearest_peak(use: Utilisation) -> tuple[str, float]:
        if use.mfu >= use.bandwidth_share:
            return "compute", use.mfu
        return "memory", use.bandwidth_share


class MemoryRow(NamedTuple):
    """Estimated and measured device memory of one stage, in bytes.

    Attributes:
        stage: The stage as ``analytic/report.json`` has it.
        above: Estimated peak without the resident weights.
        peak: The most that torch's allocator had given out during the stage; None without a measurement.
        measured_above: That without the weights: what was given out once the model was loaded (in older runs, before
            the first stage began), or the estimated weights where stages bring their own.
    """

    stage: StageRecord
    above: int
    peak: int | None
    measured_above: int | None

    @property
    def peak_error(self) -> float | None:
        """How far the estimated peak is from the measured one, relative to that."""
        return _error(self.stage.peak_memory_bytes, self.peak)

    @property
    def above_error(self) -> float | None:
        """The same of the part above the weights."""
        return _error(self.above, self.measured_above)


def memory_rows(metrics: Metrics | None, analytic: AnalyticReport) -> tuple[MemoryRow, ...]:
    """Return a row per stage, in the order in which they run."""
    seen = metrics.memory if metrics else {}
    shared = len({stage.resident_weight_bytes for stage in analytic.stages}) == 1
    loaded = metrics.loaded_bytes if metrics else None
    before = min((sample.start_bytes for sample in seen.values()), default=0) if loaded is None else loaded
    rows = []
    for stage in analytic.stages:
        sample = seen.get(stage.path)
        peak = sample.allocated_bytes if sample else None
        weights = before if shared else stage.resident_weight_bytes
        rows.append(
            MemoryRow(
                stage=stage,
                above=stage.peak_memory_bytes - stage.resident_weight_bytes,
                peak=peak,
                measured_above=None if peak is None else peak - weights,
            )
        )
    return tuple(rows)


def _error(estimate: int, measured: int | None) -> float | None:
    return (estimate - measured) / measured if measured and measured > 0 else None


def measured_rows(
    metrics: Metrics | None, profile: RegionsReport | None, analytic: AnalyticReport | None
) -> tuple[MeasuredRow, ...]:
    """Return a row per stage and named part, in the order in which they run; none when nothing was measured."""
    if metrics is None:
        return ()
    flops = {module.path: module.flops for module in analytic.modules} if analytic else {}
    flops |= {stage.path: stage.flops for stage in analytic.stages} if analytic else {}
    use = {one.path: one for one in metrics.mfu}
    whole = run_ms(metrics.aggregates.run_ms)
    wholes = {"plain": whole, "detailed": metrics.detailed_run_ms or whole}
    kernels = _Kernels(metrics, profile)
    rows = []
    for time in metrics.aggregates.stage_ms.values():
        busy, number = kernels.of(time)
        rows.append(
            MeasuredRow(
                time=time,
                share=run_ms(time) / wholes[time.runs] if whole else 0.0,
                flops=flops.get(time.path),
                use=use.get(time.path),
                busy=busy,
                kernels=number,
                memory=metrics.memory.get(time.path),
            )
        )
    return tuple(rows)


def run_ms(time: StageTime) -> float:
    """Return the mean milliseconds that a whole run spends in a region."""
    return time.mean * (time.instances if time.per == "iteration" else 1)


class _Kernels:
    """What the profile saw of each region, scaled to a whole run: the profiled one leaves iterations out."""

    def __init__(self, metrics: Metrics, profile: RegionsReport | None) -> None:
        seen = profile is not None and profile.totals.kernels > 0
        rows = profile.regions if profile is not None and seen else ()
        self._rows: Mapping[str, RegionRow] = {
            row.path: row for row in rows if row.device is None and row.process is None and row.busy_ns is not None
        }
        self._loops = {time.path: time.instances for time in metrics.aggregates.step_ms.values()}

    def of(self, time: StageTime) -> tuple[float | None, float | None]:
        """Return the busy part of a region's time, and the kernels of one instance."""
        row, spent = self._rows.get(time.path), run_ms(time) * 1_000_000
        if row is None or not row.instances or not spent:
            return None, None
        busy, kernels = self._scaled(row)
        return min(1.0, busy / spent), kernels / max(1, time.instances)

    def _scaled(self, row: RegionRow) -> tuple[float, float]:
        """Return busy nanoseconds and kernels of a whole run."""
        busy, kernels = float(row.busy_ns or 0), float(row.inclusive_kernels)
        for path, total in self._loops.items():
            loop = self._rows.get(path)
            if loop is None or not loop.instances:
                continue
            if row.path == path or row.path.startswith(f"{path}/"):
                return busy * total / loop.instances, kernels * total / loop.instances
            if path.startswith(f"{row.path}/"):
                left_out = total / loop.instances - 1
                busy, kernels = busy + left_out * (loop.busy_ns or 0), kernels + left_out * loop.inclusive_kernels
        return busy, kernels
