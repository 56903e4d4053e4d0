"""What ``capture.md`` and other templates of runs without a model can use: the variable ``report`` of such a run."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from perfkit_core import __version__
from perfkit_core.findings import Findings
from perfkit_core.kernel_names import library_of, readable_names
from perfkit_core.options import Options
from perfkit_core.recorded import OWN_DOMAIN, recorded_flops
from perfkit_core.region_families import RegionFamily, region_families
from perfkit_core.rundir import REGIONS, Run
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_core.schema.run import Environment, RunIndex
from perfkit_core.stage_table import MeasuredRow, measured_rows

ROWS = 40
"""Regions and kernels that the tables have."""


class CaptureRow(NamedTuple):
    """One region of a capture.

    Attributes:
        record: The region as ``regions.json`` has it.
        share: Part of the kernel time of the capture that is its own, 0 to 1.
        flops: FLOPs of as many calls of that module as were recorded, what is inside it as often as that was recorded;
            None without an analytic view or such a module.
    """

    record: RegionRow
    share: float
    flops: int | None

    @property
    def host_time_each(self) -> int | None:
        """How long one of its ranges was open, in nanoseconds; None where the profiler does not tell."""
        record = self.record
        return round(record.host_time / record.instances) if record.host_time is not None and record.instances else None


class CaptureFamily(NamedTuple):
    """Equal regions of a capture, as one row.

    Attributes:
        family: The regions, with ``domain``, ``name``, ``rows`` and what they have together.
        share: Part of the kernel time of the capture that is their own, 0 to 1.
        flops: FLOPs of all of them, as in ``CaptureRow``; None without.
    """

    family: RegionFamily
    share: float
    flops: int | None


class KernelTotal(NamedTuple):
    """All runs of one kernel, copy, set or graph.

    Attributes:
        name: Its name.
        readable: A name of 80 characters at most, unlike those of all others.
        library: Library that it is of; empty when the name does not tell.
        kind: What it is.
        calls: How often it ran.
        total_ns: Time of all of them, in nanoseconds.
        share: Part of the time of everything on the devices, 0 to 1.
    """

    name: str
    readable: str
    library: str
    kind: str
    calls: int
    total_ns: int
    share: float

    @property
    def mean_ns(self) -> int:
        """Time of one run, in nanoseconds."""
        return round(self.total_ns / max(1, self.calls))


def has_device_work(profile: RegionsReport) -> bool:
    """Whether anything ran on a device: where nothing did, the ranges' own time is what there is to show."""
    return bool(profile.kernels or profile.totals.kernels)


def largest_rows(rows: Sequence[RegionRow], count: int) -> list[RegionRow]:
    """Return the regions with the most time, in the order that they had.

    Args:
        rows: Regions.
        count: How many at most.
    """

    def size(row: RegionRow) -> tuple[int, int, int]:
        work = row.inclusive_ns + row.inclusive_copies_time + row.graphs.inclusive_time
        return work, row.inclusive_cpu_time, row.host_time or 0

    ranked = sorted(range(len(rows)), key=lambda place: size(rows[place]), reverse=True)
    return [rows[place] for place in sorted(ranked[:count])]


def kernel_totals(profile: RegionsReport) -> tuple[KernelTotal, ...]:
    """Return kernels, copies, sets and graphs by name, largest time first."""
    merged: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in profile.kernels:
        merged[row.name, row.kind][0] += row.calls
        merged[row.name, row.kind][1] += row.total_ns
    whole = sum(time for _, time in merged.values())
    short = readable_names(name for name, kind in merged if kind == "kernel")
    return tuple(
        KernelTotal(
            name=name,
            readable=short[name] if kind == "kernel" else name,
            library=library_of(name) if kind == "kernel" else "",
            kind=kind,
            calls=calls,
            total_ns=time,
            share=time / whole if whole else 0.0,
        )
        for (name, kind), (calls, time) in sorted(merged.items(), key=lambda item: (-item[1][1], item[0]))
    )


