"""Advice on kernels that are far from what the device could do: faster ones, fused ones, or fewer bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from perfkit_core.advice import BYTES, Recommendation, Setting, compiling, effort
from perfkit_core.counter_use import SM_PEAK
from perfkit_core.kernel_kinds import HEAVY
from perfkit_core.kernel_use import FUSIBLE, KindUse
from perfkit_core.rulers import COMPARED, REACHABLE, Ruler, best_text, ruler_of
from perfkit_core.stage_facts import StageFacts
from perfkit_core.takeaways import counted_text, counters_name
from perfkit_core.units import format_bytes, format_flops, format_intensity, format_ms, format_share

HALVED: Final = 0.5
"""What half the bits leave of the bytes moved."""

_MEMORY: Final = "peak memory bandwidth"

_WAYS: Final = {
    "attention": "another attention kernel",
    "matrix products": "other matrix-product kernels (tuned for these shapes, or of fewer bits)",
    "convolutions": "another memory layout, fewer bits, or tuned algorithms",
}


def kernel_advice(stage: StageFacts, use: KindUse, setting: Setting) -> Iterator[Recommendation]:
    """Recommend better kernels, or none at all, where they are far from the peak that limits them."""
    fusible, ruler = use.kind == FUSIBLE, ruler_of(use)
    if not fusible and (not set(use.members) & set(HEAVY) or ruler is None):
        return
    seconds = min(use.seconds, stage.seconds)
    floor = ruler.share * use.seconds if ruler is not None else 0.0
    others = _others(use, setting)
    option = compiling(setting, "default") if fusible else f"attention={others[0]}" if others else ""
    yield Recommendation(
        path=stage.path,
        concerns=use.kind,
        what=_fuse(stage, setting) if fusible else _faster(stage, use, others, setting),
        evidence=f"{_evidence(use, stage)} ({setting.passes(stage)})",
        ruler=_ruler_text(use, ruler, setting) if ruler is not None else "",
        saves_seconds=seconds - floor / REACHABLE,
        # Fused into their neighbours, light kernels need no time of their own; arithmetic stays.
        at_most_seconds=seconds if fusible else seconds - floor,
        whole=setting.whole,
        effort=_effort(use, option, others, setting),
        before=setting.before,
        measure=setting.measure(f"--set {option}" if option else ""),
        is_option=bool(option),
    )


def _others(use: KindUse, setting: Setting) -> tuple[str, ...]:
    """Return other values of the option that chooses kernels, but for that of the library whose kernel runs already."""
    values = setting.options.others("attention") if "attention" in use.members else ()
    return tuple(value for value in values if not use.top.lower().startswith(f"{value.lower()}'s "))


def _effort(use: KindUse, option: str, others: tuple[str, ...], setting: Setting) -> str:
    if use.kind == FUSIBLE:
        return effort(option, setting)
    if others:
        return f"options to be tried, {', '.join(others)}: that one of them is faster is not known; else kernel work"
    return _kernel_work(use, setting)


def _fuse(stage: StageFacts, setting: Setting) -> str:
    rest = "still left by the compiler" if setting.is_compiled else "compile it, or write fused kernels"
    return f"fuse the element-wise, norm, copy and cast kernels of {stage.path}: {rest}"


def _faster(stage: StageFacts, use: KindUse, others: tuple[str, ...], setting: Setting) -> str:
    ways = ", ".join(_WAYS[kind] for kind in use.members if kind in _WAYS)
    text = f"speed up the {use.kind} of {stage.path}: {ways}"
    if others:
        now = setting.options.parameters["attention"]
        text += f"; attention={now} now, {', '.join(others)} to be had"
    return text


def _kernel_work(use: KindUse, setting: Setting) -> str:
    if "attention" in use.members and "attention" in setting.options.parameters:
        now = setting.options.parameters["attention"]
        return f"kernel work: attention={now} is in use, and no other value is known that could be faster"
    return "kernel work: no option of the model chooses these" if setting.is_model else "kernel work"


def _evidence(use: KindUse, stage: StageFacts) -> str:
    text = f"{format_ms(1e3 * use.seconds)}, {format_share(use.share)} of {stage.path}"
    if use.top:
        text += f", most of it in {use.top}" if use.kind != FUSIBLE else f"; the longest is {use.top}"
    if use.counted.parts:
        text += f"; {counters_name(use.counted)} {counted_text(use)}"
    if use.peak_share is None:
        return text
    if use.is_compute and use.peak_flops_per_s is not None:
        text += f"; {format_flops(use.flops_per_s)}/s: {format_share(use.peak_share)} of the"
        text += f" {' and '.join(use.dtypes[:2])} peak of the data sheet"
    elif use.memory_seconds is not None:
        text += f"; moving at least {format_bytes(use.bytes)}: {format_share(use.peak_share)} of {_MEMORY}"
    return text


def _ruler_text(use: KindUse, ruler: Ruler, setting: Setting) -> str:
    """Return what the bounds are held against, what they assume, and what in this run speaks for that."""
    of = {
        "cycles": f"{SM_PEAK} by hardware counters, which goes with the clock as it was",
        "data sheet": "the data sheet's peak",
        "bytes": "the least bytes by formula at peak memory bandwidth",
        "counters": "the peak that counters come nearest to",
    }[ruler.by]
    reached = format_ms(1e3 * ruler.share * use.seconds / REACHABLE)
    text = f"ruler: {of}; {reached} at {format_share(REACHABLE)} of it, which is an assumption"
    best = _best_memory(setting) if ruler.by == "bytes" else best_text(use, ruler, setting.facts, setting.whole)
    text += f": {best}" if best else ""
    if ruler.by == "data sheet" and setting.lowered:
        text += f"; that peak may not be reachable, for the GPU lowered its clock ({setting.lowered})"
    return text


def _best_memory(setting: Setting) -> str:
    known = [
        one
        for one in setting.lines
        if one.peak_share is not None and one.peak.startswith(_MEMORY) and one.share >= COMPARED
    ]
    best = max(known, key=lambda one: one.peak_share or 0.0, default=None)
    if best is None:
        return ""
    return f"{best.readable} reaches {format_share(best.peak_share or 0.0)} of {best.peak} in this run"


def byte_advice(stage: StageFacts, setting: Setting) -> Iterator[Recommendation]:
    """Recommend weights of fewer bits where every iteration of a loop reads much and computes little."""
    ridge = memory_ridge(stage, setting)
    rate = setting.peaks.bandwidth
    if ridge is None or rate is None or not stage.bytes:
        return
    moving = stage.bytes / rate
    if moving > stage.seconds:
        return
    yield Recommendation(
        path=stage.path,
        concerns=BYTES,
        what=f"move fewer bytes {stage.an_each} in {stage.path}: weights of fewer bits",
        evidence=f"every {stage.each} moves at least {format_bytes(stage.bytes / stage.instances)} at "
        f"{format_intensity(stage.intensity)}, against a ridge of {format_intensity(ridge)}; at peak bandwidth that is "
        f"{format_ms(1e3 * moving)} of {format_ms(1e3 * stage.seconds)} ({setting.passes(stage)}, analytic)",
        ruler="half the bits are assumed, of all that is moved",
        saves_seconds=(1 - HALVED) * moving,
        at_most_seconds=moving,
        whole=setting.whole,
        effort=effort("", setting),
        before=setting.before,
        measure=setting.measure(),
        is_option=False,
    )


def memory_ridge(stage: StageFacts, setting: Setting) -> float | None:
    """Return the intensity that the iterations of a loop stay below, in FLOPs per byte; None where they do not."""
    rate, use = setting.peaks.bandwidth, stage.use
    if rate is None or use is None or stage.instances < 2 or stage.intensity is None:
        return None
    ideal = use.mfu * use.seconds
    ridge = use.flops / ideal / rate if ideal else 0.0
    return ridge if stage.intensity < ridge else None
