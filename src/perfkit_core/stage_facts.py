"""What a run knows of each of its stages: time, arithmetic, kernels by kind, and how sure that is.

One place joins the three views, so that takeaways and recommendations are plain conclusions from these figures. Times
are unprofiled ones where the run has them; else a profiler's, which says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from perfkit_core.kernel_use import KindUse, Peaks, kind_uses
from perfkit_core.recorded import OWN_DOMAIN, busy_seconds, is_inside, region_rows, scale_factors, scaled_launches
from perfkit_core.regions import SEEK
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.counters import CounterRegion, CountersReport
from perfkit_core.schema.metrics import Metrics, StageTime, Utilisation
from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_core.stage_loops import recorded_loop, timed_loop
from perfkit_core.stage_table import run_ms

Clock = Literal["wall_clock", "timeline", "kernels", "none"]
"""Where the time of a stage comes from: unprofiled runs, busy and idle time on a profiler's timeline, kernels alone."""

MOST: Final = 0.5
"""Part of a stage's time from which on a named part of it is worth naming."""

ALL: Final = 0.95
"""Part of a stage's time from which on a named part is as good as the stage."""

STRETCHED: Final = 0.02
"""Part of a time on a profiler's timeline without a kernel, from which on the profiler's own cost shows in it."""


class StageFacts(NamedTuple):
    """One stage of a run; times and counts are of a whole run, loops scaled to full length.

    Attributes:
        path: Region path.
        clock: Where the time comes from.
        seconds: Its time; 0 when that is unknown.
        share: Part of the time of the run, 0 to 1.
        time: Its statistics over the unprofiled runs; None without them.
        loop: Region path of the loop that the stage is or contains; empty without one.
        instances: Iterations of that loop, else how often the stage is entered.
        each: What one of these is called: a token, the last name of the loop's path, an iteration or a call.
        flops: FLOPs; None without an analytic view of it.
        bytes: Least bytes moved; None without an analytic view of it.
        use: Utilisation; None where no peak is known.
        busy: Part of the time in which a kernel runs, as measured: beyond 1 the profile and the times disagree; None
            without a profile of a GPU.
        host: Seconds in which the host was inside it, as recorded; None where the profiler does not tell.
        kernels: Kernels of one instance; None without a profile of a GPU.
        launches: API calls that launch them, of one instance; None where the profiler does not tell.
        kinds: Kernels by what they do, most time first; empty without a profile of a GPU.
        counters: What hardware counters say of it; None without them.
        largest_part: Innermost named part with more than half of its time, and that part of it; None without one.
        operators: Operators with the most processor time and their parts of that, where no kernel ran; else empty.
        hidden: Why nothing is visible inside a part of it; empty when all is.
    """

    path: str
    clock: Clock
    seconds: float
    share: float
    time: StageTime | None
    loop: str
    instances: int
    each: str
    flops: int | None
    bytes: int | None
    use: Utilisation | None
    busy: float | None
    host: float | None
    kernels: float | None
    launches: float | None
    kinds: tuple[KindUse, ...]
    counters: CounterRegion | None
    largest_part: tuple[str, float] | None
    operators: tuple[tuple[str, float], ...]
    hidden: str

    @property
    def idle_seconds(self) -> float | None:
        """Seconds in which no kernel runs; None without a profile of a GPU."""
        return None if self.busy is None else self.seconds * max(0.0, 1 - self.busy)

    @property
    def kernel_seconds(self) -> float | None:
        """Seconds in which a kernel runs, which a profiler hardly changes; None without a profile of a GPU."""
        return None if self.busy is None else self.seconds * self.busy

    @property
    def an_each(self) -> str:
        """``each`` with its article."""
        return f"{'an' if self.each[:1] in 'aeiou' else 'a'} {self.each}"

    @property
    def is_stretched(self) -> bool:
        """Whether the time is a profiler's and has waiting in it, which the profiler's own cost makes longer."""
        return self.clock == "timeline" and (self.idle_seconds or 0.0) >= STRETCHED * self.seconds

    @property
    def idle_per_launch(self) -> float | None:
        """Seconds without a kernel for each launch, or each kernel where launches are unknown; None without any."""
        made = self.kernels if self.launches is None else self.launches
        if self.idle_seconds is None or not made:
            return None
        return self.idle_seconds / max(1, self.instances) / made

    @property
    def intensity(self) -> float | None:
        """FLOPs per byte moved; None when either is unknown."""
        return self.flops / self.bytes if self.flops is not None and self.bytes else None


