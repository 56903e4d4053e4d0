"""What to take away from a run: which stage takes the time, what limits it, with the figures that show it.

Every sentence is put together from figures of the run; which of them are worth saying is decided by the thresholds
here. Names of regions stand in the text as they are: templates make them safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from perfkit_core.counter_use import ALL_SHOWN, Counted, has_places
from perfkit_core.kernel_kinds import HEAVY
from perfkit_core.kernel_use import KindUse, Peaks
from perfkit_core.rulers import MORE, Ruler, ruler_of
from perfkit_core.schema.counters import CountersReport
from perfkit_core.stage_facts import StageFacts, Whole
from perfkit_core.stage_limits import WAITING, Limit, limit_of, many, seconds_text, waits_text, whole_name
from perfkit_core.stage_table import LAUNCH_COST, NEAR_PEAK
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

SMALL: Final = 0.01
"""Part of the run's time below which a stage gets one line."""


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


def takeaway(stage: StageFacts, whole: Whole, peaks: Peaks, counters: CountersReport | None) -> Takeaway:
    """Return what to take away of a stage."""
    if stage.seconds and stage.share < SMALL:
        # What it could gain is next to nothing: report.md has the rest.
        time = next(_time(stage, whole), "")
        return Takeaway(stage.path, limit_of(stage), f"{headline(stage)}: {time}", ())
    evidence = [*_time(stage, whole), *_waiting(stage), *_kinds(stage), *_floor(stage, peaks)]
    evidence += [*_counted(stage, counters), *_doubts(stage)]
    return Takeaway(stage.path, limit_of(stage), headline(stage), tuple(evidence))


def headline(stage: StageFacts) -> str:
    """Return what limits a stage in half a sentence, with the figure that says so."""
    if limit_of(stage) in WAITING:
        return waits_text(stage)
    heavy = [use for use in stage.kinds if set(use.members) & set(HEAVY) and use.share >= NOTICED]
    rulers = [(use, ruler) for use in heavy if (ruler := ruler_of(use)) is not None][:2]
    known = [f"{use.kind} {_nearness(ruler)} ({ruler.text})" for use, ruler in rulers]
    busy = "" if stage.busy is None else f"keeps the GPU busy {_part_of_time(_capped(stage.busy))}"
    if known:
        return f"{busy}, with {' and '.join(known)}" if busy else f"has {' and '.join(known)}"
    if stage.use is not None:
        side, part = (
            ("compute", stage.use.mfu)
            if stage.use.mfu >= stage.use.bandwidth_share
            else ("memory", stage.use.bandwidth_share)
        )
        return f"reaches {format_share(part)} of the {side} peak"
    if stage.busy is not None:
        kinds = ", ".join(f"{use.kind} {format_share(use.share)}" for use in stage.kinds[:2])
        return busy + (f": {kinds}" if kinds else "")
    if stage.counters is not None and stage.counters.measured_share:
        reason = f" ({stage.counters.reason})" if stage.counters.reason else ""
        measured = format_share(stage.counters.measured_share)
        return f"has kernels of which counters of {measured} of their time say {stage.counters.bound}{reason}"
    return _uncounted(stage)


def is_cold(stage: StageFacts) -> bool:
    """Whether the first of several calls may have been recorded without a warm-up, which only perfkit's own runs have.

    Libraries are loaded and memory is had in it, and nothing in the profile tells its time from the others'.
    """
    return stage.clock == "timeline" and stage.flops is None and stage.instances > 1


def _part_of_time(part: float) -> str:
    return "all the time" if part >= ALL_SHOWN else f"in {format_share(part)} of its time"


def _time(stage: StageFacts, whole: Whole) -> Iterator[str]:
    if not stage.seconds:
        return
    loop = ""
    if stage.instances > 1:
        loop = f", {stage.instances} x {format_ms(1e3 * stage.seconds / stage.instances)} {stage.an_each}"
        if is_cold(stage):
            loop += " on average, the start-up of the first included"
    if stage.largest_part is not None:
        loop += f"; {format_share(stage.largest_part[1])} of it in {stage.largest_part[0]}"
    yield f"{seconds_text(stage.seconds)}, {format_share(stage.share)} of {whole_name(whole)}{loop}"


