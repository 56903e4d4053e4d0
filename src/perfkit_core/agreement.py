"""Whether the measured times of two runs agree: the whole run and every stage, with what chance leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from perfkit_core.schema.analysis import Agreement, TimeAgreement
from perfkit_core.schema.metrics import Aggregates, StageTime
from perfkit_core.units import format_change, format_ms, format_share

if TYPE_CHECKING:
    from perfkit_core.rundir import Run

LIMIT = 0.10
"""Largest relative change of a mean at which two runs agree."""


def agreement_of(base: Run, head: Run) -> Agreement | None:
    """Return whether the unprofiled times of two runs agree; None unless both were timed by ``wall_clock``."""
    if base.metrics is None or head.metrics is None:
        return None
    before, after = base.metrics.aggregates, head.metrics.aggregates
    whole = _compared(before.run_ms, after.run_ms)
    if whole is None:
        return None
    stages = tuple(_stages(before, after))
    return Agreement(
        limit=LIMIT, agrees=whole.agrees, certain=whole.certain, whole=whole, stages=stages, text=_text(whole, stages)
    )


def _stages(before: Aggregates, after: Aggregates) -> Iterator[TimeAgreement]:
    for name, one in before.stage_ms.items():
        other = after.stage_ms.get(name)
        if one.nested_in or other is None:
            continue
        found = _compared(one, other)
        if found is not None:
            yield found


def _compared(base: StageTime, head: StageTime) -> TimeAgreement | None:
    """Compare two means; the interval is the widest that both means' own 95 % intervals allow."""
    if base.mean <= 0 or head.mean <= 0:
        return None
    change = head.mean / base.mean - 1
    low = high = None
    if base.ci_low and base.ci_high and head.ci_low is not None and head.ci_high is not None:
        low, high = head.ci_low / base.ci_high - 1, head.ci_high / base.ci_low - 1
    agrees = abs(change) <= LIMIT
    return TimeAgreement(
        path=base.path,
        base_ms=base.mean,
        head_ms=head.mean,
        relative_change=change,
        low=low,
        high=high,
        agrees=agrees,
        certain=low is not None and high is not None and _is_certain(low, high, agrees=agrees),
    )


def _is_certain(low: float, high: float, *, agrees: bool) -> bool:
    return (low >= -LIMIT and high <= LIMIT) if agrees else (low > LIMIT or high < -LIMIT)


def _text(whole: TimeAgreement, stages: tuple[TimeAgreement, ...]) -> str:
    """Say in one sentence whether the runs agree, how sure that is and which stages do not."""
    verb = "agree" if whole.agrees else "do not agree"
    parts = [f"The runs {verb} within ±{format_share(LIMIT)}: {_change(whole)}"]
    if not whole.certain:
        parts.append("more --repeats or a quieter machine would make that certain")
    apart = [f"{stage.path} {_change(stage)}" for stage in stages if stage.agrees is not whole.agrees]
    if apart:
        parts.append(f"stages that {'do not' if whole.agrees else 'do'}: {', '.join(apart)}")
    return "; ".join(parts) + "."


def _change(one: TimeAgreement) -> str:
    means = f"{format_ms(one.base_ms)} and {format_ms(one.head_ms)} ({format_change(one.relative_change)}"
    if one.low is None or one.high is None:
        return f"{means}, a single run on a side)"
    return f"{means}, 95 % interval {format_change(one.low)} to {format_change(one.high)})"