class Whole(NamedTuple):
    """What the time of stages is a part of.

    Attributes:
        seconds: Its time; 0 when nothing was timed.
        kind: The unprofiled run; a profiler's whole timeline; all stages on it, where it left iterations out; the
            kernels of a profile that tells no idle time; the kernels of a sample, which are no run.
        is_stretched: Whether waiting on a profiler's timeline is a noticeable part of it.
    """

    seconds: float
    kind: Literal["run", "timeline", "stages", "kernels", "sample"]
    is_stretched: bool


class Sources(NamedTuple):
    """The records of a run that facts are drawn from; None for what the run does not have.

    Attributes:
        analytic: Costs from formulas.
        metrics: Unprofiled times.
        profile: A profiler's timeline.
        counters: Hardware counters.
        peaks: Limits of the device.
        units: What one whole run produces.
    """

    analytic: AnalyticReport | None
    metrics: Metrics | None
    profile: RegionsReport | None
    counters: CountersReport | None
    peaks: Peaks
    units: Collection[str] = ()

    @property
    def is_sample(self) -> bool:
        """Whether only the kernels that were measured with counters are known, not how often each runs."""
        if self.metrics is not None or self.counters is None:
            return False
        if self.profile is None:
            return True
        first, second = self.counters.profiler, self.profile.profiler
        return first.startswith(second) or second.startswith(first)


def stage_facts(sources: Sources) -> tuple[StageFacts, ...]:
    """Return the facts of every stage, in the order in which they run."""
    rows = region_rows(sources.profile)
    factors = scale_factors(rows, sources.metrics, sources.analytic)
    found = [_facts(path, sources, rows, factors) for path in _stages(sources, rows)]
    whole = _whole(sources, found, factors).seconds
    return tuple(one._replace(share=min(1.0, one.seconds / whole) if whole else 0.0) for one in found)


def whole_of(sources: Sources, facts: Sequence[StageFacts]) -> Whole:
    """Return what the time of the stages is a part of."""
    rows = region_rows(sources.profile)
    return _whole(sources, facts, scale_factors(rows, sources.metrics, sources.analytic))


def _whole(sources: Sources, facts: Sequence[StageFacts], factors: Mapping[str, float]) -> Whole:
    if sources.metrics is not None:
        return Whole(run_ms(sources.metrics.aggregates.run_ms) / 1e3, "run", is_stretched=False)
    seconds = sum(one.seconds for one in facts)
    if not seconds:
        return Whole(0.0, "stages", is_stretched=False)
    totals = sources.profile.totals if sources.profile else None
    if sources.is_sample:
        return Whole(max(seconds, totals.total_ns / 1e9 if totals else 0.0), "sample", is_stretched=False)
    if any(one.clock == "kernels" for one in facts):
        return Whole(seconds, "kernels", is_stretched=False)
    kind: Literal["timeline", "stages"] = "stages"
    idle = sum(one.idle_seconds or 0.0 for one in facts)
    everything = all(factor == 1 for factor in factors.values())
    if everything and totals is not None and totals.busy_ns is not None and totals.idle_time is not None:
        kind, seconds = "timeline", max(seconds, (totals.busy_ns + totals.idle_time) / 1e9)
        idle = totals.idle_time / 1e9
    return Whole(seconds, kind, is_stretched=idle >= STRETCHED * seconds)


def _stages(sources: Sources, rows: Mapping[str, RegionRow]) -> list[str]:
    if sources.analytic is not None:
        return [stage.path for stage in sources.analytic.stages]
    if rows:
        # What only reaches the next place of a loop is no part of the workload.
        return [path for path, row in rows.items() if "/" not in path and not _is_seek(path, row.domain)]
    if sources.metrics is not None:
        return [one.path for one in sources.metrics.aggregates.stage_ms.values() if not one.nested_in]
    regions = sources.counters.regions if sources.counters else ()
    return [one.path for one in regions if one.parent is None and not _is_seek(one.path, one.domain)]


def _is_seek(path: str, domain: str) -> bool:
    return domain == OWN_DOMAIN and path.endswith(SEEK)


