"""Settings in layers, each value with its origin.

Highest first: command line, ``--config`` file, ``PERFKIT_*`` environment, ``perfkit.toml`` of the project
(searched upward from the working directory), ``perfkit/config.toml`` of the user, defaults. Parameter
overrides (``set``) are merged name by name; those of a ``--config`` file stand for all lower layers,
so that repeating a run does not depend on where it is repeated.
"""

from __future__ import annotations

from perfkit_core.settings.layers import (
    COMMAND_LINE,
    DEFAULT,
    PREFIX,
    RESERVED_VARIABLES,
    ResolvedSettings,
    load_settings,
    parse_assignments,
)
from perfkit_core.settings.model import Settings

__all__ = [
    "COMMAND_LINE",
    "DEFAULT",
    "PREFIX",
    "RESERVED_VARIABLES",
    "ResolvedSettings",
    "Settings",
    "load_settings",
    "parse_assignments",
]
