"""Parameters of backend ``wall_clock``, apart so that listing backends imports little."""

from __future__ import annotations

from pydantic import Field

from perfkit_core.options import Options


class WallClockOptions(Options):
    """Parameters of the backend."""

    detailed: int = Field(
        default=1, ge=0, description="runs after the repeats that time every module, and what is inside iterations"
    )
