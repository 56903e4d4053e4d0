"""Counters of regions: sums and means over the runs of their measured kernels, or of a range replayed as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from perfkit_core.schema.counters import Bound, CounterRegion, Efficiency, MetricValue, Thresholds, TopKernel
from perfkit_core.units import format_share
from perfkit_nsight.counter_join import Tally
from perfkit_nsight.counter_ranges import range_figures
from perfkit_nsight.counter_values import Values, Weighted, of_region, rule_of
from perfkit_nsight.efficiency import Amounts, Shares, added, amounts_of, averaged, efficiency_of, shares_of
from perfkit_nsight.verdicts import Verdict, at, reaches, region_verdict, verdict_of, waiting
from perfkit_nsight.work_groups import Place

if TYPE_CHECKING:
    from perfkit_core.schema.regions import RegionRow
    from perfkit_core.specs import DeviceSpec

TOP: Final = 20
"""Kernels that a region lists."""

FEW_KERNELS: Final = 2
"""Kernels of an instance up to which its idle time is not said to be for launches: it lies around a kernel or two."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the measured launches of one kernel, or of one range, showed on average.

    Attributes:
        values: Metrics of one run.
        launches: How many were measured.
        time: Mean time under the counters, in nanoseconds; None when it was not collected.
        passes: How often one was replayed; None when unknown.
    """

    values: Values
    launches: int
    time: float | None
    passes: int | None

    @cached_property
    def amounts(self) -> Amounts:
        """What adds up, of one run."""
        return amounts_of(self.values, self.time)

    @cached_property
    def shares(self) -> Shares:
        """Parts of peaks."""
        return shares_of(self.values)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What all regions have in common.

    Attributes:
        kernels: What was measured of every kernel of the timeline; None for one without counters.
        judged: Figures and verdict of each of these.
        labels: A short name for each.
        device: The GPU with its peaks; None when unknown.
        thresholds: What verdicts are decided by.
    """

    kernels: Sequence[Measured | None]
    judged: Sequence[tuple[Efficiency, Verdict] | None]
    labels: Sequence[str]
    device: DeviceSpec | None
    thresholds: Thresholds


def region_of(
    place: Place,
    row: RegionRow | None,
    inside: Mapping[int, Tally],
    whole: Measured | None,
    known: Known,
    *,
    listed: bool = True,
    around: str = "",
) -> CounterRegion:
    """Return one region.

    Args:
        place: Its domain and path.
        row: The timeline's row of it; None when only a range of that name was replayed.
        inside: Runs of its kernels, regions inside included, by the kernel's place.
        whole: What was measured of its range as a whole; None when it was not.
        known: What all regions have in common.
        listed: Whether its metrics are listed.
        around: The range around it that was measured as a whole; empty without one.
    """
    domain, path = place
    parent, _, name = path.rpartition("/")
    time = row.inclusive_ns if row else 0
    measured = {kernel: tally for kernel, tally in inside.items() if known.kernels[kernel] is not None}
    share = min(1.0, sum(tally.time for tally in measured.values()) / time) if time else 0.0
    idle = _idle(row)
    waits = waiting(None if _few(row) else idle, known.thresholds)
    efficiency, verdict = _figures(measured, share, row, whole, waits, around, known)
    return CounterRegion(
        name=name,
        path=path,
        parent=parent or None,
        domain=domain,
        directory="",
        total_ms=time / 1e6,
        kernel_count=row.inclusive_kernels if row else 0,
        inclusive_ns=time,
        exclusive_ns=row.exclusive_ns if row else 0,
        inclusive_kernels=row.inclusive_kernels if row else 0,
        exclusive_kernels=row.exclusive_kernels if row else 0,
        instances=row.instances if row else None,
        measured_share=share,
        range_ns=whole.time if whole else None,
        idle_share=idle,
        bound=verdict.bound,
        reason=_reason(verdict, share, of_kernels=bool(measured)),
        efficiency=efficiency,
        metrics=(*of_region(_weighted(measured, known)), *_of_range(whole)) if listed else (),
        top_kernels=top_kernels(inside, known.labels),
        note=" ".join(_notes(row, inside, measured, whole, around)),
    )


def top_kernels(inside: Mapping[int, Tally], labels: Sequence[str]) -> tuple[TopKernel, ...]:
    """Return the kernels that take most time, the largest first."""
    ranked = sorted(inside.items(), key=lambda item: (-item[1].time, item[0]))[:TOP]
    return tuple(
        TopKernel(kernel=kernel, readable=labels[kernel], calls=tally.calls, total_ns=tally.time)
        for kernel, tally in ranked
    )


