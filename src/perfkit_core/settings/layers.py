"""The layers that settings come from, read, merged and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perfkit_core.errors import UsageError, nearest
from perfkit_core.files import read_toml, read_yaml
from perfkit_core.settings.model import Settings
from perfkit_core.settings_files import is_file, project_file, user_file

PREFIX = "PERFKIT_"
RESERVED_VARIABLES = frozenset({"PERFKIT_DISABLE", "PERFKIT_DEBUG", "PERFKIT_NSYS", "PERFKIT_NCU", "PERFKIT_NVTX"})
"""Variables that other parts of perfkit read; they are no settings."""

COMMAND_LINE = "command line"
DEFAULT = "default"

_LISTS = ("backends", "exporters")
_PATHS = ("checkpoint", "out", "template_dir")


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
