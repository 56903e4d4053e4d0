"""Base of all persisted records, and the schema versions."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

RUN_SCHEMA: Final = "perfkit.run/1"
ANALYTIC_SCHEMA: Final = "perfkit.analytic/1"
VERIFY_SCHEMA: Final = "perfkit.verify/1"
COMPARE_SCHEMA: Final = "perfkit.compare/1"
HOTSPOTS_SCHEMA: Final = "perfkit.hotspots/1"
WORKER_SCHEMA: Final = "perfkit.worker/1"
METRICS_SCHEMA: Final = "perfkit.metrics/1"
REGIONS_SCHEMA: Final = "perfkit.regions/1"
COUNTERS_SCHEMA: Final = "perfkit.counters/1"
COUNTERS_REGION_SCHEMA: Final = "perfkit.counters-region/1"
ENVIRONMENT_SCHEMA: Final = "perfkit.environment/1"

LARGEST: Final = 10**300
"""Largest number in a record: what is larger has no place in a float, and no model costs it."""

Count = Annotated[int, Field(ge=0, le=LARGEST), WithJsonSchema({"type": "integer", "minimum": 0})]
"""FLOPs, bytes, parameters, calls: an integer of any size that perfkit can still divide and show."""

Part = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, 0 to 1."""


class Record(BaseModel):
    """A persisted record: unknown fields and numbers that are none are refused, so a damaged file is noticed."""

    # Validators are built at first use: a command uses few of the records, and start-up time counts.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        defer_build=True,
        allow_inf_nan=False,
    )

    def as_dict(self) -> dict[str, Any]:
        """Return plain Python values, ready for JSON."""
        return self.model_dump(mode="json")

    def problem(self) -> str:
        """Return what in the record contradicts itself, beginning with the field; empty when nothing does."""
        return ""
