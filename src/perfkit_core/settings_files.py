"""Where settings files are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PROJECT_FILE = "perfkit.toml"


def user_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the user's settings file would be, or None without a home directory."""
    base = environ.get("XDG_CONFIG_HOME")
    if base:
        return Path(base) / "perfkit" / "config.toml"
    home = environ.get("HOME")
    return Path(home) / ".config" / "perfkit" / "config.toml" if home else None


def project_file(directory: Path | None = None) -> Path | None:
    """Return the nearest ``perfkit.toml`` in ``directory`` or above it."""
    try:
        start = (directory or Path.cwd()).resolve()
    except OSError:  # the working directory was deleted: there is no project to find
        return None
    for folder in (start, *start.parents):
        candidate = folder / PROJECT_FILE
        if is_file(candidate):
            return candidate
    return None


def is_file(path: Path) -> bool:
    """Return whether there is a file that this user can reach."""
    try:
        return path.is_file()
    except OSError:  # in a directory that may not be searched: nothing that was meant for this user
        return False