def _waiting(stage: StageFacts) -> Iterator[str]:
    if stage.busy is None or not stage.idle_seconds:
        return
    text = f"no kernel runs in {format_time(1e9 * stage.idle_seconds)} of it"
    if stage.kernels:
        each = 1e3 * stage.seconds / max(1, stage.instances) / stage.kernels
        text += f"; {many(stage.kernels, 'kernel')} {stage.an_each}, one every {format_time(1e6 * each)}"
        text += f", each running {format_time(1e6 * each * _capped(stage.busy))} on average"
    if stage.launches is not None and stage.launches != stage.kernels:
        text += f"; {many(stage.launches, 'launch', 'launches')}"
    yield text
    if limit_of(stage) == "host":
        idle = format_time(1e9 * (stage.idle_per_launch or 0.0))
        yield f"{idle} pass idle for each launch, of which launching explains {1e6 * LAUNCH_COST:.0f} µs at most"


def _kinds(stage: StageFacts) -> Iterator[str]:
    for use, part in [(use, part) for use in stage.kinds if (part := _part(stage, use)) >= NOTICED][:MANY_KINDS]:
        text = f"{use.kind}: {format_share(part)} of {'its kernel time' if stage.is_stretched else 'the time'}"
        if use.flops:
            text += f", {format_flops(use.flops_per_s)}/s of useful work"
        by_formula = use.compute_seconds is not None or use.memory_seconds is not None
        ruler = ruler_of(use)
        cycles = ruler is not None and ruler.by == "cycles"
        if (by_formula or cycles) and ruler is not None:
            text += f", {_nearness(ruler)}: {ruler.text}"
        if not cycles and use.counted.parts:
            near = f"{_nearness(ruler)}, at " if not by_formula and ruler is not None else ""
            text += f"; {counters_name(use.counted)} {near}{counted_text(use)}"
        yield text
    if stage.operators:
        yield ", ".join(f"{name} takes {format_share(part)} of its processor time" for name, part in stage.operators)


def _part(stage: StageFacts, use: KindUse) -> float:
    """Return the part of a stage's time that some kernels take; of its kernels' time where the other is stretched."""
    if stage.is_stretched:
        return use.seconds / stage.kernel_seconds if stage.kernel_seconds else 0.0
    return use.share


def counters_name(found: Counted) -> str:
    """Return what figures of counters are by, and of which part of the kernels' time where that is not all."""
    if found.covered >= ALL_SHOWN:
        return "by hardware counters"
    return f"by hardware counters, which cover {format_share(found.covered)} of these kernels' time:"


def counted_text(use: KindUse) -> str:
    """Return what hardware counters say of kernels, as far as they were read, and what of that is no useful work."""
    text = ", ".join(f"{format_share(part)} of {what}" for part, what in use.counted.parts)
    if use.executed is not None and use.executed >= MORE:
        text += f", executing {use.executed:.{0 if use.executed >= 10 else 1}f} times the FLOPs that are needed"
    return text


def _floor(stage: StageFacts, peaks: Peaks) -> Iterator[str]:
    use, rate = stage.use, peaks.bandwidth
    if use is None or rate is None or not use.floor_seconds or not stage.seconds:
        return
    text = f"at the device's peaks it would take {format_ms(1e3 * use.floor_seconds)}, "
    text += f"{stage.seconds / use.floor_seconds:.3g} times less"
    if limit_of(stage) in WAITING and stage.kernel_seconds:
        left = f"without waiting, its kernels as they are, {seconds_text(stage.kernel_seconds)}, "
        text = f"{left}{stage.seconds / stage.kernel_seconds:.3g} times less; {text}"
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
    text = f"hardware counters of {format_share(found.measured_share)} of its kernel time"
    if not has_places(counters):
        text += " (not told apart by kind: their file does not say which kernels ran in which region)"
    if found.bound == "launch":
        # That is told from idle time, of which the headline has more to say.
        yield f"{text} were read"
    else:
        # One clause says what it is told from; report.md has all of them.
        reason = found.reason.partition("; ")[0]
        yield f"{text}: {found.bound} ({reason})" if reason else f"{text}: {found.bound}"


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
    if stage.is_stretched and limit_of(stage) not in WAITING:
        idle = seconds_text(stage.idle_seconds)
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


def _uncounted(stage: StageFacts) -> str:
    parts = []
    if stage.flops and stage.seconds:
        return f"computes {format_flops(stage.flops)} at {format_flops(stage.flops / stage.seconds)}/s"
    if stage.flops is not None:
        parts.append(format_flops(stage.flops))
    if stage.bytes is not None:
        parts.append(f"at least {format_bytes(stage.bytes)}")
    return "needs " + " and ".join(parts) if parts else f"was entered {stage.instances} times"


def _nearness(ruler: Ruler) -> str:
    return "near peak" if ruler.share >= NEAR_PEAK else "far from peak"


def _capped(value: float | None) -> float:
    return min(1.0, value or 0.0)
