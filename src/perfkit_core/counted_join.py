"""Joining the FLOPs that tensor cores counted with those of the analytic view, by the path of the region."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from perfkit_core.counted import CountedFlops, CountedRow
from perfkit_core.counter_use import has_places
from perfkit_core.families import family_names
from perfkit_core.kernel_kinds import LIGHT, kind_of
from perfkit_core.kernel_names import library_of
from perfkit_core.recorded import OWN_DOMAIN, recorded_flops, upwards
from perfkit_core.schema.analytic import AnalyticReport, ModuleRecord
from perfkit_core.schema.counters import CounterRegion, CountersReport
from perfkit_core.schema.regions import RegionRow, RegionsReport
from perfkit_core.units import format_flops


def counted_flops(
    analytic: AnalyticReport | None, profile: RegionsReport | None, counters: CountersReport | None
) -> CountedFlops:
    """Set the FLOPs that tensor cores counted against the analytic ones.

    Left out are regions without FLOPs by formula, without counters of tensor cores, and stages of which a profile
    does not tell how often they were entered.

    Args:
        analytic: Costs from formulas; None without them.
        profile: The timeline; None without one.
        counters: Hardware counters; None without them.
    """
    if analytic is None or profile is None or counters is None:
        return CountedFlops((), {})
    whole = [row for row in profile.regions if row.process is None and row.device is None]
    seen = {row.path: row for row in whole if row.domain == OWN_DOMAIN}
    flops = recorded_flops(analytic, profile)
    modules = {module.path: module for module in analytic.modules}
    untold = _untold(modules, seen)
    unmeasured = _unmeasured(counters)
    rows = [
        _row(region, modules[region.path], seen[region.path], flops[region.path], unmeasured)
        for region in counters.regions
        if region.domain == OWN_DOMAIN and region.path not in untold and flops.get(region.path)
        if region.efficiency.tensor_flops is not None
    ]
    order = {path: place for place, path in enumerate(modules)}
    rows.sort(key=lambda row: order[row.path])
    return CountedFlops(tuple(_with_own(rows)), family_names(analytic.modules))


def _row(
    region: CounterRegion, module: ModuleRecord, seen: RegionRow, flops: int, unmeasured: Sequence[re.Pattern[str]]
) -> CountedRow:
    """Return a row; what of it lies outside the regions inside is found once all rows are there."""
    instances = seen.instances or 0
    as_range = region.range_ns is not None and not region.measured_share
    # A range replayed as a whole has the mean of one instance, kernels the sum over all their runs.
    factor = instances if as_range else 1
    found = region.efficiency
    whole = as_range or not any(pattern.match(region.path) for pattern in unmeasured)
    row = CountedRow(
        path=region.path,
        instances=instances,
        calls=module.calls,
        analytic_flops=flops,
        counted_flops=(found.tensor_flops or 0.0) * factor,
        other_flops=None if found.cuda_core_flops is None else found.cuda_core_flops * factor,
        measured_share=1.0 if as_range else region.measured_share,
        is_whole=whole and (as_range or not seen.graphs.inclusive),
        own_difference=0.0,
        note="",
    )
    return replace(row, note="; ".join(_notes(row, seen, as_range=as_range)))


def _notes(row: CountedRow, seen: RegionRow, *, as_range: bool) -> Iterable[str]:
    if as_range:
        yield "replayed as a whole"
    if not row.is_whole:
        graphs = seen.graphs.inclusive and not as_range
        yield "kernels in CUDA graphs are not recorded: a lower bound" if graphs else "partly measured: a lower bound"
    if row.agreement == "less":
        left = "the rest" if row.counted_flops else "all of it"
        yield f"{left} was done without tensor cores, or not at all"
        if row.other_flops:
            yield f"other cores did {format_flops(row.other_flops)} of any kind"
    if row.instances != row.calls:
        yield "analytic: mean of all calls"


def _untold(modules: Mapping[str, ModuleRecord], seen: Mapping[str, RegionRow]) -> set[str]:
    """Return stages whose FLOPs nothing inside them tells the number of.

    A stage that was entered less often than its modules are called was sampled, or calls them several times: only
    regions inside tell.
    """
    found = set()
    for module in modules.values():
        place = next((path for path in upwards(module.path) if path in seen and path in modules), "")
        if module.own_flops and place and "/" not in place and seen[place].instances != modules[place].calls:
            found.add(place)
    return found


def _unmeasured(counters: CountersReport) -> list[re.Pattern[str]]:
    """Return what matches the regions that have a kernel in them that was not measured and may use tensor cores.

    Libraries' element-wise kernels, norms and copies do not; whatever else is not measured may. Where kernels do not
    say in which regions they ran, all that was not measured may be one of those.
    """
    if not has_places(counters):
        partly = [one.path for one in counters.regions if one.domain == OWN_DOMAIN and one.measured_share < 1]
        return [re.compile(re.escape(path) + r"\Z") for path in partly]
    families = {
        kernel.where
        for kernel in counters.kernels
        if kernel.efficiency.tensor_flops is None and kernel.where and kernel.domain == OWN_DOMAIN
        if kind_of(kernel.name) not in LIGHT or not library_of(kernel.name)
    }
    around = {path for family in families for path in upwards(family)}
    return [re.compile(re.escape(path).replace(r"\*", r"(?:\d+|\*)") + r"\Z") for path in sorted(around)]


def _with_own(rows: Sequence[CountedRow]) -> Iterable[CountedRow]:
    """Yield the rows with what of their difference does not lie in the rows inside."""
    known = {row.path for row in rows}
    inside: dict[str, float] = defaultdict(float)
    for row in rows:
        above = next((path for path in upwards(row.path.rpartition("/")[0]) if path in known), "")
        inside[above] += row.counted_flops - row.analytic_flops
    for row in rows:
        yield replace(row, own_difference=row.counted_flops - row.analytic_flops - inside.get(row.path, 0.0))
