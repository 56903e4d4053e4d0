"""From samples to exact times: loops scaled to their full length, nanoseconds added as whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from perfkit_core.schema.session import RegionSample, RunSample


@dataclass
class RegionTotal:
    """One region in one run.

    Attributes:
        inclusive: Scaled nanoseconds with everything inside.
        exclusive: Scaled nanoseconds without the regions inside.
        instances: Scaled number of instances.
        values: Nanoseconds of every counted instance, as measured.
        first: Nanoseconds of the first instance.
        is_named: Whether the workload named it.
        is_loop: Whether its instances are iterations.
        measured: Iterations that stand for ``total``, of the sampled loops in, at or around this region; 0: none.
        total: Iterations they stand for.
    """

    inclusive: Fraction = Fraction(0)
    exclusive: Fraction = Fraction(0)
    instances: Fraction = Fraction(0)
    values: list[int] = field(default_factory=list)
    first: int = 0
    is_loop: bool = False
    is_named: bool = False
    measured: int = 0
    total: int = 0


@dataclass
class RunTotal:
    """One run: every region in order of appearance, and what the whole took.

    Attributes:
        whole: Scaled nanoseconds of the run.
        outside: Nanoseconds outside all stages.
        regions: By path.
    """

    whole: Fraction
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
    weights = _weights(samples)
    found: dict[str, RegionTotal] = {sample.path: RegionTotal() for sample in samples}
    for position, sample in enumerate(samples):
        region, weight = found[sample.path], weights[position]
        region.first = region.first or times[position]
        region.is_loop = sample.index is not None
        region.is_named |= sample.named
        region.exclusive += weight * own[position]
        region.instances += weight
        if weight:
            region.values.append(times[position])
        for ancestor in _upwards(samples, position):
            found[samples[ancestor].path].inclusive += weight * own[position]
    _note_sampling(samples, found)
    outside = run.wall_ns - sum(time for sample, time in zip(samples, times, strict=True) if sample.parent < 0)
    stages = sum((found[path].inclusive for path in {one.path for one in samples if one.parent < 0}), Fraction(0))
    return RunTotal(whole=stages + outside, outside=outside, regions=found)


def _weights(samples: Sequence[RegionSample]) -> list[Fraction]:
    weights: list[Fraction] = []
    for sample in samples:
        weight = weights[sample.parent] if sample.parent >= 0 else Fraction(1)
        if sample.index is not None:
            weight *= 0 if sample.index < sample.warmup else Fraction(sample.total, sample.measured)
        weights.append(weight)
    return weights


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
        sample.path: sample
        for sample in samples
        if sample.index is not None and sample.measured < sample.total and found[sample.path].instances
    }
    for path, region in found.items():
        for loop, sample in loops.items():
            if path == loop or path.startswith(f"{loop}/") or loop.startswith(f"{path}/"):
                region.measured += sample.measured
                region.total += sample.total
