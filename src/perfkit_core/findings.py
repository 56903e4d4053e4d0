"""What a run's data say, for people who decide: the attribute ``findings`` of the template variable ``report``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from perfkit_core import rundir
from perfkit_core.counted import CountedFlops
from perfkit_core.counted_join import counted_flops
from perfkit_core.kernel_kinds import kind_of
from perfkit_core.kernel_names import library_of, readable_names
from perfkit_core.kernel_use import peaks_of
from perfkit_core.recommendations import RERUN, Recommendation, Setting, recommendations, worthwhile
from perfkit_core.recorded import region_rows, scale_factors
from perfkit_core.rundir import Run
from perfkit_core.schema.counters import CountersReport
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.schema.run import Environment
from perfkit_core.stage_facts import Sources, StageFacts, run_seconds, stage_facts
from perfkit_core.summary_rows import SummaryRow, aggregate_rows, environment_rows
from perfkit_core.takeaways import Takeaway, doubts, open_question, point, takeaway
from perfkit_core.units import format_share

TOP: Final = 6
"""Operators and kernels that the page shows."""

SHOWN_STAGES: Final = 8
"""Stages that the page has takeaways of: those with the most time, in the order in which they run."""

_LINKS: Final = (
    ("report.md", "every table of this run"),
    ("stakeholder_summary.md", "one page: the bottleneck, its evidence, what to do"),
    ("analytic/summary.md", "FLOPs and bytes by formula"),
    ("assumptions.md", "what the numbers rest on"),
    ("regions.md", "profiled time by region"),
    ("operators.md", "operators by time"),
    ("kernels.md", "kernels by time"),
    (rundir.COUNTERS_PAGE, "hardware counters by region and kernel"),
    ("verify/layers.json", "formulas against the real modules"),
    ("metrics.json", "unprofiled times and MFU"),
    ("env.json", "machine and software"),
    ("config.yaml", "settings that repeat the run"),
)
"""Files that reports link to where a run has them."""


class OperatorLine(NamedTuple):
    """All calls of one operator.

    Attributes:
        name: Its name.
        calls: How often it was called in the profiled run.
        time_ns: Its own time in a whole run, loops scaled: on the device where anything ran on one, else on the
            processor.
        share: Part of the time of all operators, 0 to 1.
    """

    name: str
    calls: int
    time_ns: float
    share: float


class KernelLine(NamedTuple):
    """All runs of one kernel, copy or set.

    Attributes:
        readable: A short name.
        library: Library that it is of; empty when its name does not tell.
        kind: What it does, told from its name.
        calls: How often it ran in the profiled run.
        total_ns: Time of all of them in a whole run, loops scaled, in nanoseconds.
        share: Part of the time of everything on the devices, 0 to 1.
        peak_share: Part of the device's arithmetic peak, by hardware counters; None without them.
    """

    readable: str
    library: str
    kind: str
    calls: int
    total_ns: float
    share: float
    peak_share: float | None


@dataclass(frozen=True)
class Findings:
    """Conclusions from all records of a run. Values are computed when first used; all of them follow from its files."""

    _source: Run

    @cached_property
    def metrics(self) -> Metrics | None:
        """The run's ``metrics.json``; None when nothing was timed without a profiler."""
        return self._source.metrics

    @cached_property
    def counters(self) -> CountersReport | None:
        """The run's ``ncu/regions/report.json``; None without hardware counters."""
        return self._source.counters

    @cached_property
    def counted(self) -> CountedFlops:
        """FLOPs that tensor cores counted against the analytic ones, by region; no rows where the run lacks a side."""
        return counted_flops(self._source.report, self.profile, self.counters)

    @cached_property
    def profile(self) -> RegionsReport | None:
        """The run's ``regions.json``; None when nothing was profiled."""
        return self._source.profile

    @cached_property
    def _environment(self) -> Environment | None:
        if rundir.ENVIRONMENT not in self._source.index.files:
            return None
        return rundir.read_record(self._source.path / rundir.ENVIRONMENT, Environment)

    @cached_property
    def _sources(self) -> Sources:
        device = self._environment.device if self._environment else None
        peaks = peaks_of(self.metrics, device)
        return Sources(self._source.report, self.metrics, self.profile, self.counters, peaks)

    @cached_property
    def _factors(self) -> Mapping[str, float]:
        return scale_factors(region_rows(self.profile), self.metrics, self._source.report)

    @cached_property
    def stages(self) -> tuple[StageFacts, ...]:
        """What is known of every stage, in the order in which they run."""
        return stage_facts(self._sources)

    @cached_property
    def run_seconds(self) -> float:
        """Time of a whole run, in seconds; 0 when nothing was timed."""
        return run_seconds(self._sources, self.stages)

    @cached_property
    def point(self) -> str:
        """The one sentence to repeat; empty for a run without stages or regions."""
        return point(self.stages, self.run_seconds)

    @cached_property
    def takeaways(self) -> tuple[Takeaway, ...]:
        """What to take away of the stages with the most time, in the order in which they run."""
        order = sorted(self.stages, key=lambda one: (-one.seconds, -(one.flops or 0)))[:SHOWN_STAGES]
        kept = {one.path for one in order}
        return tuple(takeaway(one, self._sources.peaks, self.counters) for one in self.stages if one.path in kept)

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """What makes the times of the run doubtful, one line each."""
        return tuple(doubts(self.metrics))

    @cached_property
    def all_recommendations(self) -> tuple[Recommendation, ...]:
        """Every change that the figures speak for, largest expected saving first."""
        report = self._source.report
        setting = Setting(
            run_seconds=self.run_seconds,
            parameters=dict(report.parameters) if report else {},
            peaks=self._sources.peaks,
            times=self.sources["times"],
            kernels=self.sources["kernels"],
            is_model=self._source.index.kind == "model",
        )
        return recommendations(self.stages, setting)

    @cached_property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """Those that are expected to save at least a hundredth of the run."""
        return worthwhile(self.all_recommendations)

    @cached_property
    def environment(self) -> tuple[SummaryRow, ...]:
        """Where and with what the run was made."""
        return tuple(environment_rows(self._source, self._environment))

    @cached_property
    def aggregates(self) -> tuple[SummaryRow, ...]:
        """Figures of the whole run."""
        return tuple(aggregate_rows(self._source, self.sources))

    @cached_property
    def operators(self) -> tuple[OperatorLine, ...]:
        """Operators with the most time; empty without a profiler that sees operators."""
        rows = self.profile.operators if self.profile else ()
        on_device = any(row.self_device_time for row in rows)
        calls: Counter[str] = Counter()
        merged: defaultdict[str, float] = defaultdict(float)
        for row in rows:
            calls[row.name] += row.calls
            own = row.self_device_time if on_device else row.self_cpu_time
            merged[row.name] += own * self._factors.get(row.region, 1.0)
        whole = sum(merged.values())
        ranked = sorted(merged.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        return tuple(OperatorLine(name, calls[name], time, time / whole if whole else 0.0) for name, time in ranked)

    @cached_property
    def kernels(self) -> tuple[KernelLine, ...]:
        """Kernels with the most time; empty without a profile of a GPU."""
        calls: Counter[tuple[str, str]] = Counter()
        merged: defaultdict[tuple[str, str], float] = defaultdict(float)
        for row in self.profile.kernels if self.profile else ():
            calls[row.name, row.kind] += row.calls
            merged[row.name, row.kind] += row.total_ns * self._factors.get(row.region, 1.0)
        whole = sum(merged.values())
        ranked = sorted(merged.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        short = readable_names(name for name, kind in merged if kind == "kernel")
        counted = self._counted_shares()
        return tuple(
            KernelLine(
                readable=short.get(name, name),
                library=library_of(name) if kind == "kernel" else "",
                kind=kind_of(name, kind),
                calls=calls[name, kind],
                total_ns=time,
                share=time / whole if whole else 0.0,
                peak_share=counted.get(name),
            )
            for (name, kind), time in ranked
        )

    def _counted_shares(self) -> dict[str, float]:
        """Return the part of the arithmetic peak that counters say of each kernel, over its geometries by time."""
        found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for one in self.counters.kernels if self.counters else ():
            if one.efficiency.peak_share is not None and one.total_ns:
                found[one.name][0] += one.efficiency.peak_share * one.total_ns
                found[one.name][1] += one.total_ns
        return {name: weighted / weight for name, (weighted, weight) in found.items()}

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """Pass that ``times``, ``kernels`` and ``counters`` come from; empty where the run has none."""
        named = self._source.index.file_passes
        return {
            "times": self.metrics.source_pass if self.metrics else "",
            "kernels": named.get(rundir.REGIONS, rundir.REGIONS) if self.profile else "",
            "counters": named.get(rundir.COUNTERS, rundir.COUNTERS) if self.counters else "",
        }

    @cached_property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Files of the run that have something to read, and what that is."""
        return tuple((name, what) for name, what in _LINKS if name in self._source.index.files)

    @cached_property
    def fills(self) -> Mapping[str, str]:
        """Commands that measure what a run may lack: ``times``, ``mfu``, ``operators``, ``kernels``, ``counters``."""
        backends = {"times": "wall_clock", "mfu": "wall_clock", "operators": "torch", "kernels": "nsys"}
        return {what: self._with(backend) for what, backend in {**backends, "counters": "ncu"}.items()}

    @cached_property
    def missing(self) -> Mapping[str, str]:
        """Those of ``fills`` that this run lacks."""
        return {what: self.fills[what] for what in self._missing()}

    @cached_property
    def open_questions(self) -> tuple[tuple[str, str], ...]:
        """What a timed run cannot tell, with its figures, and the command that would; most time first."""
        if not self.run_seconds:
            return ()
        ranked = sorted(self.stages, key=lambda one: -one.seconds)
        largest = f"{ranked[0].path} ({format_share(ranked[0].share)} of the run)"
        found = [(open_question(one), self._with("wall_clock")) for one in ranked[:1] if self.metrics is None]
        if "kernels" in self.missing:
            found.append((f"which kernels {largest} goes into, and how long the GPU waits", self.missing["kernels"]))
        if "counters" in self.missing:
            found.append((f"what limits each kernel of {largest} inside", self.missing["counters"]))
        return tuple((text, command) for text, command in found if text)

    def _missing(self) -> Iterator[str]:
        profile = self.profile
        if self.metrics is None:
            yield "times"
        if self.metrics is None or not self.metrics.mfu:
            yield "mfu"
        if profile is None or not profile.operators:
            yield "operators"
        if profile is None or not profile.kernels:
            yield "kernels"
        if self.counters is None:
            yield "counters"

    def _with(self, backend: str) -> str:
        """Return the command that adds what a backend measures; of a program only profilers know anything."""
        index = self._source.index
        if index.kind == "model":
            device = self._environment.device if self._environment else None
            elsewhere = " --device cuda:0" if device is not None and device.gpu is None and backend != "torch" else ""
            return f"{RERUN} --backend {backend}{elsewhere} --out NEW"
        if backend in ("nsys", "ncu"):
            return f"perfkit exec --backend {backend} -- {'COMMAND' if not index.command else 'the same command'}"
        return f"perfkit run --model M --workload W --backend {backend}"
