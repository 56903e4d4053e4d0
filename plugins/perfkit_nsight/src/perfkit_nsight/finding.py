"""Finding a command-line tool of NVIDIA's on this machine, and asking it for its version."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SECONDS = 60
"""How long a tool may take to tell its version."""


def candidates(name: str, places: Sequence[str], environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield executables: the one on PATH, then those in the usual places, newest first; none twice.

    Args:
        name: Name of the executable.
        places: Glob patterns of absolute paths.
        environ: Environment with PATH.
    """
    seen: set[Path] = set()
    on_path = shutil.which(name, path=environ.get("PATH"))
    found = [Path(on_path)] if on_path else []
    for pattern in places:
        found += sorted(Path("/").glob(pattern.lstrip("/")), key=_numbers, reverse=True)
    for path in found:
        real = path.resolve()
        if path.is_file() and real not in seen:
            seen.add(real)
            yield path


def version_of(path: Path) -> tuple[str, str]:
    """Return the version that a tool tells and, where it tells none, what is wrong with it; the other is empty."""
    try:
        done = subprocess.run(  # noqa: S603 - the tool itself, no shell
            [str(path), "--version"], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except PermissionError:
        return "", f"it has no permission to be executed: chmod +x {shlex.quote(str(path))}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"it cannot be started: {error}"
    found = re.search(r"[Vv]ersion (\d\S*)", done.stdout)
    if done.returncode or not found:
        said = " ".join((done.stderr or done.stdout).split())
        return "", f"it does not tell its version: {said:.200}"
    return found[1], ""


def release_of(version: str) -> tuple[int, int]:
    """Return year and number of a release such as ``2025.3.1``; zeros when unknown."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))
