"""Parameters of backend ``ncu``, apart so that listing backends imports little."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from perfkit_nsight.verdict_options import VerdictOptions

Replay = Literal["auto", "kernel", "application", "range", "app-range"]
Preset = Literal["roofline", "memory", "occupancy", "full"]


class NcuOptions(VerdictOptions):
    """Parameters of the backend; lists are comma-separated."""

    preset: Preset = Field(
        default="roofline", description="what to collect when neither is named (roofline|memory|occupancy|full)"
    )
    sections: str = Field(default="", description="sections of ncu to collect instead of the preset, comma-separated")
    metrics: str = Field(default="", description="metrics to collect instead of the preset, comma-separated")
    include: str = Field(
        default="", description="kernels to measure: regular expressions for the name, comma-separated; all if empty"
    )
    exclude: str = Field(default="", description="kernels to leave out, the same; wins over include")
    region: str = Field(default="", description="measure only inside this region, such as decode or denoise/step")
    coverage: float = Field(
        default=0.9, gt=0, le=1, description="part of the kernel time that the measured kernels must make up (0 to 1)"
    )
    replay: Replay = Field(
        default="kernel",
        description="repeat each kernel, the application, or whole regions; auto: regions, by range replay where it "
        "works and app-range where not (auto|kernel|application|range|app-range)",
    )
    find: Literal["auto", "nsys", "torch", "none"] = Field(
        default="auto", description="what finds the kernels first; none: all are measured (auto|nsys|torch|none)"
    )
    steps: int = Field(default=1, ge=1, description="measured iterations of every long loop, unless --measure-steps")
    clock_control: Literal["none", "base"] = Field(
        default="none", description="leave the GPU's clocks alone, or hold them at base while measuring (none|base)"
    )
    cache_control: Literal["none", "all"] = Field(
        default="none", description="leave caches alone, or flush them before every pass (none|all)"
    )
    keep_env: str = Field(
        default="", description="environment variables to pass on besides the usual ones, comma-separated"
    )

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, value: str) -> str:
        for pattern in listed(value):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return value

    @field_validator("sections", "metrics", "include", "exclude")
    @classmethod
    def _lists(cls, value: str) -> str:
        if value and not listed(value):
            raise ValueError("it names nothing; leave it out, or separate names by commas")
        return value

    @field_validator("region")
    @classmethod
    def _region(cls, value: str) -> str:
        if re.search(r"[@,\[\]*+$\\]", value) or (value and not value.strip("/")):
            raise ValueError("a region is a path such as denoise/step, without @ , [ ] * + $ and backslashes")
        return value.strip("/")

    @model_validator(mode="after")
    def _whole_regions(self) -> NcuOptions:
        """Refuse what chooses or looks at single kernels where regions are measured as a whole."""
        choosing = ("include", "exclude", "sections", "coverage")
        # Not what was set: a worker is handed every option, set or not.
        lost = [name for name in choosing if getattr(self, name) != type(self).model_fields[name].default]
        if lost and self.replay in {"auto", "range", "app-range"}:
            raise ValueError(
                f"{lost[0]} is about single kernels, and replay={self.replay} measures regions as a whole: "
                "leave it out, or set replay=kernel or application"
            )
        return self


def listed(value: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated list."""
    return tuple(part for part in (one.strip() for one in value.split(",")) if part)
