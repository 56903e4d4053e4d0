"""Base of all persisted records, and the schema versions."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

RUN_SCHEMA: Final = "perfkit.run/1"
ANALYTIC_SCHEMA: Final = "perfkit.analytic/1"
VERIFY_SCHEMA: Final = "perfkit.verify/1"
COMPARE_SCHEMA: Final = "perfkit.compare/1"
HOTSPOTS_SCHEMA: Final = "perfkit.hotspots/1"
WORKER_SCHEMA: Final = "perfkit.worker/1"
METRICS_SCHEMA: Final = "perfkit.metrics/1"
REGIONS_SCHEMA: Final = "perfkit.regions/1"
ENVIRONMENT_SCHEMA: Final = "perfkit.environment/1"


class Record(BaseModel):
    """A persisted record: unknown fields are refused, so a damaged or newer file is noticed."""

    # Validators are built at first use: a command uses few of the records, and start-up time counts.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, defer_build=True
    )

    def as_dict(self) -> dict[str, Any]:
        """Return plain Python values, ready for JSON."""
        return self.model_dump(mode="json")
