"""A clean place to run commands in, in process and as a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from perfkit_core.cli import perfkit

from .harness import UNRULY, Command, Outcome


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with no settings from the machine that runs the tests."""
    for name in [name for name in os.environ if name.startswith("PERFKIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def cli() -> Command:
    """Run a command in this process."""

    def run(*args: str) -> Outcome:
        result = CliRunner().invoke(perfkit, list(args), prog_name="perfkit")
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def shell() -> Command:
    """Run a command in a process of its own, optionally with more on the import path."""

    def run(*args: str, path: Path | None = None, **environ: str) -> Outcome:
        code = "import sys; from perfkit_core.cli import main; sys.argv[0] = 'perfkit'; main()"
        env = {**os.environ, **environ}
        if path is not None:
            env["PYTHONPATH"] = str(path)
        done = subprocess.run(
            [sys.executable, "-c", code, *args], env=env, capture_output=True, text=True, encoding="utf-8", check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def plugin_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An import path with an installed plugin whose backends, exporter and models misbehave on request."""
    root = tmp_path_factory.mktemp("site")
    (root / "unruly.py").write_text(textwrap.dedent(UNRULY))
    info = root / "perfkit_unruly-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: perfkit-unruly\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[perfkit]\nunruly = unruly\n")
    return root
