"""A change worth trying, what it could save and the commands that measure its effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from perfkit_core.kernel_use import Peaks
from perfkit_core.option_values import OptionValues
from perfkit_core.stage_facts import StageFacts, Whole
from perfkit_core.stage_limits import seconds_text, whole_text
from perfkit_core.top_work import KernelLine
from perfkit_core.units import format_share

RERUN: Final = "perfkit run --config config.yaml"
"""Repeats the run from its own directory."""

TIMED: Final = f"{RERUN} --backend wall_clock"
"""Repeats it for its unprofiled times alone: a profiler's tell nothing of a change that launches or waits less."""


class Recommendation(NamedTuple):
    """A change worth trying.

    Attributes:
        path: Region path of the stage that it changes.
        concerns: What of the stage it changes: a kind of kernels, its waiting, or the bytes of all its kernels.
        what: What to do.
        evidence: The figures that speak for it, and the passes they come from.
        ruler: What its bounds are told from, and what they assume; empty where that is plain.
        saves_seconds: Expected saving of a whole run, in seconds.
        at_most_seconds: The most that it could save, in seconds.
        whole: What the stages' time is a part of.
        effort: What it takes: another value of an option of the model, or a change of code.
        before: Command that times the run as it is, where nothing has, to be run in its directory before the change.
        measure: Commands that measure the effect of the change, to be run there.
        is_option: Whether those make the change themselves.
        waiting: What is known where a stage waits on a profiler's timeline, which tells no saving; else empty.
    """

    path: str
    concerns: str
    what: str
    evidence: str
    ruler: str
    saves_seconds: float
    at_most_seconds: float
    whole: Whole
    effort: str
    before: str
    measure: str
    is_option: bool
    waiting: str = ""

    @property
    def run_seconds(self) -> float:
        """Time of the whole, in seconds."""
        return self.whole.seconds

    @property
    def share(self) -> float:
        """Expected saving as a part of the whole, 0 to 1."""
        return self.saves_seconds / self.run_seconds if self.run_seconds else 0.0

    @property
    def speedup(self) -> float | None:
        """How many times faster the whole would be at most, all else as it is; None when no bound of that is known.

        A profiler that makes the waiting longer makes that bound meaningless.
        """
        rest = self.run_seconds - self.at_most_seconds
        return self.run_seconds / rest if rest > 0 and not self.whole.is_stretched else None

    @property
    def gain(self) -> str:
        """What it could save, in words."""
        most, whole = seconds_text(self.at_most_seconds), whole_text(self.whole)
        if self.waiting:
            return self.waiting
        share = "" if self.whole.is_stretched else f" ({format_share(self.share)})"
        if self.concerns == WAITS:
            text = f"saves at most {most} of {whole}{share} while its kernels stay as they are"
        elif self.saves_seconds < self.at_most_seconds:
            text = f"saves {seconds_text(self.saves_seconds)} of {whole}{share} if it gets there, at most {most}"
        else:
            text = f"saves at most {most} of {whole}{share}"
        return text if self.speedup is None else f"{text}, {self.speedup:.3g} times as fast at best"


WAITS: Final = "waiting"
"""What a change concerns that is of the time without a kernel."""

BYTES: Final = "bytes"
"""What a change concerns that is of the bytes of all kernels of a stage."""


class Setting(NamedTuple):
    """What the rules know of a run besides its stages.

    Attributes:
        whole: What the stages' time is a part of.
        options: Resolved parameters of model and workload, and what else they could be.
        peaks: Limits of the device.
        times: The pass that the times come from.
        kernels: The pass that the kernels come from.
        is_model: Whether ``perfkit run`` made the run, so that it can repeat it.
        facts: What is known of every stage.
        lowered: Why the GPU lowered its clock, and in which pass; empty where it did not, or is not known to.
        lines: Kernels with the most time.
    """

    whole: Whole
    options: OptionValues
    peaks: Peaks
    times: str
    kernels: str
    is_model: bool
    facts: Sequence[StageFacts] = ()
    lowered: str = ""
    lines: Sequence[KernelLine] = ()

    @property
    def is_compiled(self) -> bool:
        """Whether the model has an option ``compile`` that is on."""
        return str(self.options.parameters.get("compile", "")) not in ("", "none")

    @property
    def before(self) -> str:
        """Command that times the run as it is; empty where something has, or nothing can."""
        return f"{TIMED} --out BASE" if self.is_model and not self.times else ""

    def measure(self, change: str = "") -> str:
        """Return the commands that time the run with a change and compare; empty where none can."""
        if not self.is_model:
            return ""
        first = "BASE" if self.before else "."
        return f"{TIMED} {change} --out NEW; perfkit compare {first} NEW --by time".replace("  ", " ")

    def passes(self, stage: StageFacts) -> str:
        """Return the passes that the figures of a stage come from."""
        times = self.times if stage.clock == "wall_clock" else self.kernels
        return ", ".join(name for name in dict.fromkeys((times, self.kernels)) if name)


def effort(option: str, setting: Setting) -> str:
    """Return what a change takes: with an option that makes it, or without one."""
    if option:
        return f"one option of the model, {option}"
    return "a change of code: no option of the model makes it" if setting.is_model else "a change of code"


def compiling(setting: Setting, wanted: str) -> str:
    """Return the option that compiles the model where it has that and it is off; else empty."""
    if "compile" not in setting.options.parameters or setting.is_compiled:
        return ""
    known = setting.options.others("compile")
    value = wanted if wanted in known or not setting.options.is_known else next(iter(known), "")
    return f"compile={value}" if value else ""
