"""What the worker's environment is, and that the run says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Outcome, read

ONE = ("run", "--model", "lab", "--backend", "wall_clock", "--repeats", "1", "--warmup", "0", "--device", "cpu")


@pytest.mark.parametrize(
    ("mine", "expected"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "100", "OMP_NUM_THREADS": "1"}, {"GOMP_SPINCOUNT": "100", "OMP_NUM_THREADS": "1"}),
    ],
)
def test_idle_threads_sleep_unless_the_user_says_otherwise(
    perfkit: Callable[..., Outcome],
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    mine: dict[str, str],
    expected: dict[str, str],
) -> None:
    for name in [name for name in os.environ if name.startswith(("OMP_", "GOMP_", "KMP_"))]:
        monkeypatch.delitem(environment, name, raising=False)
    for name, value in mine.items():
        monkeypatch.setitem(environment, name, value)
    monkeypatch.setitem(environment, "OMP_DISPLAY_ENV", "TRUE")  # the library itself prints what it was told
    made = perfkit(*ONE, "--out", "R", cwd=tmp_path)
    assert made.code == 0, made.err
    variables = read(tmp_path / "R/env.json")["variables"]
    assert {name: value for name, value in variables.items() if name in {**expected, "OMP_WAIT_POLICY": ""}} == expected
    said = "Idle processor threads sleep" in (tmp_path / "R/assumptions.md").read_text()
    assert said is (not mine)
    printed = (tmp_path / "R/passes/01-wall_clock/stderr.txt").read_text()
    if not mine and "OMP_WAIT_POLICY" in printed:
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in printed
