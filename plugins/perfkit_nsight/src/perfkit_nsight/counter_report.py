"""Counters by kernel and region: what a kernel profiler measured, weighted by how often the timeline saw it run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from perfkit_core.counters import with_directory
from perfkit_core.kernel_names import library_of, readable_names
from perfkit_core.schema.counters import CounterKernel, CountersReport, Efficiency, MetricValue, RuleMessage, Thresholds
from perfkit_nsight.counter_join import Joined, Tally, Timeline, join, region_rows, timeline_of
from perfkit_nsight.counter_notes import UNMEASURED, around, notes_of, reasons_of
from perfkit_nsight.counter_regions import Known, Measured, region_of, top_kernels
from perfkit_nsight.counter_values import Values, mean_of, values_of
from perfkit_nsight.efficiency import efficiency_of
from perfkit_nsight.results import OWN_DOMAIN
from perfkit_nsight.verdict_options import thresholds_of
from perfkit_nsight.verdicts import Verdict, verdict_of
from perfkit_nsight.work_groups import Group, Place, natural

if TYPE_CHECKING:
    from perfkit_core.options import Options
    from perfkit_core.schema.regions import RegionsReport
    from perfkit_core.specs import DeviceSpec
    from perfkit_nsight.results import Counters

_DEVICE: Final = "device__attribute_display_name"
_WAVES: Final = "launch__waves_per_multiprocessor"


def counters_of(
    found: Counters, profile: RegionsReport, devices: Sequence[DeviceSpec], thresholds: Thresholds
) -> CountersReport:
    """Join measured launches with a timeline; the result follows from the arguments alone.

    A kernel with one geometry was measured once or a few times: the mean of these stands for each of its runs. What was
    not measured has no counters, and no region's figures assume any for it.

    Args:
        found: What was measured.
        profile: The timeline: kernels by region, how often they ran and how long they took.
        devices: GPUs whose peaks are known.
        thresholds: What verdicts are decided by.
    """
    timeline = timeline_of(profile)
    joined = join(found.results, timeline)
    values = values_of(found.metrics, len(found.results))
    names = _devices(found)
    device = next((one for one in devices if one.matches(names[0])), None) if len(names) == 1 else None
    labels = readable_names(key.name for key in timeline.kernels)
    kernels = [_measured(found, launches, values) for launches in joined.launches]
    known = Known(
        kernels=kernels,
        judged=[None if one is None else _judged(one, device, thresholds) for one in kernels],
        labels=[labels[key.name] for key in timeline.kernels],
        device=device,
        thresholds=thresholds,
    )
    rows, ranges = region_rows(profile), _ranges(found, values)
    times = {place: rows[place].inclusive_ns if place in rows else 0 for place in {**rows, **ranges}}
    listed = set(with_directory(times))
    regions = tuple(
        region_of(
            place,
            rows.get(place),
            timeline.inside.get(place, {}),
            ranges.get(place),
            known,
            listed=place in listed,
            around=around(place, ranges),
        )
        for place in sorted(times, key=_order)
    )
    return CountersReport(
        profiler=found.profiler,
        replay=found.replay,
        timeline=profile.profiler,
        device=", ".join(names),
        peaks="" if device is None else f"{device.name}: {device.source}",
        thresholds=thresholds,
        notes=tuple(notes_of(found, timeline, joined, ranges, any_region=bool(regions))),
        regions=regions,
        outside_ns=sum(tally.time for tally in timeline.outside.values()),
        outside_kernels=top_kernels(timeline.outside, known.labels),
        kernels=tuple(_kernels(found, timeline, joined, known, ranges)),
    )


def _kernels(
    found: Counters, timeline: Timeline, joined: Joined, known: Known, ranges: Collection[Place]
) -> Iterator[CounterKernel]:
    rules, reasons = _rules_by_launch(found), reasons_of(timeline, joined, ranges)
    ran = zip(timeline.kernels, timeline.whole, joined.launches, strict=True)
    for place, (key, tally, launches) in enumerate(ran):
        yield _kernel(
            key,
            tally,
            place,
            known,
            [rule for launch in launches for rule in rules.get(launch, ())],
            unmeasured=reasons.get(place, UNMEASURED),
        )


def importing(found: Counters, options: Options) -> Callable[[RegionsReport, Sequence[DeviceSpec]], CountersReport]:
    """Return what an importer gives perfkit to call once the timeline is known."""
    thresholds = thresholds_of(options)
    return lambda profile, devices: counters_of(found, profile, devices, thresholds)


def _measured(found: Counters, launches: Sequence[int], values: Sequence[Values]) -> Measured | None:
    if not launches:
        return None
    results = [found.results[launch] for launch in launches]
    times = [one.duration_ns for one in results if one.duration_ns is not None]
    passes = [one.passes for one in results if one.passes is not None]
    return Measured(
        values=mean_of([values[launch] for launch in launches]),
        launches=len(launches),
        time=math.fsum(times) / len(times) if times else None,
        passes=max(passes, default=None),
    )


def _ranges(found: Counters, values: Sequence[Values]) -> dict[Place, Measured]:
    """Return what was measured of ranges as a whole, by region: the innermost open one of every domain."""
    launches: dict[Place, list[int]] = {}
    for place, result in enumerate(found.results):
        for domain, paths in result.paths().items() if not result.is_kernel else ():
            launches.setdefault((domain, paths[-1]), []).append(place)
    measured = {place: _measured(found, numbers, values) for place, numbers in launches.items()}
    return {place: one for place, one in measured.items() if one is not None}


def _kernel(
    key: Group, tally: Tally, place: int, known: Known, rules: Sequence[RuleMessage], *, unmeasured: str
) -> CounterKernel:
    one, judged = known.kernels[place], known.judged[place]
    facts: dict[str, Any] = {
        "name": key.name,
        "readable": known.labels[place],
        "library": library_of(key.name),
        "grid": key.grid,
        "block": key.block,
        "where": key.where,
        "domain": key.regions[0][0],
        "calls": tally.calls,
        "total_ns": tally.time,
    }
    if one is None or judged is None:
        return CounterKernel(**facts, measured_calls=0, profiled_ns=None, bound="unknown", reason=unmeasured)
    efficiency, verdict = judged
    return CounterKernel(
        **facts,
        measured_calls=one.launches,
        profiled_ns=one.time,
        passes=one.passes,
        bound=verdict.bound,
        reason=verdict.reason,
        efficiency=efficiency,
        metrics=tuple(MetricValue(name=name, value=value, unit=unit) for name, (value, unit) in one.values.items()),
        rules=tuple(dict.fromkeys(rules)),
    )


def _judged(one: Measured, device: DeviceSpec | None, thresholds: Thresholds) -> tuple[Efficiency, Verdict]:
    efficiency = efficiency_of(one.amounts, one.shares, device)
    waves = one.values[_WAVES].value if _WAVES in one.values else None
    known = waves if isinstance(waves, float) else None
    return efficiency, verdict_of(efficiency, thresholds, waves=known, time=one.time)


def _rules_by_launch(found: Counters) -> dict[int, list[RuleMessage]]:
    rules: dict[int, list[RuleMessage]] = {}
    for rule in found.rules:
        gain = rule["speedup"]
        message = RuleMessage(
            section=rule["section"],
            rule=rule["rule"],
            type=rule["type"],
            message=rule["message"],
            speedup_percent=float(gain) if isinstance(gain, int | float) and math.isfinite(gain) else None,
            speedup_type=rule["speedup_type"],
        )
        rules.setdefault(rule["launch"], []).append(message)
    return rules


def _devices(found: Counters) -> list[str]:
    """Return the names of the GPUs that were measured."""
    columns = [column["values"] for column in found.metrics if column["name"] == _DEVICE]
    return sorted({value for values in columns for value in values if isinstance(value, str) and value})


def _order(place: Place) -> tuple[bool, str, list[list[tuple[int, str]]]]:
    """Sort perfkit's own regions first, numbers in names by their size."""
    domain, path = place
    return domain != OWN_DOMAIN, domain, [natural(segment) for segment in path.split("/")]
