"""What to take away from a run: which stage takes the time, what limits it, with the figures that show it.

Every sentence is put together from figures of the run; which of them are worth saying is decided by the thresholds
here. Names of regions stand in the text as they are: templates make them safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from perfkit_core.kernel_kinds import HEAVY
from perfkit_core.kernel_use import Counted, KindUse, Peaks
from perfkit_core.schema.counters import CountersReport
from perfkit_core.schema.metrics import Metrics
from perfkit_core.stage_facts import StageFacts
from perfkit_core.stage_table import LAUNCH_BOUND, NEAR_PEAK
from perfkit_core.units import format_bytes, format_flops, format_intensity, format_ms, format_share, format_time

NOTICED: Final = 0.02
"""Part of a stage's time from which on a kind of kernels, or what a profiler adds, is named."""

MANY_KINDS: Final = 4
"""Kinds of kernels that a sentence names at most."""

WIDE_INTERVAL: Final = 0.05
"""Half of the 95 % interval over the mean, from which on a time is called uncertain."""

FEW_RUNS: Final = 3
"""Runs below which there is no interval worth having."""

DISAGREE: Final = 1.05
"""Kernel time of a profile over the unprofiled time, from which on the two are said to disagree."""

SM_PEAK: Final = "the SMs' peak"
"""What counters hold the busiest part of the SMs against."""

Limit = Literal["launches", "compute", "memory", "kernels", "unknown"]
"""What limits a stage: launches it waits for, a peak it is near to, or kernels that are near to none."""


class Takeaway(NamedTuple):
    """What to take away of one stage.

    Attributes:
        path: Region path of the stage.
        limit: What limits it.
        headline: That, in half a sentence with its figure.
        evidence: The figures, a sentence each.
    """

    path: str
    limit: Limit
    headline: str
    evidence: tuple[str, ...]


def limit_of(stage: StageFacts) -> Limit:
    """Return what limits a stage."""
    if stage.busy is not None and stage.busy < LAUNCH_BOUND:
        return "launches"
    if stage.use is not None and max(stage.use.mfu, stage.use.bandwidth_share) >= NEAR_PEAK:
        return "compute" if stage.use.mfu >= stage.use.bandwidth_share else "memory"
    return "kernels" if stage.busy is not None else "unknown"


def takeaway(stage: StageFacts, peaks: Peaks, counters: CountersReport | None) -> Takeaway:
    """Return what to take away of a stage."""
    evidence = [*_time(stage), *_waiting(stage), *_kinds(stage), *_floor(stage, peaks)]
    evidence += [*_counted(stage, counters), *_doubts(stage)]
    return Takeaway(stage.path, limit_of(stage), headline(stage), tuple(evidence))


def headline(stage: StageFacts) -> str:
    """Return what limits a stage in half a sentence, with the figure that says so."""
    limit = limit_of(stage)
    if limit == "launches" and stage.busy is not None:
        each = f", {_number(stage.kernels)} kernels a {stage.each}" if stage.kernels is not None else ""
        return f"waits for launches: a kernel runs in {format_share(stage.busy)} of its time{each}"
    heavy = [use for use in stage.kinds if set(use.members) & set(HEAVY) and use.share >= NOTICED]
    known = [f"{use.kind} {_nearness(use)} ({_of_peak(use)})" for use in heavy if use.peak_share is not None][:2]
    if known:
        return f"keeps the GPU busy in {format_share(_capped(stage.busy))} of its time, with {' and '.join(known)}"
    if stage.use is not None:
        side, part = (
            ("compute", stage.use.mfu)
            if stage.use.mfu >= stage.use.bandwidth_share
            else ("memory", stage.use.bandwidth_share)
        )
        return f"reaches {format_share(part)} of the {side} peak"
    if stage.busy is not None:
        kinds = ", ".join(f"{use.kind} {format_share(use.share)}" for use in stage.kinds[:2])
        return f"keeps the GPU busy in {format_share(_capped(stage.busy))} of its time" + (
            f": {kinds}" if kinds else ""
        )
    if stage.counters is not None and stage.counters.measured_share:
        reason = f" ({stage.counters.reason})" if stage.counters.reason else ""
        measured = format_share(stage.counters.measured_share)
        return f"has kernels of which counters of {measured} of their time say {stage.counters.bound}{reason}"
    return _uncounted(stage)