@dataclass(frozen=True)
class CaptureContext:
    """A run without a model of its own: of a command or of imported files. Values are computed when first used.

    The run of a model whose ``analytic/report.json`` was left out is one too.

    Attributes:
        analytic: The analytic view; None unless the import named a model and a workload.
    """

    _source: Run
    analytic: AnalyticReport | None
    _options: type[Options] | None = None

    @cached_property
    def title(self) -> str:
        """The command, the names of the imported files, or model, variant and workload."""
        named = shlex.join(self.run.command) or ", ".join(source.name for source in self.run.sources)
        return named or " ".join(filter(None, (self.run.model, self.run.variant, self.run.workload)))

    @cached_property
    def perfkit_version(self) -> str:
        """Version of perfkit-core that renders the template."""
        return __version__

    @cached_property
    def path(self) -> str:
        """Run directory."""
        return str(self._source.path)

    @cached_property
    def run(self) -> RunIndex:
        """The run's ``run.json``."""
        return self._source.index

    @cached_property
    def environment(self) -> Environment | None:
        """The run's ``env.json``: the software that made the run, which for an import is not what was measured."""
        return self._source.environment

    @cached_property
    def profile(self) -> RegionsReport | None:
        """The run's ``regions.json``; None when nothing was found to attribute."""
        return self._source.profile

    @cached_property
    def profile_notes(self) -> tuple[str, ...]:
        """What only the pass that ``profile`` comes from knows of it; its name is in ``run.file_passes``."""
        done = self.run.pass_of(REGIONS)
        return () if done is None else done.notes

    @cached_property
    def metrics(self) -> Metrics | None:
        """The run's ``metrics.json``; None when nothing was timed without a profiler."""
        return self._source.metrics

    @cached_property
    def measured(self) -> tuple[MeasuredRow, ...]:
        """Measured stages and their parts, in the order in which they run; empty when nothing was measured."""
        return measured_rows(self.metrics, self.profile, self.analytic)

    @cached_property
    def left_out(self) -> str:
        """Which records the run lists and does not have, in one line; empty where all are there."""
        return self._source.left_out_note

    @cached_property
    def findings(self) -> Findings:
        """What the run's data say: the bottleneck, takeaways of the stages, recommendations."""
        return Findings(self._source, self._options)

    @cached_property
    def regions(self) -> tuple[CaptureRow, ...]:
        """Regions over all processes and devices, in order of first appearance."""
        if self.profile is None:
            return ()
        total = self.profile.totals.total_ns
        known = recorded_flops(self.analytic, self.profile)
        return tuple(
            CaptureRow(
                record=row,
                share=row.exclusive_ns / total if total else 0.0,
                flops=known.get(row.path) if row.domain == OWN_DOMAIN else None,
            )
            for row in self.profile.regions
            if row.process is None and row.device is None
        )

    @cached_property
    def kernels(self) -> tuple[KernelTotal, ...]:
        """Kernels, copies, sets and graphs by name, largest time first."""
        return () if self.profile is None else kernel_totals(self.profile)

    @cached_property
    def device_work(self) -> bool:
        """Whether anything ran on a device."""
        return self.profile is not None and has_device_work(self.profile)

    @cached_property
    def is_marked(self) -> bool:
        """Whether a region has the path of a module of the analytic view."""
        known = set() if self.analytic is None else {module.path for module in self.analytic.modules}
        return any(row.record.domain == OWN_DOMAIN and row.record.path in known for row in self.regions)

    @cached_property
    def largest_regions(self) -> tuple[CaptureRow, ...]:
        """As many regions as a table shows, those with the most time, in order of first appearance."""
        kept = {id(row) for row in largest_rows([row.record for row in self.regions], ROWS)}
        return tuple(row for row in self.regions if id(row.record) in kept)

    @cached_property
    def region_families(self) -> tuple[CaptureFamily, ...]:
        """Equal regions as one: stages first, in the order in which they run, then the others, most time first."""
        known = {(row.record.domain, row.record.path): row for row in self.regions}
        found = []
        for family in region_families([row.record for row in self.regions]):
            rows = [known[family.domain, one.path] for one in family.rows]
            flops = [row.flops for row in rows if row.flops is not None]
            share = sum(row.share for row in rows)
            found.append(CaptureFamily(family, share, sum(flops) if flops else None))
        return tuple(found)

    @cached_property
    def shown(self) -> int:
        """Rows of a table before the rest is left to the files."""
        return ROWS
