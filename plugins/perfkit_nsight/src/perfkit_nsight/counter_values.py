"""Values of metrics: their units, the mean of several measurements, and what they come to for a region."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from perfkit_core.schema.counters import MetricValue
from perfkit_nsight.tables import TIMES

_OF_THE_MACHINE: Final = ("breakdown:", "c2clink__", "device__", "numa__", "nvlink__", "profiler__", "sass__")
"""How metrics begin that say nothing of a kernel, or are parts of others; they are in ``launches.json``."""

_SECOND: Final = 10**9
_PREFIXES: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SCALED: Final[Mapping[str, tuple[str, float]]] = {
    **{f"{prefix}byte": ("byte", factor) for prefix, factor in _PREFIXES.items()},
    **{f"{prefix}hz": ("hz", factor) for prefix, factor in _PREFIXES.items()},
    **{unit: ("ns", factor) for unit, factor in TIMES.items()},
}
"""Base unit, and how many of it, of the units that ncu scales."""

_COUNTER: Final = re.compile(
    r"(?!launch__|derived_)(?P<counter>\w+__\w+)\.(?P<rollup>sum|avg|max|min|pct|ratio|max_rate)(?P<more>\.\S+)?"
)

Rule = Literal["sum", "mean", "max", "min"]


class Value(NamedTuple):
    """A metric of one launch, in its base unit.

    Attributes:
        value: Number or text; None where the profiler gave none.
        unit: Base unit; empty for counts.
    """

    value: float | str | None
    unit: str


Values = Mapping[str, Value]
"""Metrics of one launch by name."""


class Weighted(NamedTuple):
    """What one of a region's kernels adds to it.

    Attributes:
        values: Metrics of one run of it.
        calls: How often it runs in the region.
        time: What means are weighted by: the time of these runs under the counters, in nanoseconds.
    """

    values: Values
    calls: int
    time: float


def values_of(columns: Iterable[Mapping[str, Any]], count: int) -> list[dict[str, Value]]:
    """Turn columns of metrics, as ``launches.json`` has them, into metrics by launch.

    Args:
        columns: ``name``, ``values``, and ``unit`` or ``units``; ``section`` where the name is a label of a page.
        count: Launches.
    """
    found: list[dict[str, Value]] = [{} for _ in range(count)]
    for column in columns:
        name = f"{column['section']}: {column['name']}" if column.get("section") else str(column["name"])
        if name.startswith(_OF_THE_MACHINE):
            continue
        units = column.get("units") or [column.get("unit", "")] * count
        for launch, value, unit in zip(found, column["values"], units, strict=True):
            launch[name] = in_base_unit(value, unit)
    return found


def in_base_unit(value: float | str | None, unit: str) -> Value:
    """Return a value in bytes, ns, hz or their quotients where its unit is one of these, scaled; else as it is."""
    counted, _, by = unit.strip().partition("/")
    base, factor = _SCALED.get(counted, (counted, 1))
    if by in TIMES:
        factor *= _SECOND / TIMES[by]
        by = "s"
    name = f"{base}/{by}" if by else base
    if name == "cycle/s":
        name = "hz"
    if isinstance(value, int | float):
        return Value(float(value * factor), name)
    return Value(value, unit.strip() if value is not None else name)


def mean_of(launches: Sequence[Values]) -> dict[str, Value]:
    """Return the mean of several measurements of one kernel; texts and units that differ become null."""
    if len(launches) == 1:
        return dict(launches[0])
    found: dict[str, Value] = {}
    for name in dict.fromkeys(name for launch in launches for name in launch):
        known = [launch[name] for launch in launches if name in launch and launch[name].value is not None]
        units = {one.unit for one in known}
        numbers = [one.value for one in known if isinstance(one.value, float)]
        if len(units) == 1 and len(numbers) == len(known):
            found[name] = Value(math.fsum(numbers) / len(numbers), units.pop())
        elif len(set(known)) == 1:
            found[name] = known[0]
        else:
            found[name] = Value(None, units.pop() if len(units) == 1 else "")
    return found


@cache
def rule_of(name: str) -> Rule | None:
    """Return how a metric of a region follows from those of its kernels; None for what has no meaning there.

    ``counter.sum`` is a count, a time or bytes, and adds up. ``counter.max`` and ``.min``, and what is made of them,
    stay the largest and smallest. Averages, shares and rates are means weighted by time: of ``.sum.per_second`` and of
    shares of a peak by elapsed time that is exact, of others it is a fair mean.
    """
    found = _COUNTER.fullmatch(name)
    if found is None:
        return None
    if found["rollup"] in ("max", "min"):
        return "max" if found["rollup"] == "max" else "min"
    return "sum" if found["rollup"] == "sum" and not found["more"] else "mean"


def of_region(kernels: Sequence[Weighted]) -> Iterator[MetricValue]:
    """Yield the metrics of a region out of those of its measured kernels.

    ncu stores average, largest, smallest and sum, over the parts of the chip, of whatever is asked for; of the four a
    region has the sum of counts and rates and the average of shares, others only where these are not there. A sum to
    which a measured kernel has no value is null.
    """
    names = dict.fromkeys(name for kernel in kernels for name in kernel.values)
    for name in names:
        rule = rule_of(name)
        if rule is not None and _better(name) not in names:
            yield _combined(name, rule, kernels)


@cache
def _better(name: str) -> str:
    """Return the metric of the same counter that says what this one does, and more; empty when there is none."""
    found = _COUNTER.fullmatch(name)
    if found is None or found["rollup"] not in ("sum", "avg", "max", "min"):
        return ""
    better = "avg" if (found["more"] or "").startswith(".pct_of_") else "sum"
    return "" if found["rollup"] == better else f"{found['counter']}.{better}{found['more'] or ''}"


def _combined(name: str, rule: Rule, kernels: Sequence[Weighted]) -> MetricValue:
    known = [(kernel, kernel.values[name]) for kernel in kernels if name in kernel.values]
    numbers = [(kernel, one.value) for kernel, one in known if isinstance(one.value, float)]
    units = {one.unit for _, one in known if one.value is not None}
    unit = units.pop() if len(units) == 1 else ""
    if units or not numbers or (rule == "sum" and len(numbers) < len(kernels)):
        return MetricValue(name=name, value=None, unit=unit, of=rule)
    return MetricValue(name=name, value=_number(rule, numbers), unit=unit, of=rule)


def _number(rule: Rule, numbers: Sequence[tuple[Weighted, float]]) -> float | None:
    if rule == "sum":
        return math.fsum(kernel.calls * value for kernel, value in numbers)
    values = [value for _, value in numbers]
    if rule != "mean":
        return max(values) if rule == "max" else min(values)
    return weighted_mean([(kernel.time, value) for kernel, value in numbers])


def weighted_mean(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return the mean of values by weight, never beyond them; None without any weight."""
    whole = math.fsum(weight for weight, _ in pairs)
    if whole <= 0:
        return None
    found = math.fsum(weight * value for weight, value in pairs) / whole
    # Rounding must not lead out of the range.
    return min(max(found, min(value for _, value in pairs)), max(value for _, value in pairs))