def point(facts: Sequence[StageFacts], run_seconds: float) -> str:
    """Return the one sentence to repeat: which stage takes the most time and what limits it; empty without stages."""
    if not facts:
        return ""
    if run_seconds:
        largest = max(facts, key=lambda one: one.seconds)
        clock = {"timeline": " on the profiler's timeline", "kernels": " of kernel time"}.get(largest.clock, "")
        whole = f"{format_share(largest.share)} of the run's {format_ms(1e3 * run_seconds)}{clock}"
        return f"{largest.path} takes {whole} and {headline(largest)}."
    total = sum(one.flops or 0 for one in facts)
    largest = max(facts, key=lambda one: one.flops or 0)
    return (
        f"By count {largest.path} needs {format_share((largest.flops or 0) / total if total else 0.0)} of the run's "
        f"{format_flops(total)}; nothing was timed in this run."
    )


def _time(stage: StageFacts) -> Iterator[str]:
    if not stage.seconds:
        return
    loop = ""
    if stage.instances > 1:
        loop = f", {stage.instances} x {format_ms(1e3 * stage.seconds / stage.instances)} a {stage.each}"
    if stage.largest_part is not None:
        loop += f"; {format_share(stage.largest_part[1])} of it in {stage.largest_part[0]}"
    yield f"{format_ms(1e3 * stage.seconds)}, {format_share(stage.share)} of the run{loop}"


def _waiting(stage: StageFacts) -> Iterator[str]:
    if stage.busy is None or stage.idle_seconds is None:
        return
    text = f"no kernel runs in {format_time(1e9 * stage.idle_seconds)} of it"
    if stage.kernels:
        each = 1e3 * stage.seconds / max(1, stage.instances) / stage.kernels
        text += f"; {_number(stage.kernels)} kernels a {stage.each}, one every {format_time(1e6 * each)}"
        text += f", each running {format_time(1e6 * each * _capped(stage.busy))} on average"
    if stage.launches is not None:
        text += f"; {_number(stage.launches)} launches"
    yield text


def _kinds(stage: StageFacts) -> Iterator[str]:
    for use in [one for one in stage.kinds if one.share >= NOTICED][:MANY_KINDS]:
        text = f"{use.kind}: {format_share(use.share)} of the time"
        if use.flops:
            text += f", {format_flops(use.flops_per_s)}/s"
        if use.peak_share is not None and use.floor_seconds:
            by_formula = use.compute_seconds is not None or use.memory_seconds is not None
            text += f", {_nearness(use)}: {_of_peak(use)}" if by_formula else f", {_nearness(use)}"
        if any(part is not None for part in use.counted):
            text += f"; hardware counters: {counted_text(use.counted)}"
        yield text
    if stage.operators:
        yield ", ".join(f"{name} takes {format_share(part)} of its processor time" for name, part in stage.operators)


def counted_text(counted: Counted) -> str:
    """Return what hardware counters say of kernels, as far as they were read."""
    parts = (
        (counted.peak, "of peak arithmetic"),
        (counted.compute, f"of {SM_PEAK}"),
        (counted.dram, "of peak memory bandwidth"),
    )
    return ", ".join(f"{format_share(part)} {what}" for part, what in parts if part is not None)


def _floor(stage: StageFacts, peaks: Peaks) -> Iterator[str]:
    use, rate = stage.use, peaks.bandwidth
    if use is None or rate is None or not use.floor_seconds or not stage.seconds:
        return
    text = f"at the device's peaks it would take {format_ms(1e3 * use.floor_seconds)}, "
    text += f"{stage.seconds / use.floor_seconds:.3g} times less"
    ideal = use.mfu * use.seconds
    if ideal and stage.intensity is not None:
        ridge = use.flops / ideal / rate
        side = "arithmetic" if stage.intensity >= ridge else "memory"
        text += f": {side} limits it there, with {format_intensity(stage.intensity)}"
        text += f" against a ridge of {format_intensity(ridge)}"
    yield text


