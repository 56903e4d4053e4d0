"""An import path with the example plugin and the lab, and commands that run with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .lab import LAB

ROOT = Path(__file__).resolve().parents[2]
CODE = "import sys; from perfkit_core.cli import main; sys.argv[0] = 'perfkit'; main()"


def pytest_collection_modifyitems() -> None:
    pytest.importorskip("torch")


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    site, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home")
    (site / "perfkit_lab.py").write_text(LAB)
    for name, module in (("perfkit-lab", "perfkit_lab"), ("perfkit-example-plugin", "perfkit_example_plugin.plugin")):
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[perfkit]\n{module.partition('.')[0]} = {module}\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERFKIT_")}
    path = os.pathsep.join([str(site), str(ROOT / "examples" / "perfkit_example_plugin" / "src")])
    return {**kept, "PYTHONPATH": path, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="session")
def perfkit(environment: dict[str, str]) -> Callable[..., Outcome]:
    def run(*arguments: object, cwd: Path, **options: Any) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-c", CODE, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            **options,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def measured(perfkit: Callable[..., Outcome], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the lab with threads, timed and profiled."""
    work = tmp_path_factory.mktemp("measured")
    made = perfkit(
        "run", "--model", "lab", "--backend", "wall_clock", "--backend", "torch", "--set", "threads=true", "--repeats",
        "4", "--device", "cpu", "--out", "R", "--json", cwd=work,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert made.json()["status"] == "done"
    return work / "R"


def read(path: Path) -> Any:
    return json.loads(path.read_text())
