"""Settings in layers, each value with its origin.

Highest first: command line, ``--config`` file, ``PERFKIT_*`` environment, ``perfkit.toml`` of the project
(searched upward from the working directory), ``perfkit/config.toml`` of the user, defaults. Parameter
overrides (``set``) are merged name by name; those of a ``--config`` file stand for all lower layers,
so that repeating a run does not depend on where it is repeated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from perfkit_core.errors import UsageError, nearest
from perfkit_core.files import read_toml, read_yaml
from perfkit_core.settings_files import is_file, project_file, user_file

PREFIX = "PERFKIT_"
RESERVED_VARIABLES = frozenset({"PERFKIT_DISABLE", "PERFKIT_DEBUG", "PERFKIT_NSYS", "PERFKIT_NCU"})
"""Variables that other parts of perfkit read; they are no settings."""

COMMAND_LINE = "command line"
DEFAULT = "default"

_LISTS = ("backends", "exporters")
_PATHS = ("checkpoint", "out", "template_dir")

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
        default=None, gt=0, allow_inf_nan=False, description="Minutes after which a pass is ended; what it has is kept"
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


@dataclass(frozen=True, kw_only=True)
class ResolvedSettings:
    """Settings and where each came from.

    Attributes:
        settings: The values.
        origins: Origin per setting name; ``set.<parameter>`` for parameter overrides.
    """

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Layer:
    origin: str
    values: Mapping[str, Any]
    origins: Mapping[str, str] | None = None

    def origin_of(self, name: str) -> str:
        return self.origins[name] if self.origins else self.origin


def load_settings(
    command_line: Mapping[str, Any],
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> ResolvedSettings:
    """Merge all layers and validate the result.

    Args:
        command_line: Values given on the command line; those that are None were not given.
        config: File of ``--config``.
        environ: Environment; that of the process by default.
        directory: Where the search for the project file begins; the working directory by default.

    Raises:
        UsageError: A key, variable or value is unknown, or a file is no valid TOML or YAML.
        MissingError: A file cannot be read.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    for layer in _layers(command_line, config, environ, directory):
        for name, value in layer.values.items():
            origin = layer.origin_of(name)
            if name != "set":
                merged[name], origins[name] = value, origin
                continue
            if layer.origin == _config_origin(config):
                origins = {key: kept for key, kept in origins.items() if not key.startswith("set.")}
                parameters = {}
            parameters |= value
            origins |= {f"set.{key}": origin for key in value}
    merged["set"] = parameters
    settings = _validate(merged, origins)
    defaults = {name: DEFAULT for name in Settings.model_fields if name != "set" and name not in origins}
    return ResolvedSettings(settings=settings, origins=defaults | origins)


def parse_assignments(texts: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Return ``("height=480",)`` as ``{"height": "480"}``.

    Raises:
        UsageError: There is no ``=``, no name before it, or a name is given twice with different values.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        name = name.strip()
        if not separator or not name:
            raise UsageError(f"--set {text!r} is not of the form name=value", fix="example: --set height=480")
        if values.get(name, value) != value:
            raise UsageError(
                f"--set {name} is given twice: {values[name]!r} and {value!r}", fix="give each parameter once"
            )
        values[name] = value
    return values


def _layers(
    command_line: Mapping[str, Any], config: Path | None, environ: Mapping[str, str], directory: Path | None
) -> Iterator[_Layer]:
    """Yield the layers, lowest first."""
    user = user_file(environ)
    if user is not None and is_file(user):
        yield _file_layer(user, str(user), read_toml(user))
    project = project_file(directory)
    if project is not None:
        yield _file_layer(project, str(project), read_toml(project))
    yield _environment_layer(environ)
    if config is not None:
        layer = _file_layer(config, _config_origin(config), read_yaml(config))
        _refuse_contradiction(command_line, layer, config)
        yield layer
    yield _Layer(
        origin=COMMAND_LINE, values={name: value for name, value in command_line.items() if value not in (None, (), {})}
    )


def _config_origin(config: Path | None) -> str:
    return f"--config {config}"


def _refuse_contradiction(command_line: Mapping[str, Any], layer: _Layer, config: Path) -> None:
    """Refuse another model or workload next to a file that fixes the parameters of its own."""
    for name in ("model", "workload"):
        given, fixed = command_line.get(name), layer.values.get(name)
        if given is not None and fixed is not None and given != fixed and layer.values.get("set"):
            raise UsageError(
                f"--{name} {given} contradicts {config}, which holds the parameters of {name} {fixed!r}",
                fix="change single values with --set, or leave out --config",
            )


def _file_layer(path: Path, origin: str, values: Mapping[str, Any]) -> _Layer:
    known = Settings.model_fields
    for name in values:
        if name not in known:
            raise UsageError(f"unknown setting {name!r} in {path}", fix=nearest(str(name), known))
    cleaned = dict(values)
    if "set" in cleaned:
        if not isinstance(cleaned["set"], dict):
            raise UsageError(f"{path}: set is not a table", fix="write [set] and below it: height = 480")
        cleaned["set"] = dict(_flatten(cleaned["set"]))
    for name in _LISTS:
        if isinstance(cleaned.get(name), str):
            cleaned[name] = (cleaned[name],)
    for name in _PATHS:  # relative to the file, so that the working directory does not matter
        if isinstance(cleaned.get(name), str):
            cleaned[name] = path.resolve().parent / Path(cleaned[name]).expanduser()
    return _Layer(origin=origin, values={name: value for name, value in cleaned.items() if value is not None})


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _environment_layer(environ: Mapping[str, str]) -> _Layer:
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    values: dict[str, Any] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in RESERVED_VARIABLES:
            continue
        if variable not in known:
            raise UsageError(f"unknown environment variable {variable}", fix=nearest(variable, known))
        name, text = known[variable], environ[variable]
        if text.strip():  # an empty variable is an unset one, as in the shell
            values[name] = _from_text(name, text, variable)
    return _Layer(origin="environment", values=values, origins={name: PREFIX + name.upper() for name in values})


def _from_text(name: str, text: str, variable: str) -> Any:
    if name not in (*_LISTS, "set"):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if name in _LISTS:
        return tuple(parts)
    try:
        return parse_assignments(parts)
    except UsageError as error:
        raise UsageError(f"{variable}: {error.message}", fix=f"example: {variable}=height=480,width=832") from None


def _validate(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        key = f"set.{problem['loc'][1]}" if name == "set" and len(problem["loc"]) > 1 else name
        field = Settings.model_fields[name]
        text, origin = problem["msg"].removeprefix("Value error, "), origins.get(key, DEFAULT)
        label = f"--{key.replace('_', '-')}" if origin == COMMAND_LINE else key
        where = "" if origin == COMMAND_LINE else f" ({origin})"
        raise UsageError(
            f"{label}={problem['input']!s:.80} is not accepted{where}: {text[0].lower()}{text[1:]}",
            fix=f"{label}: {field.description}",
        ) from None
