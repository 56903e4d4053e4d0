"""Summaries of repeated measurements."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

RESAMPLES = 2000
CONFIDENCE = 0.95
FEWEST_TO_RESAMPLE = 5
_STUDENT = {1: 12.706, 2: 4.303, 3: 3.182}
"""97.5 % quantiles of Student's t by degrees of freedom, from any table of it."""


class Summary(NamedTuple):
    """What repeated values look like, in the unit of the values.

    Attributes:
        mean: Arithmetic mean.
        std: Standard deviation of the sample; None for a single value.
        min: Smallest value.
        median: Middle value.
        p95: 95th percentile, interpolated.
        ci_low: Lower end of the 95 % interval of the mean, see ``interval``; None for a single value.
        ci_high: Upper end.
        n: Number of values.
    """

    mean: float
    std: float | None
    min: float
    median: float
    p95: float
    ci_low: float | None
    ci_high: float | None
    n: int


def summary(values: Sequence[float]) -> Summary:
    """Return the summary of at least one value; the same values give the same interval."""
    ordered = sorted(values)
    count = len(ordered)
    mean = math.fsum(ordered) / count
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in ordered) / (count - 1)) if count > 1 else None
    low, high = (None, None) if std is None else interval(ordered, mean, std)
    return Summary(mean, std, ordered[0], quantile(ordered, 0.5), quantile(ordered, 0.95), low, high, count)


def interval(ordered: Sequence[float], mean: float, std: float) -> tuple[float, float]:
    """Return the 95 % interval of the mean of at least two values.

    A bootstrap of two to four values spans little more than the values themselves, which covers the true mean far
    less often than 95 times in 100; for so few it is Student's t interval, which supposes normal values.
    """
    if len(ordered) >= FEWEST_TO_RESAMPLE:
        return bootstrap(ordered)
    reach = _STUDENT[len(ordered) - 1] * std / math.sqrt(len(ordered))
    return mean - reach, mean + reach


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return a quantile of sorted values, interpolated between neighbours."""
    place = part * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean."""
    generator = random.Random(0)  # noqa: S311 - resampling, not secrecy
    count = len(values)
    means = sorted(math.fsum(generator.choices(values, k=count)) / count for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    return quantile(means, tail), quantile(means, 1 - tail)
