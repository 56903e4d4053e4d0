"""Typed access to one configuration file, so that every problem names the file and the field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core.checkpoints import json_object
from perfkit_core.errors import MissingError

_REQUIRED: Any = object()
LARGEST = 10**9
"""No width, depth or vocabulary comes near this; larger values are typing errors."""


@dataclass(frozen=True)
class Fields:
    """The fields of one JSON object in a configuration file.

    Attributes:
        place: The file and the object in it, for messages.
        content: The parsed JSON object.
    """

    place: str
    content: Mapping[str, Any]

    def problem(self, message: str) -> MissingError:
        """Return an error about this object."""
        return MissingError(f"{self.place}: {message}")

    def section(self, name: str) -> Fields:
        """Return a nested object."""
        value = self._value(name, _REQUIRED)
        if not isinstance(value, Mapping):
            raise self.problem(f"{name} is {value!r}, not an object")
        return Fields(f"{self.place}: {name}", value)

    def require(self, name: str, expected: Any, *, missing_is_fine: bool = False) -> None:
        """Check that ``name`` has the one value that the cost model describes."""
        if name not in self.content and missing_is_fine:
            return
        value = self._value(name, _REQUIRED)
        if value != expected:
            raise self.problem(f"{name} is {value!r}, and only {expected!r} is modelled")

    def integer(self, name: str, default: int = _REQUIRED, *, least: int = 1) -> int:
        """Return an integer of at least ``least``; ``default`` stands in for a missing or null field."""
        return self._integer(name, self._value(name, default), least)

    def integers(self, name: str, *, least: int = 1) -> tuple[int, ...]:
        """Return a list of integers of at least ``least``."""
        value = self._value(name, _REQUIRED)
        if not isinstance(value, list):
            raise self.problem(f"{name} is {value!r}, not a list of integers")
        return tuple(self._integer(name, item, least) for item in value)

    def _value(self, name: str, default: Any) -> Any:
        value = self.content.get(name, _REQUIRED)
        if value is _REQUIRED or (value is None and default is not _REQUIRED):
            if default is _REQUIRED:
                raise self.problem(f"field {name!r} is missing")
            return default
        return value

    def _integer(self, name: str, value: Any, least: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
            raise self.problem(f"{name} is {value!r}, not an integer of at least {least}")
        return value


def read_config(path: Path) -> Fields:
    """Parse one JSON configuration file.

    Raises:
        MissingError: The file is missing or unreadable.
        DamagedFileError: The file is not a JSON object.
    """
    return Fields(str(path), json_object(path))
