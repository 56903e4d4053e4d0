from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .lab import PLUGIN


class Outcome:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self) -> object:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An import path with the lab's plugin installed."""
    root = tmp_path_factory.mktemp("site")
    (root / "lab_plugin.py").write_text(PLUGIN)
    info = root / "perfkit_lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: perfkit-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[perfkit]\nlab = lab_plugin\n")
    return root


@pytest.fixture
def environ(site: Path, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERFKIT_")}
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "none")}
    return {**kept, **home, "PYTHONPATH": str(site)}


@pytest.fixture
def perfkit(environ: dict[str, str], tmp_path: Path) -> Callable[..., Outcome]:
    """Run ``perfkit ARGUMENTS`` in an empty directory."""

    def run(*arguments: object) -> Outcome:
        command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", *map(str, arguments)]
        return Outcome(
            subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=120)
        )

    return run
