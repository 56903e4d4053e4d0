"""FLOPs that tensor cores counted against those of the analytic view, by region.

Both are joined by the path of the region, both hold what runs inside, and both are of the calls that the timeline has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from perfkit_core.units import format_number, format_share

TOLERANCE: Final = 0.02
"""Difference from the analytic FLOPs, as a part of them, up to which both agree."""

ENOUGH: Final = 0.5
"""Part of a region's kernel time that has counters, from which on a lower bound is worth a row."""

NAMED: Final = 3
"""Families that the verdict names."""

Agreement = Literal["agrees", "more", "less", "unknown"]
"""How what was counted compares; ``unknown`` where too little was measured to tell."""


@dataclass(frozen=True, kw_only=True)
class CountedRow:
    """One region, with everything inside it, as often as the timeline has it.

    Attributes:
        path: Region path.
        instances: How often the timeline has it.
        calls: How often the whole run calls it.
        analytic_flops: FLOPs by formula of these instances: the mean of all calls, as often as was recorded.
        counted_flops: FLOPs that tensor cores counted, of all element types.
        other_flops: Those that other cores counted; None where that was not read.
        measured_share: Part of its kernel time whose kernels were measured, 0 to 1.
        is_whole: Whether everything was counted that tensor cores can have done: what was not measured moves data or
            is element-wise, by its name. Where it is not, ``counted_flops`` is the least that they did.
        own_difference: What was counted beyond the analytic FLOPs outside of the regions inside it that have a row.
        note: What the reader must know of it; empty when nothing.
    """

    path: str
    instances: int
    calls: int
    analytic_flops: int
    counted_flops: float
    other_flops: float | None
    measured_share: float
    is_whole: bool
    own_difference: float
    note: str

    @property
    def ratio(self) -> float:
        """Counted by analytic FLOPs; the least that it can be where not everything was counted."""
        return self.counted_flops / self.analytic_flops

    @property
    def ratio_text(self) -> str:
        """The ratio as text, with ``≥`` where not everything was counted."""
        return ("" if self.is_whole else "≥ ") + _times(self.ratio)

    @property
    def agreement(self) -> Agreement:
        """How both compare; of what was not counted whole it can be told only that it is too much."""
        if self.ratio > 1 + TOLERANCE:
            return "more"
        if not self.is_whole:
            return "unknown"
        return "agrees" if self.ratio >= 1 - TOLERANCE else "less"


@dataclass(frozen=True, kw_only=True)
class CountedFamily:
    """Regions that stand in equal places of equal blocks.

    Attributes:
        name: Region path with the indices of equal siblings replaced.
        rows: The members.
    """

    name: str
    rows: tuple[CountedRow, ...]

    @property
    def analytic_flops(self) -> int:
        """FLOPs by formula of all members."""
        return sum(row.analytic_flops for row in self.rows)

    @property
    def counted_flops(self) -> float:
        """FLOPs that tensor cores counted, of all members."""
        return sum(row.counted_flops for row in self.rows)

    @property
    def measured_share(self) -> float:
        """The least measured member's part of kernel time, 0 to 1."""
        return min(row.measured_share for row in self.rows)

    @property
    def is_whole(self) -> bool:
        """Whether everything was counted in all members."""
        return all(row.is_whole for row in self.rows)

    @property
    def calls_text(self) -> str:
        """How often each was recorded, of how many calls: ``2 of 511``."""
        seen = _span(sorted({row.instances for row in self.rows}))
        return f"{seen} of {_span(sorted({row.calls for row in self.rows}))}"

    @property
    def ratio_text(self) -> str:
        """The smallest and the largest ratio of the members: ``100.0 %``, ``99.8 % to 101.2 %``, ``≥ 93.0 %``."""
        ranked = sorted(self.rows, key=lambda row: (row.ratio, row.is_whole))
        texts = list(dict.fromkeys((ranked[0].ratio_text, ranked[-1].ratio_text)))
        return " to ".join(texts)

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """How the members compare, each answer once."""
        return tuple(dict.fromkeys(row.agreement for row in self.rows))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know of the members, each note once."""
        return tuple(dict.fromkeys(row.note for row in self.rows if row.note))


@dataclass(frozen=True)
class CountedFlops:
    """All regions that both sides know.

    Attributes:
        rows: One for each region with FLOPs by formula and counters of tensor cores, parents first; empty where the run
            lacks an analytic view, a timeline or counters.
    """

    rows: tuple[CountedRow, ...]
    _names: Mapping[str, str]

    @cached_property
    def families(self) -> tuple[CountedFamily, ...]:
        """Equal regions merged, most analytic FLOPs first."""
        members: dict[str, list[CountedRow]] = defaultdict(list)
        for row in self.rows:
            members[self._names[row.path]].append(row)
        found = [CountedFamily(name=name, rows=tuple(rows)) for name, rows in members.items()]
        return tuple(sorted(found, key=lambda one: -one.analytic_flops))  # stable: parents stay before their children

    @cached_property
    def told(self) -> tuple[CountedFamily, ...]:
        """Those that say something: enough of their kernel time has counters, or these exceed the formula."""
        return tuple(
            one for one in self.families if one.is_whole or one.measured_share >= ENOUGH or "more" in one.agreements
        )

    @cached_property
    def apart(self) -> tuple[CountedFamily, ...]:
        """Families where the difference arises, the largest first: outside of the regions inside them."""
        sizes = [(sum(abs(row.own_difference) for row in one.rows if _stands_out(row)), one) for one in self.families]
        return tuple(one for size, one in sorted(sizes, key=lambda found: -found[0]) if size)

    @cached_property
    def verdict(self) -> str:
        """How many regions agree, and where the others differ most; empty without rows."""
        counts = {kind: sum(row.agreement == kind for row in self.rows) for kind in ("agrees", "more", "less")}
        if not self.rows:
            return ""
        known = sum(counts.values())
        if not known:
            return f"None of {len(self.rows)} regions was measured far enough to tell."
        parts = [f"{counts['agrees']} of {known} regions agree within {100 * TOLERANCE:.0f} % of the analytic FLOPs"]
        parts += [f"{counts[kind]} did {kind}" for kind in ("more", "less") if counts[kind]]
        if len(self.rows) > known:
            left = len(self.rows) - known
            parts.append(f"{left} more {'was' if left == 1 else 'were'} not measured far enough to tell")
        named = [f"{one.name} ({one.ratio_text})" for one in self.apart[:NAMED]]
        return "; ".join(parts) + "." + (f" They differ most in {', '.join(named)}." if named else "")


def _stands_out(row: CountedRow) -> bool:
    """Whether a row differs, and by itself; what is missing in a lower bound is no difference."""
    if row.agreement not in ("more", "less") or abs(row.own_difference) <= TOLERANCE * row.analytic_flops:
        return False
    return row.is_whole or row.own_difference > 0


def _times(ratio: float) -> str:
    return format_share(ratio) if ratio < 10 else f"{format_number(ratio)} x"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]}-{values[-1]}"
