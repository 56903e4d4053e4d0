"""What hardware counters say of kernels, in the regions in which these ran.

One kernel does other work in another stage, so counters are taken by place: a kernel's figures count where it was, by
the time that it took there in a whole run.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from perfkit_core.recorded import OWN_DOMAIN, is_inside
from perfkit_core.schema.counters import CounterKernel, CountersReport, Efficiency

SM_PEAK: Final = "the SMs' peak"
"""What counters hold the busiest part of the SMs against."""

WELL_COVERED: Final = 0.8
"""Part of the time of some kernels that counters must have been read of to stand for all of them."""

ALL_SHOWN: Final = 0.9995
"""Part that is shown as 100.0 %."""

_DTYPES: Final = 2
"""Element types that a peak is named by at most."""

_INDEX: Final = re.compile(r"(?<=[._\[])\d+(?=$|[./\]])")
"""Indices in region paths, which counters have as ``*``."""


class Counted(NamedTuple):
    """What hardware counters say of kernels, weighted by their time; None where they were not read.

    Attributes:
        peak: Part of the device's arithmetic peak, 0 to 1; what is computed for nothing, as in padded tiles, counts.
        compute: Busiest part of the SMs, of its peak, 0 to 1.
        dram: Part of peak memory bandwidth, 0 to 1.
        flops_per_s: FLOPs that they execute by their time under the counters, needed or not, in FLOP/s.
        covered: Part of their time whose kernels were measured, 0 to 1: the figures are of that part.
        dtypes: Element types of the arithmetic that ``peak`` is of, most time first.
    """

    peak: float | None
    compute: float | None
    dram: float | None
    flops_per_s: float | None = None
    covered: float = 0.0
    dtypes: tuple[str, ...] = ()

    @property
    def is_telling(self) -> bool:
        """Whether enough of the kernels was measured to conclude from it on all of them."""
        return self.covered >= WELL_COVERED

    @property
    def largest(self) -> float | None:
        """The part of the peak that is nearest, arithmetic or memory; None unless enough was read of arithmetic.

        Memory alone does not tell, and neither do busy SMs: they can be busy with other things than arithmetic.
        """
        return None if self.peak is None or not self.is_telling else max(self.peak, self.dram or 0.0)

    @property
    def arithmetic(self) -> str:
        """What ``peak`` is a part of, with the element type."""
        return " ".join(
            ("peak", " and ".join(self.dtypes[:_DTYPES]), "arithmetic") if self.dtypes else ("peak arithmetic",)
        )

    @property
    def parts(self) -> tuple[tuple[float, str], ...]:
        """What was read, each with the peak that it is a part of."""
        parts = (
            (self.peak, self.arithmetic),
            (self.compute, SM_PEAK),
            (self.dram, "peak memory bandwidth"),
        )
        return tuple((part, what) for part, what in parts if part is not None)

    @property
    def nearest(self) -> tuple[float, str] | None:
        """The largest part and the peak that it is of; None when nothing was read."""
        return max(self.parts, key=lambda one: one[0], default=None)


def family(path: str) -> str:
    """Return a region path as counters have it, with ``*`` for its indices."""
    return _INDEX.sub("*", path)


def located(report: CountersReport) -> CountersReport:
    """Return counters whose kernels have the domain of their regions, which older files leave out.

    It is the domain of the regions with that path; where several have it, perfkit's own, else the first by name.
    """
    domains: defaultdict[str, set[str]] = defaultdict(set)
    for region in report.regions:
        domains[family(region.path)].add(region.domain)
    kernels = tuple(
        one.model_copy(update={"domain": min(found, key=lambda domain: (domain != OWN_DOMAIN, domain))})
        if one.where and not one.domain and (found := domains.get(family(one.where), set())) and "" not in found
        else one
        for one in report.kernels
    )
    return report.model_copy(update={"kernels": kernels})


def has_places(report: CountersReport) -> bool:
    """Whether kernels say in which regions they ran: the oldest files have it of regions alone."""
    return any(one.where for one in report.kernels) or not any(one.inclusive_kernels for one in report.regions)


def counters_inside(stage: str, counters: Sequence[CounterKernel]) -> tuple[CounterKernel, ...]:
    """Return the kernels with counters that ran in a stage."""
    place = family(stage)
    return tuple(one for one in counters if is_inside(one.where, place))


def counted(kernels: Sequence[CounterKernel], factors: Mapping[str, float]) -> Counted:
    """Return what counters say of some kernels together.

    Args:
        kernels: Kernels by geometry and place, those without counters included.
        factors: By how much the time of a region's kernels is multiplied to be of a whole run, by region path.
    """
    places = {family(path): factor for path, factor in factors.items()}
    timed = [(one, one.total_ns * places.get(one.where, 1.0)) for one in kernels]
    rows = [(one.efficiency, time) for one, time in timed if one.measured_calls]
    everything = sum(time for _, time in timed)
    typed: Counter[str] = Counter()
    for one, time in rows:
        if one.dtype and one.peak_share is not None:
            typed[one.dtype] += round(time * one.peak_share)

    def mean(figure: Callable[[Efficiency], float | None]) -> float | None:
        known = [(value, time) for one, time in rows if (value := figure(one)) is not None]
        weight = sum(time for _, time in known)
        return sum(value * time for value, time in known) / weight if weight else None

    return Counted(
        peak=mean(lambda one: one.peak_share),
        compute=mean(lambda one: one.compute_share),
        dram=mean(lambda one: one.dram_share),
        flops_per_s=mean(lambda one: one.flops_per_s),
        covered=sum(time for _, time in rows) / everything if everything else 0.0,
        dtypes=tuple(dtype for dtype, _ in typed.most_common()),
    )
