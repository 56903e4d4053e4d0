"""What a profile recorded, scaled to a whole run: profiled runs leave iterations of long loops out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionRow, RegionsReport

OWN_DOMAIN: Final = "perfkit"
"""Domain of the regions that perfkit opens itself."""


def region_rows(profile: RegionsReport | None) -> dict[str, RegionRow]:
    """Return the aggregate rows of the domain that has the regions: perfkit's own where there is one."""
    rows = [row for row in (profile.regions if profile else ()) if row.process is None and row.device is None]
    domains = [row.domain for row in rows]
    domain = OWN_DOMAIN if OWN_DOMAIN in domains else (domains[0] if domains else "")
    return {row.path: row for row in rows if row.domain == domain}


def scale_factors(
    rows: Mapping[str, RegionRow], metrics: Metrics | None, analytic: AnalyticReport | None
) -> dict[str, float]:
    """Return by how much the work of each region is multiplied to be of a whole run: profiles leave iterations out."""
    if metrics is not None:
        loops = {time.path: float(time.instances) for time in metrics.aggregates.step_ms.values()}
    elif analytic is not None:
        # A stage may enter its modules several times: what it is multiplied by is told by those inside.
        stages = {stage.path for stage in analytic.stages}
        modules = [module for module in analytic.modules if module.calls and module.path not in stages]
        loops = {module.path: float(module.calls) for module in modules}
    else:
        loops = {}
    found = {}
    for path in rows:
        places = [place for place in upwards(path) if place in loops and place in rows and rows[place].instances]
        inside = [] if places or metrics is not None else _loop_inside(path, loops, rows)
        place = next(iter([*places, *inside]), None)
        found[path] = loops[place] / (rows[place].instances or 1) if place is not None else 1.0
    return found


def known_factors(rows: Mapping[str, RegionRow], analytic: AnalyticReport | None) -> dict[str, float] | None:
    """Return the factors of a profile without unprofiled times; None where the analytic view does not tell them."""
    if analytic is None or not any(row.instances for row in rows.values()):
        return None
    factors, paths = scale_factors(rows, None, analytic), {module.path for module in analytic.modules}
    return factors if any(path in paths and row.instances for path, row in rows.items()) else None


def _loop_inside(path: str, loops: Mapping[str, float], rows: Mapping[str, RegionRow]) -> list[str]:
    """Return regions inside that are entered as often as the one around them, which the analytic view does not have."""
    return [
        one
        for one in loops
        if one.startswith(f"{path}/")
        and one in rows
        and rows[one].instances == rows[path].instances
        and rows[one].instances
    ]


def recorded_flops(analytic: AnalyticReport | None, profile: RegionsReport) -> dict[str, int]:
    """Return the FLOPs of what was recorded, by region: a capture seldom holds a whole workload.

    What runs in a region counts as often as that region was recorded, of as often as the workload calls it.
    """
    recorded = {
        row.path: row.instances
        for row in profile.regions
        if row.domain == OWN_DOMAIN and row.process is None and row.device is None and row.instances is not None
    }
    if analytic is None:
        return {}
    calls = {module.path: module.calls for module in analytic.modules}
    found = {path: Fraction(0) for path in recorded if path in calls}
    for module in analytic.modules:
        places = [place for place in upwards(module.path) if place in found]
        if places and calls[places[0]]:
            own = Fraction(module.own_flops * recorded[places[0]], calls[places[0]])
            for place in places:
                found[place] += own
    return {path: round(flops) for path, flops in found.items()}


def upwards(path: str) -> Iterator[str]:
    """Yield a path and those that contain it, innermost first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def busy_seconds(
    path: str, rows: Mapping[str, RegionRow], factors: Mapping[str, float]
) -> tuple[float | None, float | None]:
    """Return the seconds in which kernels of a stage run and in which the GPU idles in it, scaled to a whole run."""
    row = rows.get(path)
    if row is None or row.busy_ns is None:
        return None, None
    children = [one for one in rows if one.startswith(f"{path}/") and factors[one] != factors[path]]
    outermost = [one for one in children if not any(one.startswith(f"{other}/") for other in children)]
    busy, idle = float(row.busy_ns), None if row.idle_time is None else float(row.idle_time)
    for one in outermost:
        # What the loop took as recorded is already part of the stage; the iterations left out come on top.
        busy += (factors[one] / factors[path] - 1) * (rows[one].busy_ns or 0)
        idle = None if idle is None else idle + (factors[one] / factors[path] - 1) * (rows[one].idle_time or 0)
    return busy * factors[path] / 1e9, None if idle is None else idle * factors[path] / 1e9


def scaled_launches(path: str, rows: Mapping[str, RegionRow], factors: Mapping[str, float]) -> float:
    """Return the launches of a stage in a whole run, those that the profiler does not tell of as none."""
    return sum((row.exclusive_launches or 0) * factors[one] for one, row in rows.items() if is_inside(one, path))


def is_inside(path: str, stage: str) -> bool:
    """Whether a region is a stage or lies in it."""
    return path == stage or path.startswith(f"{stage}/")
