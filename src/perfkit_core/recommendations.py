"""What to do first: changes ranked by the time that the run's own figures say they could save.

Every rule is a threshold on figures, so it holds for any model. Two bounds go with each recommendation: what it would
save if the kernels concerned reached ``REACHABLE`` of the peak that limits them, which ranks them, and the most that it
could save at all. Neither exceeds the time of what is changed. Recommendations overlap and do not add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from perfkit_core.kernel_kinds import HEAVY
from perfkit_core.kernel_use import FUSIBLE, KindUse, Peaks
from perfkit_core.stage_facts import StageFacts, Whole
from perfkit_core.stage_limits import WAITING, limit_of, many, seconds_text, whole_text
from perfkit_core.takeaways import counted_text
from perfkit_core.units import format_bytes, format_flops, format_intensity, format_ms, format_share

REACHABLE: Final = 0.75
"""Part of a peak that good kernels reach on large shapes: what a change is expected to come to."""

WORTHWHILE: Final = 0.01
"""Part of the run's time that a change must be expected to save to be listed."""

HALVED: Final = 0.5
"""What half the bits, or two at a time, leave of the bytes moved for each."""

RERUN: Final = "perfkit run --config config.yaml"
"""Repeats the run from its own directory."""

TIMED: Final = f"{RERUN} --backend wall_clock"
"""Repeats it for its unprofiled times alone: a profiler's tell nothing of a change that launches or waits less."""


class Recommendation(NamedTuple):
    """A change worth trying.

    Attributes:
        path: Region path of the stage that it changes.
        what: What to do.
        evidence: The figures that speak for it, and the passes they come from.
        saves_seconds: Expected saving of a whole run, in seconds.
        at_most_seconds: The most that it could save, in seconds.
        whole: What the stages' time is a part of.
        effort: ``one option`` of the model, or ``a change of code``.
        before: Command that times the run as it is, where nothing has, to be run in its directory before the change.
        measure: Commands that measure the effect of the change, to be run there.
        waiting: What is known where a stage waits on a profiler's timeline, which tells no saving; else empty.
    """

    path: str
    what: str
    evidence: str
    saves_seconds: float
    at_most_seconds: float
    whole: Whole
    effort: str
    before: str
    measure: str
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
        if self.saves_seconds < self.at_most_seconds:
            text = f"saves {seconds_text(self.saves_seconds)} of {whole}{share} if it gets there, at most {most}"
        else:
            text = f"saves at most {most} of {whole}{share}"
        return text if self.speedup is None else f"{text}, {self.speedup:.3g} times as fast at best"


class Setting(NamedTuple):
    """What the rules know of a run besides its stages.

    Attributes:
        whole: What the stages' time is a part of.
        parameters: Resolved parameters of model and workload.
        peaks: Limits of the device.
        times: The pass that the times come from.
        kernels: The pass that the kernels come from.
        is_model: Whether ``perfkit run`` made the run, so that it can repeat it.
    """

    whole: Whole
    parameters: Mapping[str, object]
    peaks: Peaks
    times: str
    kernels: str
    is_model: bool


def recommendations(facts: Sequence[StageFacts], setting: Setting) -> tuple[Recommendation, ...]:
    """Return every change that the figures speak for, largest expected saving first.

    Also those that are not ``WORTHWHILE``: who shows them decides that with ``worthwhile``.
    """
    if not setting.whole.seconds or setting.whole.kind == "sample":
        # How often a kernel of a sample runs is not known, so neither is what it costs.
        return ()
    found = [one for stage in facts for one in _of_stage(stage, setting)]
    bounded = [_bounded(one) for one in found]
    return tuple(sorted((one for one in bounded if one.saves_seconds > 0), key=lambda one: -one.saves_seconds))


