"""Making SQLite exports of nsys reports."""

from __future__ import annotations

import subprocess
from pathlib import Path

from perfkit_core.errors import ToolError
from perfkit_nsight.environment import minimal_environment
from perfkit_nsight.nsys_tool import Nsys

_SECONDS = 1800


def export_sqlite(tool: Nsys, report: Path, target: Path) -> None:
    """Export a ``.nsys-rep`` to SQLite; every table is written, so that an absent one means another version.

    Raises:
        ToolError: nsys failed, or wrote nothing.
    """
    import os

    argv = [str(tool.path), "export", "--type=sqlite", "--lazy=false", "--force-overwrite=true", f"--output={target}"]
    try:
        done = subprocess.run(  # noqa: S603 - the tool itself, no shell
            [*argv, str(report)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env=minimal_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"nsys could not export {report}: {error}", fix="perfkit doctor") from None
    if done.returncode or not target.is_file():
        said = " ".join((done.stderr or done.stdout).split())
        raise ToolError(
            f"nsys {tool.version} could not export {report} (exit status {done.returncode}): {said:.300}",
            fix="a report made by a newer nsys needs that version; else it is damaged",
        )