def _idle(row: RegionRow | None) -> float | None:
    if row is None or row.idle_time is None or row.busy_ns is None:
        return None
    whole = row.idle_time + row.busy_ns
    return row.idle_time / whole if whole else None


def _few(row: RegionRow | None) -> bool:
    """Tell whether a region has so few kernels each time that it cannot wait for the launches of others."""
    if row is None or not row.instances:
        return False
    return row.inclusive_kernels <= FEW_KERNELS * row.instances


def _figures(
    measured: Mapping[int, Tally],
    share: float,
    row: RegionRow | None,
    whole: Measured | None,
    waits: Verdict | None,
    around: str,
    known: Known,
) -> tuple[Efficiency, Verdict]:
    limits = known.thresholds
    if measured:
        parts = [(one, measured[kernel]) for kernel in sorted(measured) if (one := known.kernels[kernel])]
        amounts = added([(one.amounts, tally.calls) for one, tally in parts])
        shares = averaged([(one.shares, _time(one, tally)) for one, tally in parts])
        efficiency = efficiency_of(amounts, shares, known.device)
        if waits is None and row is not None and row.inclusive_ns and not reaches(share, limits.least_measured):
            few = f"only {format_share(share)} of its kernel time has counters"
            return efficiency, Verdict("unknown", f"{few} (a verdict takes {at(limits.least_measured)})")
        verdict = waits or verdict_of(efficiency, limits)
        return efficiency, region_verdict(verdict, _times(measured, known), limits)
    if whole is not None:
        return range_figures(whole.amounts, whole.shares, row, waits, known.device, limits)
    left = f"it is inside {around}, whose range was measured as a whole" if around else "nothing of it was measured"
    return Efficiency(), waits or Verdict("unknown", left)


def _times(measured: Mapping[int, Tally], known: Known) -> dict[Bound, float]:
    """Return the time of a region's measured kernels by what limits each."""
    times: dict[Bound, float] = {}
    for kernel, tally in measured.items():
        one, judged = known.kernels[kernel], known.judged[kernel]
        if one is not None and judged is not None:
            bound = judged[1].bound
            times[bound] = times.get(bound, 0) + _time(one, tally)
    return times


def _time(one: Measured, tally: Tally) -> float:
    """Return what a kernel's shares weigh: its time under the counters, where they were read, or on the timeline."""
    return tally.time if one.time is None else one.time * tally.calls


def _weighted(measured: Mapping[int, Tally], known: Known) -> list[Weighted]:
    found: list[Weighted] = []
    for kernel in sorted(measured):
        one, tally = known.kernels[kernel], measured[kernel]
        if one is not None:
            found.append(Weighted(one.values, tally.calls, _time(one, tally)))
    return found


def _of_range(whole: Measured | None) -> Iterator[MetricValue]:
    for name, (value, unit) in whole.values.items() if whole else ():
        if rule_of(name) is not None:
            yield MetricValue(name=name, value=value, unit=unit, of="range")


def _reason(verdict: Verdict, share: float, *, of_kernels: bool) -> str:
    if not of_kernels or verdict.bound in ("unknown", "launch") or share >= 0.9995:
        return verdict.reason
    return f"{verdict.reason}; of the {format_share(share)} of its kernel time that has counters"


def _notes(
    row: RegionRow | None,
    inside: Mapping[int, Tally],
    measured: Mapping[int, Tally],
    whole: Measured | None,
    around: str,
) -> Iterator[str]:
    if row is None or row.inclusive_kernels == 0:
        yield "No kernel ran in it on the timeline."
    else:
        listed = sum(tally.calls for tally in inside.values())
        if listed < row.inclusive_kernels:
            yield (
                f"{row.inclusive_kernels - listed} of its kernels are counted for regions of another domain too, where "
                "the timeline lists them: they are not among its kernels and counters here."
            )
        if inside and not measured and whole is None:
            yield (f"Inside {around}, whose range was measured as a whole." if around else "Not measured.")
    if whole is not None:
        often = "once" if whole.launches == 1 else f"{whole.launches} times"
        yield (
            f"Its range was replayed as a whole, and measured {often}: metrics of the range are of everything between "
            "its ends, not sums over kernels, and of one instance."
        )
