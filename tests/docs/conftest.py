"""Where the documentation is, and how its code is found and run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"(?:^File `(?P<file>[^`]+)`:\n\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


class Page:
    """One documentation page: its text and its code blocks as (file name or None, language, code)."""

    def __init__(self, path: Path):
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.blocks = [(found["file"], found["language"], found["code"]) for found in _FENCE.finditer(self.text)]

    def files(self):
        return {file: code for file, _, code in self.blocks if file}

    def shell(self):
        """Every line of the shell blocks, comments dropped, continued lines joined."""
        code = "".join(code for file, language, code in self.blocks if language == "sh" and not file)
        lines = (line.strip() for line in code.replace("\\\n", " ").splitlines())
        return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="session")
def docs():
    return ROOT / "docs"


@pytest.fixture(scope="session")
def page(docs):
    return lambda name: Page(docs / name)


@pytest.fixture
def execute(tmp_path):
    """Run one documented command line in ``cwd``, with distributions installed in ``site`` beside the others."""

    def run(line: str, cwd: Path, site: Path | None = None, code: int = 0) -> str:
        words = shlex.split(line, comments=True)
        if words[0] == "perfkit":
            words = [sys.executable, "-c", "from perfkit_core.cli import main; main()", *words[1:]]
        elif words[0] in {"python", "pytest"}:
            words = [sys.executable, *(["-m", "pytest"] if words[0] == "pytest" else []), *words[1:]]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERFKIT_", "PYTHON"))}
        environment = {**kept, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "none")}
        if site is not None:
            environment["PYTHONPATH"] = str(site)
        done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run
