"""What ``perfkit --help`` and a run load, and how commands are found."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from perfkit_core.cli.group import COMMANDS

from .harness import Command

HEAVY = {"pydantic", "pluggy", "rich", "jinja2", "yaml", "numpy", "pandas", "torch", "transformers", "diffusers"}
TORCH = {"torch", "transformers", "diffusers", "numpy", "pandas"}


def modules_after(*args: str) -> set[str]:
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from perfkit_core.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("args", [("--help",), (), ("--version",)])
def test_help_loads_nothing_heavy_and_scans_no_entry_points(args: tuple[str, ...]) -> None:
    loaded = modules_after(*args)
    assert not loaded & HEAVY
    assert "importlib.metadata" not in loaded
    assert not [name for name in loaded if name.startswith("perfkit_wan2_1")]


def test_a_run_loads_no_torch() -> None:
    loaded = modules_after("run", "--model", "wan2_1", "--variant", "tiny", "--out", "R", "--json")
    assert not loaded & TORCH
    assert "rich" not in loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help_and_debug(name: str, cli: Command) -> None:
    shown = cli(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: perfkit {name}")
    assert "--debug" in shown.out
    assert f"  {name} " in cli("--help").out


def test_without_a_command_the_help_is_shown(cli: Command) -> None:
    assert cli().out == cli("--help").out
    assert cli().code == 0


@pytest.mark.parametrize("args", [("--debug", "run", "--model", "nope"), ("run", "--model", "nope", "--debug")])
def test_debug_shows_the_traceback_before_or_after_the_command(args: tuple[str, ...], cli: Command) -> None:
    failed = cli(*args)
    assert failed.code == 2
    assert "Traceback" in failed.err
    assert failed.err.splitlines()[-1].startswith("error: unknown model 'nope'")


def test_debug_from_the_environment(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFKIT_DEBUG", "1")
    assert "Traceback" in cli("hotspots", "nope").err


def test_a_closed_pipe_is_no_error() -> None:
    code = "import sys; from perfkit_core.cli import main; sys.argv[0] = 'perfkit'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "list", "workloads", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_output_that_the_terminal_cannot_encode(shell: Command) -> None:
    made = shell("run", "--model", "wan2_1", "--variant", "tiny", "--out", "ü", PYTHONIOENCODING="ascii")
    assert made.code == 0
    assert "report: \\xfc/report.md" in made.out
