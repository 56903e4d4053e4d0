"""Reading settings files and writing files whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from perfkit_core.errors import MissingError, UsageError
from perfkit_core.interrupts import shielded


def read_toml(path: Path) -> Mapping[str, Any]:
    """Read a settings file.

    Raises:
        UsageError: It is not valid TOML; the message gives the line.
        MissingError: It cannot be read.
    """
    import tomllib

    try:
        return tomllib.loads(read_text(path))
    except RecursionError:
        raise UsageError(f"{path} is nested too deep", fix="correct the file, or remove it") from None
    except ValueError as error:  # no TOML, or an integer with more digits than Python reads
        raise UsageError(f"{path} is not valid TOML: {error}", fix="correct that line, or remove the file") from None


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a mapping.

    Raises:
        UsageError: It is not valid YAML (the message gives the line) or no mapping.
        MissingError: It cannot be read.
    """
    import yaml

    try:
        values = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "unreadable characters"
        raise UsageError(f"{path} is not valid YAML: {problem}{where}", fix="correct that line") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deep", fix="correct the file") from None
    except ValueError as error:  # a date that is none, or an integer with more digits than Python reads
        raise UsageError(f"{path} is not valid YAML: {error!s:.200}", fix="correct that value") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds no settings", fix="use the config.yaml of a run")
    return values


def read_text(path: Path) -> str:
    """Read UTF-8 text.

    Raises:
        UsageError: It is not UTF-8.
        MissingError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path} is not UTF-8 text (at line {line})", fix="save the file as UTF-8") from None
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}", fix="check the path and its permissions") from None


def yaml_text(content: Mapping[str, Any]) -> str:
    """Return plain values as YAML: one line per entry, scalars and lists as JSON, which YAML includes."""
    return "".join(_yaml_lines(content))


def _yaml_lines(content: Mapping[str, Any], indent: str = "") -> list[str]:
    lines: list[str] = []
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:\n", *_yaml_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {_yaml_scalar(value)}\n")
    return lines


def _yaml_scalar(value: Any) -> str:
    # PyYAML reads escaped surrogate pairs as two characters: only what fits one escape may be escaped.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def name_inside(name: str, *, reserved: str) -> str:
    """Return the name of a file, relative to a directory, in its plain form.

    Args:
        reserved: The one file of the directory that has a writer of its own.

    Raises:
        UsageError: The name is empty, leads out of the directory, or is the reserved one.
    """
    path = PurePath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        reason = "it names no file below the run directory"
    elif path == PurePath(reserved):
        reason = "perfkit writes that one itself"
    else:
        return path.as_posix()
    raise UsageError(f"{name!r:.200} cannot be a file of a run: {reason}", fix="a name such as exports/table.csv")


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 so that ``path`` holds either its old content or all of the new.

    Raises:
        MissingError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise MissingError(
            f"cannot write {path}: {error.strerror}", fix="free some space or choose another --out"
        ) from None


@contextmanager
def private_directory(path: Path) -> Iterator[None]:
    """Keep an empty directory that only this user can read; it goes with its contents, whatever happens meanwhile.

    Raises:
        MissingError: It cannot be made.
    """
    import shutil

    with shielded():
        shutil.rmtree(path, ignore_errors=True)
        try:
            path.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise MissingError(f"cannot make {path}: {error.strerror}", fix="choose another --out") from None
    try:
        yield
    finally:
        with shielded():
            shutil.rmtree(path, ignore_errors=True)
