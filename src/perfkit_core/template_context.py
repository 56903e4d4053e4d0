"""What templates can use: the objects, filters and version that make up the template context.

Everything here is public to template authors. ``docs/template-context.md`` is generated from this module.
Adding a name keeps ``TEMPLATE_CONTEXT_VERSION``; removing one or changing its meaning raises it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from perfkit_core import __version__, rundir, units
from perfkit_core.families import Family, families
from perfkit_core.findings import Findings
from perfkit_core.hotspots import rank
from perfkit_core.options import Options
from perfkit_core.rundir import Run
from perfkit_core.schema.analysis import Hotspots
from perfkit_core.schema.analytic import AnalyticReport, StageRecord
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.schema.run import RunIndex
from perfkit_core.schema.verify import VerifyReport
from perfkit_core.stage_table import MeasuredRow, MemoryRow, measured_rows, memory_rows
from perfkit_core.texts import visible

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE_CONTEXT_VERSION = 1
"""Version of the names described here; templates can test it as ``context_version``."""


class StageRow(NamedTuple):
    """One stage with its part of the whole.

    Attributes:
        path: Region path of the stage.
        record: The stage as ``analytic/report.json`` has it.
        flops: FLOPs of the whole run spent in the stage.
        flops_share: Part of all FLOPs, 0 to 1.
        bytes: Least bytes read and written in the stage.
        bytes_share: Part of all bytes, 0 to 1.
    """

    path: str
    record: StageRecord
    flops: int
    flops_share: float
    bytes: int
    bytes_share: float

    @property
    def intensity(self) -> float | None:
        """FLOPs per byte moved; None when nothing is moved."""
        return self.flops / self.bytes if self.bytes else None


@dataclass(frozen=True)
class ReportContext:
    """One run, as the variable ``report`` of run templates. Values are computed when first used.

    Attributes:
        analytic: The run's ``analytic/report.json``.
    """

    # Private: a template must not reach the path object, whose methods change files.
    _source: Run
    analytic: AnalyticReport
    _options: type[Options] | None = None

    @cached_property
    def title(self) -> str:
        """Model, variant and workload."""
        return f"{self.run.model} {self.run.variant} {self.run.workload}"

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
        """The run's ``run.json``: model, variant, workload, status, plugins, passes, files."""
        return self._source.index

    @cached_property
    def verification(self) -> VerifyReport | None:
        """The run's ``verify/layers.json``; None when the run was not verified."""
        return self._source.verification

    @cached_property
    def metrics(self) -> Metrics | None:
        """The run's ``metrics.json``; None when nothing was measured."""
        return self._source.metrics

    @cached_property
    def profile(self) -> RegionsReport | None:
        """The run's ``regions.json``; None when nothing was profiled."""
        return self._source.profile

    @cached_property
    def profile_notes(self) -> tuple[str, ...]:
        """What only the pass that ``profile`` comes from knows of it; its name is in ``run.file_passes``."""
        done = self.run.pass_of(rundir.REGIONS)
        return () if done is None else done.notes

    @cached_property
    def left_out(self) -> str:
        """Which records the run lists and does not have, in one line; empty where all are there."""
        return self._source.left_out_note

    @cached_property
    def findings(self) -> Findings:
        """What the run's data say: the bottleneck, takeaways of the stages, recommendations."""
        return Findings(self._source, self._options)

    @cached_property
    def measured(self) -> tuple[MeasuredRow, ...]:
        """Measured stages and their parts, in the order in which they run; empty when nothing was measured."""
        return measured_rows(self.metrics, self.profile, self.analytic)

    @cached_property
    def memory(self) -> tuple[MemoryRow, ...]:
        """Estimated and, on a GPU, measured memory of every stage, in the order in which they run."""
        return memory_rows(self.metrics, self.analytic)

    @cached_property
    def bytes(self) -> int:
        """Least bytes read and written by the whole run."""
        return self.analytic.totals.bytes_read + self.analytic.totals.bytes_written

    @cached_property
    def intensity(self) -> float | None:
        """FLOPs per byte moved over the whole run; None when nothing is moved."""
        return self.analytic.totals.flops / self.bytes if self.bytes else None

    @cached_property
    def stages(self) -> tuple[StageRow, ...]:
        """Stages in the order in which they run."""
        return tuple(self._stage(stage) for stage in self.analytic.stages)

    @cached_property
    def hotspots_by_flops(self) -> Hotspots:
        """Top-10 modules and top-5 categories by own FLOPs."""
        return rank(self.analytic, by="flops")

    @cached_property
    def hotspots_by_bytes(self) -> Hotspots:
        """Top-10 modules and top-5 categories by own bytes."""
        return rank(self.analytic, by="bytes")

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """All modules, equal siblings merged, in call order; sums over the members."""
        return families(self.analytic.modules)

    @cached_property
    def families_by_flops(self) -> tuple[Family, ...]:
        """Families that have FLOPs, largest first, ties by name."""
        found = [family for family in self.families if family.flops]
        return tuple(sorted(found, key=lambda family: (-family.flops, family.name)))

    @cached_property
    def families_by_bytes(self) -> tuple[Family, ...]:
        """Families that move bytes, largest first, ties by name."""
        found = [family for family in self.families if family.bytes]
        return tuple(sorted(found, key=lambda family: (-family.bytes, family.name)))

    def _stage(self, stage: StageRecord) -> StageRow:
        totals = self.analytic.totals
        nbytes = stage.bytes_read + stage.bytes_written
        return StageRow(
            path=stage.path,
            record=stage,
            flops=stage.flops,
            flops_share=stage.flops / totals.flops if totals.flops else 0.0,
            bytes=nbytes,
            bytes_share=nbytes / self.bytes if self.bytes else 0.0,
        )


@dataclass(frozen=True)
class Page:
    """The rendered markdown, as the variable ``page`` of HTML templates.

    Attributes:
        title: Title of the page, as text.
    """

    title: str
    _make_body: Callable[[], str]

    @cached_property
    def body(self) -> Markup:
        """The rendered markdown template as HTML that is safe to insert."""
        from markupsafe import Markup

        return Markup(self._make_body())  # noqa: S704 - markdown-it escaped every text in it


def number(value: float) -> str:
    """All digits, in groups of three: ``14 288 491 584``."""
    return f"{value:,}".replace(",", " ")


def code(value: object) -> str:
    """A name as markdown code that is safe in a table cell, whatever characters it has."""
    text = visible(" ".join(str(value).split())).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}" if text else ""


def plain(value: object) -> str:
    """Text in one line, with the characters that markdown or HTML would interpret made harmless."""
    text = visible(" ".join(str(value).split()))
    return "".join(f"\\{character}" if character in "\\`*[]<>|#" else character for character in text)


FILTERS: Mapping[str, Callable[..., str]] = {
    "flops": units.format_flops,
    "bytes": units.format_bytes,
    "count": units.format_count,
    "share": units.format_share,
    "change": units.format_change,
    "quantity": units.format_quantity,
    "intensity": units.format_intensity,
    "ms": units.format_ms,
    "time": units.format_time,
    "number": number,
    "code": code,
    "plain": plain,
}
"""Filters of perfkit's own, next to those of Jinja."""
