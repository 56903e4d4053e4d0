"""What limits a stage, what it waits for, and what its time is a part of: the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from perfkit_core.stage_facts import StageFacts, Whole
from perfkit_core.stage_table import LAUNCH_BOUND, LAUNCH_COST, NEAR_PEAK
from perfkit_core.units import format_ms, format_number, format_share

_WHOLES: Final[Mapping[str, str]] = {
    "run": "the run",
    "timeline": "the timeline",
    "stages": "all stages",
    "kernels": "the run's kernel time",
    "sample": "the kernels measured",
}
"""What shares of time are of, in short."""

Limit = Literal["launches", "host", "compute", "memory", "kernels", "unknown"]
"""What limits a stage: launches or something else on the host that it waits for, a peak it is near to, or kernels that
are near to none."""

WAITING: Final[tuple[Limit, ...]] = ("launches", "host")
"""Limits that are no kernels: the GPU waits."""


def limit_of(stage: StageFacts) -> Limit:
    """Return what limits a stage."""
    if stage.busy is not None and stage.busy < LAUNCH_BOUND:
        return "host" if (stage.idle_per_launch or 0.0) > LAUNCH_COST else "launches"
    if stage.use is not None and max(stage.use.mfu, stage.use.bandwidth_share) >= NEAR_PEAK:
        return "compute" if stage.use.mfu >= stage.use.bandwidth_share else "memory"
    return "kernels" if stage.busy is not None else "unknown"


def waits_text(stage: StageFacts) -> str:
    """Return what a stage waits for, in half a sentence with its figures.

    Kernels take as long under a profiler as without one, but each launch that it records takes longer.
    """
    if limit_of(stage) == "host":
        text = f"waits for the host: the GPU works {format_share(stage.busy or 0.0)} of that time"
        return f"{text}, as timed under a profiler" if stage.is_stretched else text
    text = "waits for launches: "
    if stage.is_stretched:
        text += f"its kernels need {seconds_text(stage.kernel_seconds)} of {seconds_text(stage.seconds)}"
    else:
        text += f"a kernel runs in {format_share(stage.busy or 0.0)} of its time"
    if stage.launches is not None:
        text += f", {many(stage.launches, 'launch', 'launches')} {stage.an_each}"
    elif stage.kernels is not None:
        text += f", {many(stage.kernels, 'kernel')} {stage.an_each}"
    return f"{text}; the profiler stretches the waiting" if stage.is_stretched else text


def whole_name(whole: Whole) -> str:
    """Return what the time of stages is a part of, in few words."""
    return _WHOLES[whole.kind]


def whole_text(whole: Whole) -> str:
    """Return what the time of stages is a part of, in words that say what it is."""
    time = seconds_text(whole.seconds)
    return {
        "run": f"the run's {time}",
        "timeline": f"the {time} on the profiler's timeline",
        "stages": f"the stages' {time} on the profiler's timeline",
        "kernels": f"the run's {time} of kernel time",
        "sample": f"the {time} of the kernels that were measured",
    }[whole.kind]


def many(count: float, one: str, more: str = "") -> str:
    """Return a count and what is counted; ``more`` is its plural where that does not end in s."""
    return f"{format_number(count)} {one if count == 1 else more or f'{one}s'}"


def seconds_text(seconds: float | None) -> str:
    """Return a time for people; a dash when it is unknown."""
    return "-" if seconds is None else format_ms(1e3 * seconds)
