"""What a run's data say, for people who decide: the attribute ``findings`` of the template variable ``report``."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from perfkit_core import rundir
from perfkit_core.advice import RERUN, Recommendation, Setting
from perfkit_core.counted import CountedFlops
from perfkit_core.counted_join import counted_flops
from perfkit_core.counter_use import located
from perfkit_core.gpu_states import lowered, pass_states
from perfkit_core.kernel_use import peaks_of
from perfkit_core.option_values import OptionValues
from perfkit_core.options import Options
from perfkit_core.page_point import doubts, point, so_what, time_basis
from perfkit_core.recommendations import recommendations, throughput, together, worthwhile
from perfkit_core.recorded import region_rows, scale_factors
from perfkit_core.rundir import Run
from perfkit_core.schema.counters import CountersReport
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.schema.run import Environment
from perfkit_core.schema.session import Session
from perfkit_core.stage_facts import Sources, StageFacts, Whole, stage_facts, whole_of
from perfkit_core.stage_limits import limit_of, seconds_text, whole_name, whole_text
from perfkit_core.summary_rows import SummaryRow, aggregate_rows, environment_rows
from perfkit_core.takeaways import Takeaway, open_question, takeaway
from perfkit_core.terms import TERMS, Term
from perfkit_core.top_work import KernelLine, OperatorLine, kernel_lines, operator_lines
from perfkit_core.units import format_bytes, format_share

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


@dataclass(frozen=True)
class Findings:
    """Conclusions from all records of a run. Values are computed when first used; all of them follow from its files."""

    _source: Run
    # What the model's options could be set to is known to its plugin alone, where that is installed.
    _options: type[Options] | None = None

    @cached_property
    def metrics(self) -> Metrics | None:
        """The run's ``metrics.json``; None when nothing was timed without a profiler."""
        return self._source.metrics

    @cached_property
    def counters(self) -> CountersReport | None:
        """The run's ``ncu/regions/report.json``, kernels with their domain; None without hardware counters."""
        return None if self._source.counters is None else located(self._source.counters)

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
        return self._source.environment

    @cached_property
    def _sources(self) -> Sources:
        peaks = peaks_of(self._environment, self.metrics)
        return Sources(self._source.report, self.metrics, self.profile, self.counters, peaks, self._units)

    @cached_property
    def _units(self) -> Collection[str]:
        """What the workload produces, as the workers of profiled passes said."""
        named = f"{self.sources['kernels']}/{rundir.SESSION}"
        if named not in self._source.index.files or not (self._source.path / named).is_file():
            return ()
        return tuple(rundir.read_record(self._source.path / named, Session).units)

    @cached_property
    def _factors(self) -> Mapping[str, float]:
        return scale_factors(region_rows(self.profile), self.metrics, self._source.report)

    @cached_property
    def stages(self) -> tuple[StageFacts, ...]:
        """What is known of every stage, in the order in which they run."""
        return stage_facts(self._sources)

    @cached_property
    def whole(self) -> Whole:
        """What the time of the stages is a part of."""
        return whole_of(self._sources, self.stages)

    @cached_property
    def run_seconds(self) -> float:
        """Time of that, in seconds; 0 when nothing was timed."""
        return self.whole.seconds

    @property
    def whole_text(self) -> str:
        """That in words, with its time."""
        return whole_text(self.whole)

    @cached_property
    def is_scaled(self) -> bool:
        """Whether the profile left iterations out, whose time and kernels are reckoned from those it has."""
        return any(factor != 1 for factor in self._factors.values())

    @cached_property
    def point(self) -> str:
        """The one sentence to repeat; empty for a run without stages or regions."""
        return point(self.stages, self.whole, self._basis)

    @cached_property
    def so_what(self) -> str:
        """What a faster GPU would change and what not; empty where it is not known how busy the GPU is."""
        return so_what(self.stages, self.whole)

    @cached_property
    def _basis(self) -> str:
        """What the time of the whole rests on."""
        rows = region_rows(self.profile)
        return time_basis(self.metrics, self.whole, rows, self._factors, self._units)

    @cached_property
    def takeaways(self) -> tuple[Takeaway, ...]:
        """What to take away of the stages with the most time, in the order in which they run."""
        order = sorted(self.stages, key=lambda one: (-one.seconds, -(one.flops or 0)))[:SHOWN_STAGES]
        kept = {one.path for one in order}
        sources = self._sources
        return tuple(takeaway(one, self.whole, sources.peaks, self.counters) for one in self.stages if one.path in kept)

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """What makes the times of the run doubtful, and which of its records are not there; one line each."""
        note = self._source.left_out_note
        return (*doubts(self.metrics, self.stages, self.whole), *([note] if note else []))

    @cached_property
    def all_recommendations(self) -> tuple[Recommendation, ...]:
        """Every change that the figures speak for, largest expected saving first."""
        return recommendations(self.stages, self._setting)

    @cached_property
    def _setting(self) -> Setting:
        report, index = self._source.report, self._source.index
        return Setting(
            whole=self.whole,
            options=OptionValues(dict(report.parameters) if report else {}, self._options),
            peaks=self._sources.peaks,
            times=self.sources["times"],
            kernels=self.sources["kernels"],
            is_model=index.kind == "model",
            facts=self.stages,
            lowered=lowered(pass_states(self._source)),
            lines=self.kernels,
        )

    @cached_property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """Those that are expected to save at least a hundredth of the run."""
        return worthwhile(self.all_recommendations)

    @cached_property
    def together(self) -> str:
        """What these save together, or which of them concern the same time; empty where there is nothing to add."""
        return together(self.recommendations)

    @cached_property
    def throughput(self) -> tuple[tuple[str, str], ...]:
        """What more work at a time could use, each with the command that tries it; no run gets shorter by that."""
        return throughput(self.stages, self._setting, self._memory())

    def _memory(self) -> str:
        device = self._environment.device if self._environment else None
        used = max((one.allocated_bytes for one in self.metrics.memory.values()), default=0) if self.metrics else 0
        if device is None or device.gpu is None or not used:
            return ""
        return f"{format_bytes(used)} of the device's {format_bytes(device.gpu.memory_bytes)} are used at most"

    @property
    def terms(self) -> tuple[Term, ...]:
        """Words that need explaining, with the thresholds in force."""
        return TERMS

    @cached_property
    def environment(self) -> tuple[SummaryRow, ...]:
        """Where and with what the run was made."""
        return tuple(environment_rows(self._source, self._environment))

    @cached_property
    def aggregates(self) -> tuple[SummaryRow, ...]:
        """Figures of the whole run."""
        scaled = f"{seconds_text(self.run_seconds)}, {self._basis}" if self._basis and self.metrics is None else ""
        return tuple(aggregate_rows(self._source, self.sources, scaled))

    @cached_property
    def operators(self) -> tuple[OperatorLine, ...]:
        """Operators with the most time; empty without a profiler that sees operators."""
        return operator_lines(self.profile, self._factors)

    @cached_property
    def kernels(self) -> tuple[KernelLine, ...]:
        """Kernels with the most time; empty without a profile of a GPU."""
        return kernel_lines(self.profile, self._factors, self.counters)

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
        return tuple((name, what) for name, what in _LINKS if self._source.has(name))

    @cached_property
    def fills(self) -> Mapping[str, str]:
        """Commands that measure what a run may lack: ``times``, ``mfu``, ``operators``, ``kernels``, ``counters``.

        Empty where none does: of a program only profilers that wrap it tell anything.
        """
        backends = {"times": "wall_clock", "mfu": "wall_clock", "operators": "torch", "kernels": "nsys"}
        return {what: self._with(backend) for what, backend in {**backends, "counters": "ncu"}.items()}

    @cached_property
    def missing(self) -> Mapping[str, str]:
        """Those of ``fills`` that this run lacks."""
        return {what: self.fills[what] for what in self._missing() if self.fills[what]}

    @cached_property
    def open_questions(self) -> tuple[tuple[str, str], ...]:
        """What a timed run cannot tell, with its figures, and the command that would; most time first."""
        if not self.run_seconds or not self.stages:
            return ()
        ranked = sorted(self.stages, key=lambda one: -one.seconds)
        largest = f"{ranked[0].path} ({format_share(ranked[0].share)} of {whole_name(self.whole)})"
        found = [(open_question(one), self._with("wall_clock")) for one in ranked[:1] if self.metrics is None]
        if "operators" in self.missing and limit_of(ranked[0]) == "host":
            found.append((f"what the host does in {largest} between launches", self.missing["operators"]))
        if "kernels" in self.missing:
            found.append((f"which kernels {largest} goes into, and how long the GPU waits", self.missing["kernels"]))
        if "counters" in self.missing:
            found.append((f"what limits each kernel of {largest} inside", self.missing["counters"]))
        return tuple((text, command) for text, command in found if text and command)

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
        """Return the command that adds what a backend measures; empty where none does."""
        index = self._source.index
        if index.kind == "model":
            device = self._environment.device if self._environment else None
            elsewhere = " --device cuda:0" if device is not None and device.gpu is None and backend != "torch" else ""
            # Times are what changes are held against: recommendations compare with them by that name.
            return f"{RERUN} --backend {backend}{elsewhere} --out {'BASE' if backend == 'wall_clock' else 'NEW'}"
        wraps = backend in ("nsys", "ncu")
        return f"perfkit exec --backend {backend} -- {shlex.join(index.command) or 'COMMAND'}" if wraps else ""
