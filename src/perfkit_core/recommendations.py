"""What to do first: changes ranked by the time that the run's own figures say they could save.

Every rule is a threshold on figures, so it holds for any model. Two bounds go with each recommendation: what it would
save if the kernels concerned reached ``REACHABLE`` of the peak that limits them, which ranks them, and the most that it
could save at all. Neither exceeds the time of what is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from perfkit_core.advice import BYTES, TIMED, WAITS, Recommendation, Setting, compiling, effort
from perfkit_core.kernel_advice import byte_advice, kernel_advice, memory_ridge
from perfkit_core.stage_facts import StageFacts
from perfkit_core.stage_limits import WAITING, limit_of, many, seconds_text, whole_text
from perfkit_core.takeaways import is_cold
from perfkit_core.units import format_bytes, format_intensity, format_share

WORTHWHILE: Final = 0.01
"""Part of the run's time that a change must be expected to save to be listed."""


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


def together(found: Sequence[Recommendation]) -> str:
    """Return what several changes save together, or which of them concern the same time; empty for fewer than two.

    Args:
        found: Recommendations in the order in which they are numbered.
    """
    if len(found) < 2:
        return ""
    numbered = list(enumerate(found, start=1))
    pairs = [f"{first} and {second}" for (first, one), (second, other) in combinations(numbered, 2)
             if one.path == other.path and BYTES in (one.concerns, other.concerns)]  # fmt: skip
    if pairs:
        return f"These concern the same time and do not add up: {', '.join(pairs)}."
    if any(one.waiting for one in found):
        return ""
    expected, most = sum(one.saves_seconds for one in found), sum(one.at_most_seconds for one in found)
    whole = found[0].whole
    text = f"No two concern the same kernels or the same waiting. Together: {seconds_text(expected)} of "
    return f"{text}{whole_text(whole)} ({format_share(expected / whole.seconds)}), at most {seconds_text(most)}."


def throughput(facts: Sequence[StageFacts], setting: Setting, memory: str) -> tuple[tuple[str, str], ...]:
    """Return what more work at a time could use, and the command that tries it: no run gets shorter by it.

    Args:
        facts: What is known of the stages.
        setting: What is known of the run.
        memory: How much of the device's memory is in use, in words; empty when unknown.
    """
    now = setting.options.parameters.get("batch_size")
    if now != 1 or setting.whole.kind == "sample":
        return ()
    found = []
    for stage in facts:
        why = list(_unused(stage, setting)) if stage.loop and stage.share >= WORTHWHILE else []
        if why:
            why += [memory] if memory else []
            text = (
                f"for throughput, not for the time of one run: several at a time in {stage.path} (batch_size=1 now): "
            )
            command = f"{TIMED} --set batch_size=2 --out NEW" if setting.is_model else ""
            found.append((f"{text}{'; '.join(why)}; the gain is not estimated", command))
    return tuple(found)


def _unused(stage: StageFacts, setting: Setting) -> Iterator[str]:
    if limit_of(stage) in WAITING:
        share = format_share(1 - (stage.busy or 0.0))
        yield f"no kernel runs in {share} of its time" + (
            ", as stretched by the profiler" if stage.is_stretched else ""
        )
    ridge = memory_ridge(stage, setting)
    if ridge is not None and stage.bytes:
        yield (
            f"every {stage.each} moves at least {format_bytes(stage.bytes / stage.instances)} at "
            f"{format_intensity(stage.intensity)} against a ridge of {format_intensity(ridge)}"
        )


def _bounded(one: Recommendation) -> Recommendation:
    most = max(0.0, min(one.at_most_seconds, one.run_seconds))
    return one._replace(at_most_seconds=most, saves_seconds=max(0.0, min(one.saves_seconds, most)))


def _of_stage(stage: StageFacts, setting: Setting) -> Iterator[Recommendation]:
    if not stage.seconds:
        return
    limit = limit_of(stage)
    if limit in WAITING:
        yield _launches(stage, setting) if limit == "launches" else _host(stage, setting)
        return
    # While the GPU waits for the host, faster kernels only make it wait longer.
    for use in stage.kinds:
        yield from kernel_advice(stage, use, setting)
    yield from byte_advice(stage, setting)


def _launches(stage: StageFacts, setting: Setting) -> Recommendation:
    """Recommend fewer launches where no kernel runs for long."""
    done = ""
    if setting.is_compiled:
        done = f" (compile={setting.options.parameters['compile']} is on, and leaves this)"
    what = f"launch {stage.path} less often: record it as a CUDA graph, compile it or fuse its kernels{done}"
    return _waiting(stage, setting, what, compiling(setting, "reduce-overhead"))


def _host(stage: StageFacts, setting: Setting) -> Recommendation:
    """Recommend to look at the host where more passes between launches than these can take."""
    what = (
        f"find what the host does in {stage.path} between launches: reading input, synchronising, waiting, other work"
    )
    if is_cold(stage):
        what += "; warm up before measuring, for the start-up of the first call is in these times"
    return _waiting(stage, setting, what, "")


def _waiting(stage: StageFacts, setting: Setting, what: str, option: str) -> Recommendation:
    """Return what is to be done about the time in which no kernel runs, at most all of it."""
    idle = stage.idle_seconds or 0.0
    each = f", {many(stage.kernels, 'kernel')} {stage.an_each}" if stage.kernels else ""
    return Recommendation(
        path=stage.path,
        concerns=WAITS,
        what=what,
        evidence=f"a kernel runs in {format_share(stage.busy or 0.0)} of its {seconds_text(stage.seconds)}{each}"
        f" ({setting.passes(stage)})",
        ruler="",
        saves_seconds=idle,
        at_most_seconds=idle,
        whole=setting.whole,
        effort=effort(option, setting),
        before=setting.before,
        measure=setting.measure(f"--set {option}" if option else ""),
        is_option=bool(option),
        # The profiler's own cost is in the longer time, so a run without it takes that at most.
        waiting=f"at best {stage.path} takes {seconds_text(stage.kernel_seconds)}, all that its kernels need, "
        f"instead of at most {seconds_text(stage.seconds)}, which the profiler stretches"
        if stage.is_stretched
        else "",
    )
