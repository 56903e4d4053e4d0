"""Typed access to one configuration file, so that every problem names the file and the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core.errors import MissingError

_REQUIRED: Any = object()
LARGEST = 10**9
"""No width, depth or vocabulary comes near this; larger values are typing errors."""


@dataclass(frozen=True)
class Fields:
    """The fields of one configuration file.

    Attributes:
        path: The file, for messages.
        content: The parsed JSON object.
    """

    path: Path
    content: Mapping[str, Any]

    def problem(self, message: str) -> MissingError:
        """Return an error about this file."""
        return MissingError(f"{self.path}: {message}")

    def require(self, name: str, expected: Any, *, missing_is_fine: bool = False) -> None:
        """Check that ``name`` has the one value that the cost model describes."""
        if name not in self.content and missing_is_fine:
            return
        value = self._value(name, _REQUIRED)
        if value != expected:
            raise self.problem(f"{name} is {value!r}, and only {expected!r} is modelled")

    def integer(self, name: str, default: int = _REQUIRED) -> int:
        """Return a positive integer; ``default`` stands in for a missing or null field."""
        return self._positive(name, self._value(name, default))

    def integers(self, name: str) -> tuple[int, ...]:
        """Return a non-empty list of positive integers."""
        value = self._value(name, _REQUIRED)
        if not isinstance(value, list) or not value:
            raise self.problem(f"{name} is {value!r}, not a list of integers")
        return tuple(self._positive(name, item) for item in value)

    def triple(self, name: str, default: tuple[int, int, int] = _REQUIRED) -> tuple[int, int, int]:
        """Return three positive integers."""
        if default is not _REQUIRED and self.content.get(name) is None:
            return default
        values = self.integers(name)
        if len(values) != 3:
            raise self.problem(f"{name} has {len(values)} entries, not 3")
        return (values[0], values[1], values[2])

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.problem(f"{name} is {value!r}, not true or false")
        return value

    def flags(self, name: str) -> tuple[bool, ...]:
        """Return a list of true and false."""
        value = self._value(name, _REQUIRED)
        if not isinstance(value, list) or not all(isinstance(item, bool) for item in value):
            raise self.problem(f"{name} is {value!r}, not a list of true and false")
        return tuple(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of finite numbers; empty when the field is missing."""
        value = self._value(name, [])
        if not isinstance(value, list) or not all(isinstance(item, int | float) for item in value):
            raise self.problem(f"{name} is {value!s:.80}, not a list of numbers")
        if not all(math.isfinite(item) for item in value):
            raise self.problem(f"{name} has an entry that is no finite number")
        return tuple(float(item) for item in value)

    def text(self, name: str, choices: tuple[str, ...], default: str = _REQUIRED) -> str:
        """Return one of ``choices``."""
        value = self._value(name, default)
        if value not in choices:
            raise self.problem(f"{name} is {value!r}, and only {', '.join(choices)} are modelled")
        return str(value)

    def _value(self, name: str, default: Any) -> Any:
        value = self.content.get(name, _REQUIRED)
        if value is _REQUIRED or (value is None and default is not _REQUIRED):
            if default is _REQUIRED:
                raise self.problem(f"field {name!r} is missing")
            return default
        return value

    def _positive(self, name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
            raise self.problem(f"{name} is {value!r}, not a positive integer")
        return value
