"""Parameters that verdicts are decided by, of the backend and of the importers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from perfkit_core.options import Options

if TYPE_CHECKING:
    from perfkit_core.schema.counters import Thresholds


class VerdictOptions(Options):
    """Thresholds."""

    near_peak: float = Field(
        default=0.6, gt=0, le=1, description="share of a peak from which on it is what limits (0 to 1)"
    )
    balanced_within: float = Field(
        default=0.1, ge=0, le=1, description="difference of both shares up to which a kernel is balanced (0 to 1)"
    )
    launch_idle: float = Field(
        default=0.3, gt=0, le=1, description="idle share from which on a region waits for launches (0 to 1)"
    )
    low_occupancy: float = Field(
        default=0.25, ge=0, le=1, description="occupancy below which it is named as a cause of latency (0 to 1)"
    )
    near_ridge: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="difference from the ridge, as part of it, up to which an intensity speaks for no side (0 to 1)",
    )
    short_kernel_us: float = Field(
        default=10.0, ge=0, description="microseconds below which a kernel's shortness is named as a cause of latency"
    )
    least_measured: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="part of a region's kernel time that must have counters for a verdict from them (0 to 1)",
    )

    def thresholds(self) -> Thresholds:
        """Return them as the report has them."""
        from perfkit_core.schema.counters import Thresholds

        return Thresholds(
            near_peak=self.near_peak,
            balanced_within=self.balanced_within,
            launch_idle=self.launch_idle,
            low_occupancy=self.low_occupancy,
            near_ridge=self.near_ridge,
            short_kernel_us=self.short_kernel_us,
            least_measured=self.least_measured,
        )


def thresholds_of(options: Options) -> Thresholds:
    """Return the thresholds among options, the usual ones where there are none."""
    return (options if isinstance(options, VerdictOptions) else VerdictOptions()).thresholds()
