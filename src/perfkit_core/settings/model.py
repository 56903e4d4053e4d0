"""Every setting, its type and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

ParameterValue = bool | int | float | str | None


def parse_fraction(value: object) -> object:
    """Return ``"5%"`` as 0.05; anything else is left for the number check.

    Raises:
        ValueError: A number above 1 has no percent sign: 5 may mean 5 % or 500 %.
    """
    percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        number = float(str(value).strip().removesuffix("%"))
    except ValueError:
        return value
    if percent:
        return number / 100
    if number > 1:
        raise ValueError(f"above 1 it needs a percent sign: write {number:g}% or {number * 100:g}%")
    return value


def _show_fraction(value: float) -> float | str:
    return value if value <= 1 else f"{value * 100:g}%"


def _refuse_odd_names(path: Path) -> Path:
    text = str(path)
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("a path must be UTF-8 text, so that the files of a run can name it")
    return path


AnyPath = Annotated[Path, AfterValidator(_refuse_odd_names)]
Fraction = Annotated[
    float,
    BeforeValidator(parse_fraction),
    Field(ge=0, allow_inf_nan=False),
    PlainSerializer(_show_fraction, when_used="json"),
]


class Settings(BaseModel):
    """Every setting perfkit knows; the field names are the keys of the files and variables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(default=None, min_length=1, description="Model name")
    variant: str | None = Field(default=None, min_length=1, description="Variant of the model; its first by default")
    workload: str | None = Field(default=None, min_length=1, description="Workload name; the variant's own by default")
    checkpoint: AnyPath | None = Field(default=None, description="Directory to read the architecture from")
    backends: tuple[str, ...] = Field(
        default=(), description="Backends; analytic always runs, and on a CUDA device wall_clock by default"
    )
    exporters: tuple[str, ...] = Field(default=(), description="Exporters to run after the passes")
    out: AnyPath | None = Field(default=None, description="Run directory; a new one below perfkit-runs/ by default")
    device: str = Field(
        default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d{1,3})$", description="Where to measure: auto, cpu or cuda:N"
    )
    repeats: int = Field(default=3, ge=1, le=1_000_000, description="Measured runs of the workload per pass")
    warmup: int = Field(default=1, ge=0, le=1_000_000, description="Runs before the measured ones, kept apart")
    measure_steps: Annotated[int, Field(ge=1)] | Literal["all"] | None = Field(
        default=None, description="Iterations of every long loop to measure, or all; by default each loop's own number"
    )
    region_depth: int = Field(default=2, ge=0, le=100, description="Levels of modules below the stage to measure")
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Minutes after which a backend's passes are ended; what they have is kept",
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Seed of random weights and inputs")
    tolerance: Fraction = Field(default=0.05, description="Largest relative difference that verify accepts")
    top: int = Field(default=10, ge=1, description="How many layers hotspots and compare list")
    by: Literal["flops", "bytes", "time"] = Field(default="flops", description="What hotspots and compare rank")
    fail_above: Fraction | None = Field(default=None, description="Largest increase that compare accepts: 5% or 0.05")
    template: str = Field(default="report.md", min_length=1, description="Template name or file of the report")
    template_dir: AnyPath | None = Field(default=None, description="Directory with template overrides")
    set: dict[str, ParameterValue] = Field(
        default_factory=dict, description="Parameters of workload, model, backends and exporters"
    )
