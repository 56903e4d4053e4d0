from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .broken import PROJECTS
from .distributions import PERFKIT, Outcome, build_wheels, pip, run_command


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the directory that a distribution of ``broken.PROJECTS`` is installed into."""
    root = tmp_path_factory.mktemp("distributions")
    build_wheels([project.write(root / "src" / name) for name, project in PROJECTS.items()], root / "wheels")

    def install(name: str) -> Path:
        target = root / "sites" / name
        if not target.exists():
            wheel = next((root / "wheels").glob(f"{PROJECTS[name].package}-*.whl"))
            pip("install", "--no-deps", "--no-index", "--target", target, wheel)
        return target

    return install


@pytest.fixture
def perfkit(site: Callable[[str], Path], tmp_path: Path) -> Callable[..., Outcome]:
    """Return a function that runs ``perfkit ARGUMENTS`` with distributions installed beside those that are there."""

    def run(*arguments: object, beside: Sequence[str] = (), **environment: str) -> Outcome:
        path = os.pathsep.join(str(site(name)) for name in beside)
        return run_command([*PERFKIT, *map(str, arguments)], tmp_path, PYTHONPATH=path, **environment)

    return run
