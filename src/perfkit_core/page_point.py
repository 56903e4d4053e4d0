"""The first lines of the page: the sentence to repeat, what follows from it, and what makes it doubtful."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionRow
from perfkit_core.stage_facts import StageFacts, Whole
from perfkit_core.stage_limits import limit_of, many, seconds_text, whole_text
from perfkit_core.stage_loops import DECODE
from perfkit_core.takeaways import NOTICED, headline
from perfkit_core.units import format_flops, format_ms, format_share

ALL_BUSY: Final = 0.95
"""Part of the time with a kernel, from which on the host hardly matters."""

LONGER: Final = 1.5
"""Time of the host in a stage by what its kernels span, from which on that is said."""


def point(facts: Sequence[StageFacts], whole: Whole, basis: str = "") -> str:
    """Return the one sentence to repeat: which stage takes the most time and what limits it; empty without stages.

    Args:
        facts: What is known of the stages.
        whole: What their time is a part of.
        basis: What the time of the whole rests on, as ``time_basis`` has it.
    """
    if not facts:
        return ""
    time = whole_text(whole) + (f" ({basis})" if basis else "")
    if whole.seconds:
        largest = max(facts, key=lambda one: one.seconds)
        outside, said = _outside(facts, whole)
        if outside > largest.seconds:
            text = (
                f"{said.format(time)}; of the stages {largest.path} takes most, {format_share(largest.share)}"
                f"{_host(largest)}, and {headline(largest)}."
            )
            return text[:1].upper() + text[1:]
        return f"{largest.path} takes {format_share(largest.share)} of {time}{_host(largest)} and {headline(largest)}."
    total = sum(one.flops or 0 for one in facts)
    largest = max(facts, key=lambda one: one.flops or 0)
    return (
        f"By count {largest.path} needs {format_share((largest.flops or 0) / total if total else 0.0)} of the run's "
        f"{format_flops(total)}; nothing was timed in this run."
    )


def time_basis(
    metrics: Metrics | None, whole: Whole, rows: Mapping[str, RegionRow], factors: Mapping[str, float],
    units: Collection[str] = (),
) -> str:  # fmt: skip
    """Return what the time of the whole rests on: its interval and runs, or how few iterations it was scaled from.

    Args:
        metrics: Unprofiled times; None without.
        whole: What the stages' time is a part of.
        rows: Regions of the profile.
        factors: By how much the work of each is multiplied to be of a whole run.
        units: What the workload produces.
    """
    if metrics is not None:
        return _measured_basis(metrics)
    scaled = [path for path, factor in factors.items() if factor != 1]
    outermost = [path for path in scaled if path.rpartition("/")[0] not in scaled]
    if whole.kind != "stages" or not outermost:
        return ""
    loop = max(outermost, key=lambda path: rows[path].inclusive_ns * factors[path])
    seen = rows[loop].instances or 1
    name = "token" if loop == DECODE and "tokens" in units else loop.rpartition("/")[2]
    name = name if "/" in loop or name == "token" else "iteration"
    return f"scaled from {seen} of {many(round(seen * factors[loop]), name)}, recorded under the profiler; no interval"


def _measured_basis(metrics: Metrics) -> str:
    run = metrics.aggregates.run_ms
    parts = []
    if run.ci_low is not None and run.ci_high is not None and run.n > 1:
        parts.append(f"± {format_ms((run.ci_high - run.ci_low) / 2)}, 95 % interval, {many(run.n, 'run')}")
    else:
        parts.append(f"{many(run.n, 'run')}, no interval")
    if run.scaled_from is not None and run.scaled_to is not None:
        tokens = metrics.aggregates.time_per_output_token_ms is not None
        parts.append(f"{run.scaled_from} of {run.scaled_to} {'tokens' if tokens else 'iterations'} timed")
    return "; ".join(parts)


def so_what(facts: Sequence[StageFacts], whole: Whole) -> str:
    """Return what a faster GPU would change and what it would not; empty where it is not known how busy the GPU is."""
    timed = [one for one in facts if one.seconds]
    if not timed or whole.kind not in ("run", "timeline", "stages") or any(one.busy is None for one in timed):
        return ""
    busy = min(whole.seconds, sum(one.kernel_seconds or 0.0 for one in timed))
    rest, share = whole.seconds - busy, busy / whole.seconds
    kernels = f"{seconds_text(busy)} of {seconds_text(whole.seconds)} ({format_share(share)})"
    if share >= ALL_BUSY:
        return (
            f"the kernels of all stages run in {kernels}: a faster GPU, faster kernels or less to compute and to move "
            f"shorten that; a faster host or fewer launches only the other {seconds_text(rest)} "
            f"({format_share(rest / whole.seconds)})."
        )
    waits = max((one for one in timed), key=lambda one: one.idle_seconds or 0.0)
    cure = {
        "launches": "fewer launches (a CUDA graph, a compiler, fused kernels) or a faster host",
        "host": "a change of what the host does between launches",
    }.get(limit_of(waits), "a faster host or fewer launches")
    idle = seconds_text(rest) + (", which the profiler stretches," if whole.is_stretched else "")
    return (
        f"the kernels of all stages run in {kernels}: a faster GPU shortens at most that; the other {idle} only {cure} "
        "can shorten; a batch or other work on the same GPU makes use of it."
    )


def doubts(metrics: Metrics | None, facts: Sequence[StageFacts], whole: Whole) -> Iterator[str]:
    """Yield what makes the times of a whole run doubtful, with its figure."""
    outside, said = _outside(facts, whole)
    if outside and outside >= NOTICED * whole.seconds:
        yield said.format(whole_text(whole))
    for one in facts:
        if whole.kind == "timeline" and _host(one) and one.share >= NOTICED:
            yield (
                f"the host was inside {one.path} for {seconds_text(one.host)}, its kernels span "
                f"{seconds_text(one.seconds)}: what comes before is not in the stage's time"
            )
    if metrics is None:
        return
    run = metrics.aggregates.run_ms
    if run.scaled_from is not None and run.scaled_to is not None:
        yield f"{run.scaled_from} of {run.scaled_to} iterations of long loops were measured, and their times scaled"
    yield from metrics.warnings


def _host(stage: StageFacts) -> str:
    """Return how long the host was in a stage where that is much longer than what its kernels span."""
    if stage.clock != "timeline" or stage.host is None or stage.host < LONGER * stage.seconds or not stage.seconds:
        return ""
    return f" from its first kernels to its last (the host is in it for {seconds_text(stage.host)})"


def _outside(facts: Sequence[StageFacts], whole: Whole) -> tuple[float, str]:
    """Return the seconds of the whole that are in no stage, as far as they are known, and words with a gap for it.

    On a timeline a stage has its kernels' span, and the host is in it before its first kernel too. Both together are
    no less than the time in the stage, so what they leave is outside for sure.
    """
    inside = sum(one.seconds for one in facts)
    lead, tail = "", "are outside of every stage"
    if whole.kind not in ("timeline", "sample"):
        return 0.0, ""
    if whole.kind == "timeline" and any(one.host is None for one in facts):
        tail = "are outside of what the kernels of any stage span"
    elif whole.kind == "timeline":
        inside += sum(one.host or 0.0 for one in facts)
        lead = "at least "
    seconds = max(0.0, whole.seconds - inside)
    return seconds, f"{lead}{format_share(seconds / whole.seconds if whole.seconds else 0.0)} of {{}} {tail}"
