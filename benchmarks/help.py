"""Cold: ``perfkit --help`` against ``python -c "import click"``, and with 50 more plugins installed.

python benchmarks/help.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from timing import command, interleaved, ratio, row

REPEATS, PLUGINS = 25, 50


def install(folder: Path, number: int) -> None:
    """Write one installed distribution with a perfkit entry point."""
    name = f"perfkit_crowd_{number:02d}"
    (folder / f"{name}.py").write_text("import torch\n", encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[perfkit]\n{name} = {name}\n", encoding="utf-8")


def main() -> None:
    """Measure and print."""
    perfkit = str(Path(sys.executable).with_name("perfkit"))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PLUGINS):
            install(Path(folder), number)
        crowd = {**os.environ, "PYTHONPATH": folder}
        seconds = interleaved(
            {
                "click": command([sys.executable, "-c", "import click"]),
                "help": command([perfkit, "--help"]),
                "crowd": command([perfkit, "--help"], crowd),
            },
            REPEATS,
        )
    row("python -c 'import click'", seconds["click"])
    row("perfkit --help", seconds["help"])
    row(f"perfkit --help with {PLUGINS} more plugins", seconds["crowd"])
    ratio("perfkit --help / import click", seconds["help"], seconds["click"], "<= 2")
    ratio(f"with {PLUGINS} plugins / without", seconds["crowd"], seconds["help"], "<= 1.10")


if __name__ == "__main__":
    main()
