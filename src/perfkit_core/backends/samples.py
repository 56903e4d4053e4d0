"""From samples to exact times: loops scaled to their full length, nanoseconds added as whole numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from perfkit_core.schema.metrics import RegionTime
from perfkit_core.schema.session import RegionSample, RunSample


@dataclass
class RegionTotal:
    """One region in one run.

    Attributes:
        inclusive: Scaled nanoseconds with everything inside.
        exclusive: Scaled nanoseconds without the regions inside.
        instances: Scaled number of instances.
        values: Nanoseconds of every counted instance, sampled loops inside it scaled.
        spent: Nanoseconds of all instances as executed, those that do not count included; nothing is scaled.
        first: Nanoseconds of the first instance; 0 where a sampled loop inside it left iterations out.
        is_named: Whether the workload named it.
        is_loop: Whether its instances are iterations.
        measured: Instances that stand for ``total``; for a region around sampled loops, those of the outermost; 0
            where nothing was left out.
        total: Instances they stand for.
        executed: Of these instances those that ran at all, those that do not count included.
    """

    inclusive: Fraction = Fraction(0)
    exclusive: Fraction = Fraction(0)
    instances: Fraction = Fraction(0)
    values: list[Fraction] = field(default_factory=list)
    spent: int = 0
    first: int | None = None
    is_loop: bool = False
    is_named: bool = False
    measured: int = 0
    total: int = 0
    executed: int = 0


@dataclass
class RunTotal:
    """One run: every region in order of appearance, and what the whole took.

    Attributes:
        whole: Scaled nanoseconds of the run.
        spent: Nanoseconds of the run as executed.
        outside: Nanoseconds outside all stages.
        regions: By path.
    """

    whole: Fraction
    spent: int
    outside: int
    regions: dict[str, RegionTotal]


def totals(run: RunSample) -> RunTotal:
    """Return the times of one run, with sampled loops scaled to the workload's own count.

    An instance in a sampled loop counts ``total / measured`` times, one of the loop's warm-up not at all. The
    scaled time of a region is the sum of what its instances, and those inside, took themselves.
    """
    samples = run.regions
    times = [sample.host_ns if sample.device_ns is None else sample.device_ns for sample in samples]
    own = list(times)
    for sample, time in zip(samples, times, strict=True):
        if sample.parent >= 0:
            own[sample.parent] -= time
    factors = [_factor(sample) for sample in samples]
    weights = _weights(samples, factors)
    scaled = _scaled(samples, own, factors)
    found: dict[str, RegionTotal] = {sample.path: RegionTotal() for sample in samples}
    for position, sample in enumerate(samples):
        region, weight = found[sample.path], weights[position]
        if region.first is None:
            region.first = times[position] if scaled[position] == times[position] else 0
        region.spent += times[position]
        region.is_loop = sample.index is not None
        region.is_named |= sample.named
        region.exclusive += weight * own[position]
        region.instances += weight
        if weight:
            region.values.append(scaled[position])
        for ancestor in _upwards(samples, position):
            found[samples[ancestor].path].inclusive += weight * own[position]
    _note_sampling(samples, found)
    outside = run.wall_ns - sum(time for sample, time in zip(samples, times, strict=True) if sample.parent < 0)
    stages = sum((found[path].inclusive for path in {one.path for one in samples if one.parent < 0}), Fraction(0))
    return RunTotal(whole=stages + outside, spent=run.wall_ns, outside=outside, regions=found)


def region_times(runs: Sequence[RunTotal]) -> tuple[RegionTime, ...]:
    """Return the mean time of every region over some runs, parents before children.

    Whole nanoseconds that add up: what a region has inside is the sum of what the regions inside have themselves.
    """
    found: dict[str, list[RegionTotal]] = {}
    for run in runs:
        for path, region in run.regions.items():
            if region.instances:
                found.setdefault(path, []).append(region)
    own = {path: round(mean([region.exclusive for region in regions])) for path, regions in found.items()}
    inclusive = dict.fromkeys(own, 0)
    for path, time in own.items():
        place = path
        while place:
            if place in inclusive:
                inclusive[place] += time
            place = place.rpartition("/")[0]
    return tuple(
        RegionTime(
            path=path,
            instances=round(regions[0].instances),
            inclusive_ns=inclusive[path],
            exclusive_ns=own[path],
        )
        for path, regions in found.items()
    )


def mean(values: Sequence[Fraction]) -> Fraction:
    """Return the exact mean of at least one value."""
    return sum(values, Fraction(0)) / len(values)


def _factor(sample: RegionSample) -> Fraction:
    """Return how many instances of what contains it one instance stands for."""
    if sample.index is None:
        return Fraction(1)
    return Fraction(0) if sample.index < sample.warmup else Fraction(sample.total, sample.measured)


def _weights(samples: Sequence[RegionSample], factors: Sequence[Fraction]) -> list[Fraction]:
    """Return how many instances of the whole run each one stands for."""
    weights: list[Fraction] = []
    for sample, factor in zip(samples, factors, strict=True):
        weights.append(factor * (weights[sample.parent] if sample.parent >= 0 else 1))
    return weights


def _scaled(samples: Sequence[RegionSample], own: Sequence[int], factors: Sequence[Fraction]) -> list[Fraction]:
    """Return what each instance takes with the sampled loops inside it in full."""
    scaled = [Fraction(time) for time in own]
    for position in reversed(range(len(samples))):  # what is inside an instance comes after it
        parent = samples[position].parent
        if parent >= 0:
            scaled[parent] += factors[position] * scaled[position]
    return scaled


def _upwards(samples: Sequence[RegionSample], position: int) -> list[int]:
    """Return an instance and all that contain it; a path that contains itself counts once."""
    chain: list[int] = []
    seen: set[str] = set()
    while position >= 0:
        if samples[position].path not in seen:
            seen.add(samples[position].path)
            chain.append(position)
        position = samples[position].parent
    return chain


def _note_sampling(samples: Sequence[RegionSample], found: dict[str, RegionTotal]) -> None:
    """Mark every region whose time rests on a sampled loop: the loop, what is in it and what contains it."""
    loops = {
        sample.path
        for sample in samples
        if sample.index is not None and sample.measured < sample.total and found[sample.path].instances
    }
    ran = Counter(sample.path for sample in samples)
    for path, region in found.items():
        if any(path == loop or path.startswith(f"{loop}/") for loop in loops):
            region.measured, region.total = len(region.values), round(region.instances)
            region.executed = ran[path]
    outermost = {loop for loop in loops if not any(loop.startswith(f"{other}/") for other in loops)}
    for path, region in found.items():
        for loop in outermost:
            if loop.startswith(f"{path}/"):
                region.measured += found[loop].measured
                region.total += found[loop].total
                region.executed += found[loop].executed
