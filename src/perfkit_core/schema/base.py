"""Base of all persisted records, and the schema versions."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

RUN_SCHEMA = "perfkit.run/1"
ANALYTIC_SCHEMA = "perfkit.analytic/1"
VERIFY_SCHEMA = "perfkit.verify/1"
COMPARE_SCHEMA = "perfkit.compare/1"
HOTSPOTS_SCHEMA = "perfkit.hotspots/1"
ENVIRONMENT_SCHEMA = "perfkit.environment/1"


class Record(BaseModel):
    """A persisted record: unknown fields are refused, so a damaged or newer file is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    def as_dict(self) -> dict[str, Any]:
        """Return plain Python values, ready for JSON."""
        return self.model_dump(mode="json")
