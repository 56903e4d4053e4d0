"""Loops of stages: which one a stage is or contains, how often it runs and what one iteration is called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from perfkit_core.recorded import is_inside
from perfkit_core.schema.metrics import Metrics
from perfkit_core.schema.regions import RegionRow

DECODE: Final = "decode"
"""Loop whose iterations make one token each, by convention of all models."""


def timed_loop(path: str, metrics: Metrics, calls: int) -> tuple[str, int, str]:
    """Return the loop of a stage, its iterations and what one is called."""
    loop = next((one for one in metrics.aggregates.step_ms.values() if is_inside(one.path, path)), None)
    if loop is None:
        return "", calls, "call"
    token = metrics.aggregates.time_per_output_token_ms
    if token is not None and token.mean == loop.mean:
        return loop.path, loop.instances, "token"
    return loop.path, loop.instances, "iteration" if loop.path == path else loop.path.rpartition("/")[2]


def recorded_loop(
    path: str, rows: Mapping[str, RegionRow], factors: Mapping[str, float], calls: int, units: Collection[str]
) -> tuple[str, int, str]:
    """Return the same where nothing was timed: a loop is what the profile has less often than the workload does it.

    Args:
        path: Region path of the stage.
        rows: Regions of the profile.
        factors: By how much the work of each is multiplied to be of a whole run.
        calls: How often the workload enters the stage.
        units: What the workload produces.
    """
    inside = [one for one in rows if one.startswith(f"{path}/") and factors[one] != factors[path]]
    loop = min(inside, key=lambda one: one.count("/"), default=None)
    if loop is None:
        if calls > 1 and path == DECODE and "tokens" in units:
            return path, calls, "token"
        return ("", calls, "call") if factors.get(path, 1.0) == 1 else (path, calls, "iteration")
    return loop, round((rows[loop].instances or 1) * factors[loop]), loop.rpartition("/")[2]