def worthwhile(found: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
    """Return those that are expected to save a noticeable part of the run."""
    return tuple(one for one in found if one.share >= WORTHWHILE)


def _bounded(one: Recommendation) -> Recommendation:
    most = max(0.0, min(one.at_most_seconds, one.run_seconds))
    return one._replace(at_most_seconds=most, saves_seconds=max(0.0, min(one.saves_seconds, most)))


def _of_stage(stage: StageFacts, setting: Setting) -> Iterator[Recommendation]:
    if not stage.seconds:
        return
    limit = limit_of(stage)
    if limit in WAITING:
        yield _launches(stage, setting) if limit == "launches" else _host(stage, setting)
    else:
        # While the GPU waits for the host, faster kernels only make it wait longer.
        for use in stage.kinds:
            yield from _kernels(stage, use, setting)
    yield from _bytes(stage, setting)


def _launches(stage: StageFacts, setting: Setting) -> Recommendation:
    """Recommend fewer launches where no kernel runs for long."""
    compiled = str(setting.parameters.get("compile", "")) not in ("", "none")
    optional = "compile" in setting.parameters and not compiled
    done = f" (compile={setting.parameters['compile']} is on, and leaves this)" if compiled else ""
    return _waiting(
        stage,
        setting,
        f"launch {stage.path} less often: record it as a CUDA graph, compile it or fuse its kernels{done}",
        "--set compile=reduce-overhead" if optional else "",
    )


def _host(stage: StageFacts, setting: Setting) -> Recommendation:
    """Recommend to look at the host where more passes between launches than these can take."""
    what = (
        f"find what the host does in {stage.path} between launches: reading input, synchronising, waiting, other work"
    )
    return _waiting(stage, setting, what, "")


def _waiting(stage: StageFacts, setting: Setting, what: str, change: str) -> Recommendation:
    """Return what is to be done about the time in which no kernel runs, at most all of it."""
    idle = stage.idle_seconds or 0.0
    each = f", {many(stage.kernels, 'kernel')} {stage.an_each}" if stage.kernels else ""
    return Recommendation(
        path=stage.path,
        what=what,
        evidence=f"a kernel runs in {format_share(stage.busy or 0.0)} of its {seconds_text(stage.seconds)}{each}"
        f" ({_passes(stage, setting)})",
        saves_seconds=idle,
        at_most_seconds=idle,
        whole=setting.whole,
        effort="one option" if change else "a change of code",
        before=_before(setting),
        measure=_measure(setting, change),
        # The profiler's own cost is in the longer time, so a run without it takes that at most.
        waiting=f"at best {stage.path} takes {seconds_text(stage.kernel_seconds)}, all that its kernels need, "
        f"instead of at most {seconds_text(stage.seconds)}, which the profiler stretches"
        if stage.is_stretched
        else "",
    )


def _kernels(stage: StageFacts, use: KindUse, setting: Setting) -> Iterator[Recommendation]:
    """Recommend better kernels, or none at all, where they are far from the peak that limits them."""
    fusible = use.kind == FUSIBLE
    if not fusible and (not set(use.members) & set(HEAVY) or use.peak_share is None):
        return
    seconds = min(use.seconds, stage.seconds)
    floor = use.floor_seconds or 0.0
    reached = floor / REACHABLE
    compiled = str(setting.parameters.get("compile", "")) not in ("", "none")
    option = "compile=default" if fusible and "compile" in setting.parameters and not compiled else ""
    option = "attention=OTHER" if not fusible and _own_option(use, setting) else option
    yield Recommendation(
        path=stage.path,
        what=_fuse(stage, compiled=compiled) if fusible else _faster(stage, use, setting),
        evidence=f"{_evidence(use, stage)} ({_passes(stage, setting)})",
        saves_seconds=seconds - reached,
        # Fused into their neighbours, light kernels need no time of their own; arithmetic stays.
        at_most_seconds=seconds if fusible else seconds - floor,
        whole=setting.whole,
        effort="one option" if option else "a change of code",
        before=_before(setting),
        measure=_measure(setting, f"--set {option}" if option else ""),
    )


def _fuse(stage: StageFacts, *, compiled: bool) -> str:
    rest = "still left by the compiler" if compiled else "compile it, or write fused kernels"
    return f"fuse the element-wise, norm, copy and cast kernels of {stage.path}: {rest}"


def _faster(stage: StageFacts, use: KindUse, setting: Setting) -> str:
    how = {
        "attention": "another attention kernel",
        "matrix products": "other matrix-product kernels (tuned for these shapes, or of fewer bits)",
        "convolutions": "another memory layout, fewer bits, or tuned algorithms",
    }
    ways = ", ".join(how[kind] for kind in use.members if kind in how)
    now = f"; attention={setting.parameters['attention']} now" if _own_option(use, setting) else ""
    return f"speed up the {use.kind} of {stage.path}: {ways}{now}"


def _own_option(use: KindUse, setting: Setting) -> bool:
    return "attention" in use.members and "attention" in setting.parameters


def _evidence(use: KindUse, stage: StageFacts) -> str:
    text = f"{format_ms(1e3 * use.seconds)}, {format_share(use.share)} of {stage.path}"
    if use.counted.parts:
        text += f", by hardware counters{use.counted.of_text} at {counted_text(use)}"
    if use.peak_share is None or use.floor_seconds is None:
        return text
    if use.is_compute and use.peak_flops_per_s is not None:
        text += f", at {format_flops(use.flops_per_s)}/s: {format_share(use.peak_share)} of the"
        text += f" {' and '.join(use.dtypes[:2])} peak"
    elif use.memory_seconds is not None:
        text += f", moving at least {format_bytes(use.bytes)}: {format_share(use.peak_share)} of peak memory bandwidth"
    return f"{text}; {format_ms(1e3 * use.floor_seconds / REACHABLE)} at {format_share(REACHABLE)} of that peak"


def _bytes(stage: StageFacts, setting: Setting) -> Iterator[Recommendation]:
    """Recommend to move less where every iteration of a loop reads much and computes little."""
    rate, use = setting.peaks.bandwidth, stage.use
    if rate is None or use is None or stage.instances < 2 or stage.intensity is None or not stage.bytes:
        return
    ideal = use.mfu * use.seconds
    ridge = use.flops / ideal / rate if ideal else 0.0
    moving = stage.bytes / rate
    if stage.intensity >= ridge or moving > stage.seconds:
        return
    yield Recommendation(
        path=stage.path,
        what=f"move fewer bytes {stage.an_each} in {stage.path}: several at a time (a batch), or weights of fewer bits",
        evidence=f"every {stage.each} moves at least {format_bytes(stage.bytes / stage.instances)} at "
        f"{format_intensity(stage.intensity)}, against a ridge of {format_intensity(ridge)}; at peak bandwidth that is "
        f"{format_ms(1e3 * moving)} of {format_ms(1e3 * stage.seconds)} ({_passes(stage, setting)}, analytic)",
        saves_seconds=(1 - HALVED) * moving,
        at_most_seconds=moving,
        whole=setting.whole,
        effort="one option" if _batch(setting) else "a change of code",
        before=_before(setting),
        measure=_measure(setting, _batch(setting)),
    )


def _batch(setting: Setting) -> str:
    now = setting.parameters.get("batch_size")
    return f"--set batch_size={2 * now}" if isinstance(now, int) and now > 0 else ""


def _passes(stage: StageFacts, setting: Setting) -> str:
    times = setting.times if stage.clock == "wall_clock" else setting.kernels
    named = [name for name in dict.fromkeys((times, setting.kernels)) if name]
    return ", ".join(named)


def _measure(setting: Setting, change: str) -> str:
    if not setting.is_model:
        return ""
    first = "BASE" if _before(setting) else "."
    return f"{TIMED} {change} --out NEW; perfkit compare {first} NEW --by time".replace("  ", " ")


def _before(setting: Setting) -> str:
    return f"{TIMED} --out BASE" if setting.is_model and not setting.times else ""
