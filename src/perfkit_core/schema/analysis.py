"""Results of ``perfkit hotspots`` and ``perfkit compare``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from perfkit_core.schema.base import COMPARE_SCHEMA, HOTSPOTS_SCHEMA, Record

Measure = Literal["flops", "bytes", "time"]


class LayerShare(Record):
    """A module's own value."""

    path: str = Field(description="Region path")
    value: int = Field(description="Own FLOPs, bytes or nanoseconds")
    share: float = Field(description="Part of the total, 0 to 1")


class CategoryShare(Record):
    """A category's own values, added up."""

    name: str = Field(description="Category")
    value: int = Field(description="Own FLOPs, bytes or nanoseconds")
    share: float = Field(description="Part of the total, 0 to 1")


class Hotspots(Record):
    """Where the run spends most."""

    schema_: Literal["perfkit.hotspots/1"] = Field(
        default=HOTSPOTS_SCHEMA, alias="schema", description="Schema of this result"
    )
    by: Measure = Field(description="What was ranked")
    unit: str = Field(description="Unit of every value")
    total: int = Field(description="Sum of own values over all modules")
    layers: tuple[LayerShare, ...] = Field(description="Largest own values first, ties by path")
    other_layers: int = Field(description="Own values of all modules not listed")
    categories: tuple[CategoryShare, ...] = Field(description="Largest first, ties by name")
    other_categories: int = Field(description="Own values of all categories not listed")


class Change(Record):
    """One value in both runs."""

    base: int = Field(description="Value in the base run")
    head: int = Field(description="Value in the head run")
    delta: int = Field(description="head - base")


class Contributor(Change):
    """A module's part of the change."""

    path: str = Field(description="Region path")
    share: float = Field(description="delta / total delta; 0 when the totals are equal")


class CategoryChange(Change):
    """A category's part of the change."""

    name: str = Field(description="Category")
    share: float = Field(description="delta / total delta; 0 when the totals are equal")


class ValueChange(Record):
    """A parameter that differs between the runs; null where a run does not have it."""

    base: Any = Field(description="Value in the base run")
    head: Any = Field(description="Value in the head run")


class TimeAgreement(Record):
    """The mean time of the whole run, or of a stage, in both runs."""

    path: str = Field(description="Region path of the stage; empty for the whole run")
    base_ms: float = Field(description="Mean in the base run, in milliseconds")
    head_ms: float = Field(description="Mean in the head run, in milliseconds")
    relative_change: float = Field(description="head / base - 1")
    low: float | None = Field(
        description="Least change that both 95 % intervals allow; null for a single run on a side"
    )
    high: float | None = Field(description="Largest change that they allow")
    agrees: bool = Field(description="Whether the change of the means is within the limit")
    certain: bool = Field(description="Whether that holds for all of low to high")


class Agreement(Record):
    """Whether two runs took the same time."""

    limit: float = Field(description="Largest relative change at which times agree")
    agrees: bool = Field(description="Whether the whole runs agree")
    certain: bool = Field(description="Whether that holds for every change that the 95 % intervals allow")
    whole: TimeAgreement = Field(description="The whole run")
    stages: tuple[TimeAgreement, ...] = Field(description="Stages that both runs measured, in order")
    text: str = Field(description="The same in one sentence")


class Comparison(Record):
    """What accounts for the difference between two runs."""

    schema_: Literal["perfkit.compare/1"] = Field(
        default=COMPARE_SCHEMA, alias="schema", description="Schema of this file"
    )
    base: str = Field(description="Directory of the base run")
    head: str = Field(description="Directory of the head run")
    by: Measure = Field(description="What was compared")
    unit: str = Field(description="Unit of every value")
    workload_changes: dict[str, ValueChange] = Field(description="Parameters, workload and variant that differ")
    total: Change = Field(description="The whole run")
    relative_change: float | None = Field(description="delta / base; null when the base is 0")
    contributors: tuple[Contributor, ...] = Field(description="Modules, largest change first, ties by path")
    other_contributors: int = Field(description="Change of all modules not listed")
    categories: tuple[CategoryChange, ...] = Field(description="Categories, largest change first, ties by name")
    agreement: Agreement | None = Field(
        default=None, description="Whether unprofiled times agree (by time); null when a run has none"
    )
    notes: tuple[str, ...] = Field(
        default=(), description="What to know of the values: how they were made comparable, which records are missing"
    )
    verdict: str = Field(
        description="One sentence: what changed, by how much, mostly where; by time also: do they agree"
    )
