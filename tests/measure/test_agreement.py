"""``compare --by time`` says whether two measured runs agree within ±10 %."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Outcome, read

TIMES = ("mean", "std", "min", "median", "p95", "ci_low", "ci_high", "first_ms")


def slower(run: Path, target: Path, factor: float, spread: float, *, stage: str = "") -> Path:
    """Copy a run with its whole, or one stage, scaled and with an interval of ``spread`` to both sides."""
    shutil.copytree(run, target)
    metrics = read(target / "metrics.json")
    aggregates = metrics["aggregates"]
    for one in [aggregates["stage_ms"][stage]] if stage else [aggregates["run_ms"]]:
        mean = one["mean"] * factor
        one.update(dict.fromkeys(TIMES, mean))
        one.update(std=mean * spread, ci_low=mean * (1 - spread), ci_high=mean * (1 + spread))
    (target / "metrics.json").write_text(json.dumps(metrics))
    return target


@pytest.fixture
def compared(measured: Path, perfkit: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Any]:
    """Compare a run of quiet times with a copy of it that took ``factor`` times as long."""
    base = slower(measured, tmp_path / "quiet", 1, 0.01)

    def compare(factor: float, spread: float, **more: str) -> Any:
        head = slower(base, tmp_path / f"head{factor}", factor, spread, **more)
        made = perfkit("compare", base, head, "--by", "time", "--json", cwd=tmp_path)
        assert made.code == 0, made.err
        assert made.json()["agreement"]["text"] in made.json()["verdict"]
        assert made.json()["agreement"]["text"] in (head / "compare/quiet.md").read_text()
        return made.json()["agreement"]

    return compare


@pytest.mark.parametrize(
    ("factor", "spread", "agrees", "certain", "text"),
    [
        (1.0, 0.01, True, True, "The runs agree within ±10.0 %: "),
        (1.09, 0.005, True, False, "more --repeats or a quieter machine"),
        (0.92, 0.2, True, False, "The runs agree within ±10.0 %: "),
        (1.11, 0.01, False, False, "The runs do not agree within ±10.0 %: "),
        (1.5, 0.01, False, True, "(+50.0 %, 95 % interval +47.0 % to +53.0 %)"),
        (0.5, 0.01, False, True, "(-50.0 %, "),
    ],
)
def test_the_whole_run(
    compared: Callable[..., Any], factor: float, spread: float, agrees: bool, certain: bool, text: str
) -> None:
    found = compared(factor, spread)
    assert (found["limit"], found["agrees"], found["certain"]) == (0.1, agrees, certain)
    assert found["whole"]["relative_change"] == pytest.approx(factor - 1)
    assert found["whole"]["low"] == pytest.approx(factor * (1 - spread) / 1.01 - 1)
    assert found["whole"]["high"] == pytest.approx(factor * (1 + spread) / 0.99 - 1)
    assert text in found["text"]
    assert ("--repeats" in found["text"]) is not certain


def test_stages_that_do_not_are_named(compared: Callable[..., Any]) -> None:
    found = compared(1.3, 0.01, stage="left")
    assert found["agrees"] is True
    assert {one["path"]: one["agrees"] for one in found["stages"]} == {"outer": True, "left": False, "right": True}
    assert "; stages that do not: left " in found["text"]


def test_two_runs_of_one_config(measured: Path, perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    again = perfkit("run", "--config", measured / "config.yaml", "--out", "S", cwd=tmp_path)
    assert again.code == 0, again.err
    shown = perfkit("compare", measured, "S", "--by", "time", cwd=tmp_path)
    assert "agree within ±10.0 %: " in shown.out.splitlines()[0]
    one, two = read(measured / "metrics.json"), read(tmp_path / "S/metrics.json")
    assert set(one["aggregates"]["stage_ms"]) == set(two["aggregates"]["stage_ms"])
    found = perfkit("compare", measured, "S", "--by", "time", "--json", cwd=tmp_path).json()["agreement"]
    means = one["aggregates"]["run_ms"]["mean"], two["aggregates"]["run_ms"]["mean"]
    assert found["whole"]["relative_change"] == pytest.approx(means[1] / means[0] - 1)
    assert found["agrees"] is (abs(means[1] / means[0] - 1) <= 0.1)


def test_without_times_there_is_nothing_to_agree(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    assert perfkit("run", "--model", "lab", "--out", "R", cwd=tmp_path).code == 0
    assert perfkit("compare", "R", "R", "--json", cwd=tmp_path).json()["agreement"] is None