def _counted(stage: StageFacts, counters: CountersReport | None) -> Iterator[str]:
    if counters is None or stage.counters is None or not stage.counters.measured_share:
        return
    found = stage.counters
    text = f"hardware counters of {format_share(found.measured_share)} of its kernel time: {found.bound}"
    yield f"{text} ({found.reason})" if found.reason else text


def _doubts(stage: StageFacts) -> Iterator[str]:
    """Yield why the figures of a stage are to be taken with care."""
    time = stage.time
    if time is not None:
        if time.n < FEW_RUNS and time.per == "run":
            yield f"care: of {time.n} run{'s' if time.n > 1 else ''}, which tells nothing of how much it varies"
        elif time.ci_low is not None and time.ci_high is not None and time.mean:
            half = (time.ci_high - time.ci_low) / 2 / time.mean
            if half >= WIDE_INTERVAL:
                yield f"care: the 95 % interval of its mean is ±{format_share(half)}, of {time.n} runs"
    if stage.busy is not None and stage.busy > DISAGREE:
        part = format_share(stage.busy)
        yield f"care: its kernels took {part} of the unprofiled time when profiled: clocks or overlap differ"
    if stage.clock == "timeline" and stage.idle_seconds is not None and stage.idle_seconds >= NOTICED * stage.seconds:
        idle = format_ms(1e3 * stage.idle_seconds)
        yield f"care: the profiler slows launches down, so {idle} idle are more than without it"
    if stage.hidden:
        yield f"not visible inside: {stage.hidden}"


def open_question(stage: StageFacts) -> str:
    """Return which kernels of a stage cannot be held against a peak; empty when all can, or when there are none."""
    unknown = [use for use in stage.kinds if use.flops and use.peak_share is None and use.share >= NOTICED]
    kinds = [
        f"{use.kind} ({format_share(use.share)} of its time, {format_flops(use.flops_per_s)}/s)" for use in unknown
    ]
    return f"how near {' and '.join(kinds)} of {stage.path} come to the device's peaks" if kinds else ""


def doubts(metrics: Metrics | None) -> Iterator[str]:
    """Yield what makes the times of a whole run doubtful, with its figure."""
    if metrics is None:
        return
    run = metrics.aggregates.run_ms
    if run.scaled_from is not None and run.scaled_to is not None:
        yield f"{run.scaled_from} of {run.scaled_to} iterations of long loops were measured, and their times scaled"
    yield from metrics.warnings


def _uncounted(stage: StageFacts) -> str:
    parts = []
    if stage.flops and stage.seconds:
        return f"computes {format_flops(stage.flops)} at {format_flops(stage.flops / stage.seconds)}/s"
    if stage.flops is not None:
        parts.append(format_flops(stage.flops))
    if stage.bytes is not None:
        parts.append(f"at least {format_bytes(stage.bytes)}")
    return "needs " + " and ".join(parts) if parts else f"was entered {stage.instances} times"


def _of_peak(use: KindUse) -> str:
    """Return the part of the peak that limits some kernels, and that peak."""
    part = format_share(use.peak_share or 0.0)
    if use.is_compute and use.peak_flops_per_s is not None:
        return f"{part} of the {' and '.join(use.dtypes[:2])} peak of {format_flops(use.peak_flops_per_s)}/s"
    if use.is_compute:
        return f"{part} of {'peak arithmetic' if use.counted.arithmetic == use.counted.peak else SM_PEAK}"
    return f"{part} of peak memory bandwidth"


def _nearness(use: KindUse) -> str:
    return "near peak" if (use.peak_share or 0.0) >= NEAR_PEAK else "far from peak"


def _capped(value: float | None) -> float:
    return min(1.0, value or 0.0)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
