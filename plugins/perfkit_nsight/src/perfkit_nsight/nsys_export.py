"""Making SQLite exports of nsys reports."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from perfkit_core.errors import MissingError, ToolError
from perfkit_nsight.environment import minimal_environment
from perfkit_nsight.nsys_tool import VARIABLE, Nsys

_SECONDS = 1800
_TOO_NEW = re.compile(r"Version not supported: |created in Nsight Systems version \((?P<made_by>[^)]*)\), newer th")
"""What nsys says of a report that a newer one made: 2022.4 of another format, newer ones of the version itself."""


def export_sqlite(tool: Nsys, report: Path, target: Path) -> None:
    """Export a ``.nsys-rep`` to SQLite; every table is written, so that an absent one means another version.

    Raises:
        MissingError: A newer nsys made the report.
        ToolError: nsys failed, or wrote nothing.
    """
    import os

    argv = [str(tool.path), "export", "--type=sqlite", "--lazy=false", "--force-overwrite=true", f"--output={target}"]
    try:
        done = subprocess.run(  # noqa: S603 - the tool itself, no shell
            [*argv, str(report)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env=minimal_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"nsys could not export {report}: {error}", fix="perfkit doctor") from None
    if done.returncode or not target.is_file():
        said = " ".join((done.stderr or done.stdout).split())
        newer = _TOO_NEW.search(said)
        if newer:
            needed = f"nsys {newer['made_by']}" if newer["made_by"] else "the nsys that made it"
            raise MissingError(
                f"{report} was made by a newer nsys than {tool.path}, which is {tool.version}: {said:.200}",
                fix=f"install {needed} or a newer one and name it with {VARIABLE}=PATH",
            )
        raise ToolError(
            f"nsys {tool.version} could not export {report} (exit status {done.returncode}): {said:.300}",
            fix="record it again, or copy it again: it may be damaged",
        )