def _facts(path: str, sources: Sources, rows: Mapping[str, RegionRow], factors: Mapping[str, float]) -> StageFacts:
    metrics, analytic = sources.metrics, sources.analytic
    times = {one.path: one for one in metrics.aggregates.stage_ms.values()} if metrics else {}
    time, row = times.get(path), rows.get(path)
    busy, idle = busy_seconds(path, rows, factors)
    counted = _counted(path, sources.counters, row.domain if row else OWN_DOMAIN)
    clock, seconds = _clock(time, busy, idle, counted)
    stage = next((one for one in analytic.stages if one.path == path), None) if analytic else None
    entered = stage.calls if stage else (row.instances or 1 if row else 1)
    loop, instances, each = (
        timed_loop(path, metrics, entered) if metrics else recorded_loop(path, rows, factors, entered, sources.units)
    )
    kernels = sum(found.exclusive_kernels * factors[one] for one, found in rows.items() if is_inside(one, path))
    on_gpu = row is not None and busy is not None and bool(row.inclusive_kernels)
    launched = [found.exclusive_launches for one, found in rows.items() if is_inside(one, path)]
    return StageFacts(
        path=path,
        clock=clock,
        seconds=seconds,
        share=0.0,
        time=time,
        loop=loop,
        instances=instances,
        each=each,
        flops=stage.flops if stage else None,
        bytes=stage.bytes_read + stage.bytes_written if stage else None,
        use=next((one for one in metrics.mfu if one.path == path), None) if metrics else None,
        busy=busy / seconds if on_gpu and busy is not None and seconds and clock != "kernels" else None,
        host=row.host_time / 1e9 if row is not None and row.host_time is not None else None,
        kernels=kernels / max(1, instances) if on_gpu and not sources.is_sample else None,
        launches=scaled_launches(path, rows, factors) / max(1, instances) if on_gpu and None not in launched else None,
        kinds=_kinds(path, row.domain, seconds, sources, factors) if on_gpu and row is not None else (),
        counters=counted,
        largest_part=_largest_part(path, seconds, times),
        operators=() if on_gpu else _operators(path, sources.profile, factors),
        hidden="; ".join(
            f"{one}: {why}" for one, why in (metrics.hidden.items() if metrics else ()) if is_inside(one, path)
        ),
    )


def _kinds(
    path: str, domain: str, seconds: float, sources: Sources, factors: Mapping[str, float]
) -> tuple[KindUse, ...]:
    kernels = [one for one in (sources.profile.kernels if sources.profile else ()) if one.domain == domain]
    counters = [one for one in (sources.counters.kernels if sources.counters else ()) if one.domain == domain]
    return kind_uses(path, seconds, kernels, factors, sources.analytic, sources.peaks, counters)


def _operators(path: str, profile: RegionsReport | None, factors: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Return the two operators with the most processor time, and their parts of that of the stage."""
    times: Counter[str] = Counter()
    for row in profile.operators if profile else ():
        if is_inside(row.region, path):
            times[row.name] += round(row.self_cpu_time * factors.get(row.region, 1.0))
    whole = times.total()
    return tuple((name, time / whole) for name, time in times.most_common(2) if whole)


def _largest_part(path: str, seconds: float, times: Mapping[str, StageTime]) -> tuple[str, float] | None:
    """Return the innermost part that takes most of a stage; what takes all of it tells nothing."""
    parts = [
        (one, run_ms(time) / 1e3 / seconds) for one, time in times.items() if one.startswith(f"{path}/") and seconds
    ]
    parts = [(one, share) for one, share in parts if MOST <= share < ALL and times[one].runs == "plain"]
    return max(parts, key=lambda part: part[0].count("/"), default=None)


def _counted(path: str, counters: CountersReport | None, domain: str) -> CounterRegion | None:
    """Return the region of that path, where several domains have it that of the timeline's."""
    found = [one for one in (counters.regions if counters else ()) if one.path == path]
    return next((one for one in found if one.domain == domain), found[0] if found else None)


def _clock(
    time: StageTime | None, busy: float | None, idle: float | None, counted: CounterRegion | None
) -> tuple[Clock, float]:
    if time is not None:
        return "wall_clock", run_ms(time) / 1e3
    if busy is not None and idle is not None:
        return "timeline", busy + idle
    if busy is None and counted is not None:
        busy = counted.inclusive_ns / 1e9
    return ("kernels", busy) if busy is not None else ("none", 0.0)
