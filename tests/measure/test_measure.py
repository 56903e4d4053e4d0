"""Measured runs on the CPU: what they write, and that the numbers are what the clock and the profiler said."""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from .conftest import Outcome, read

NEEDS_NSYS = pytest.mark.skipif(shutil.which("nsys") is None, reason="nsys is not installed")
FILES = {
    "metrics.json",
    "regions.json",
    "regions.md",
    "operators.md",
    "kernels.md",
    "inputs.yaml",
    "env.json",
    "passes/01-wall_clock/samples.jsonl",
    "passes/01-wall_clock/session.json",
    "passes/01-wall_clock/command.txt",
    "passes/01-wall_clock/stderr.txt",
    "passes/02-torch/trace.json.gz",
}


def samples(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "passes/01-wall_clock/samples.jsonl").read_text().splitlines()]


def test_every_artifact_is_there_and_in_the_index(measured: Path) -> None:
    index = read(measured / "run.json")
    assert set(index["files"]) >= FILES
    assert all((measured / name).is_file() for name in index["files"])
    found = [(one["backend"], one["status"], one["directory"]) for one in index["passes"]]
    assert found == [
        ("analytic", "done", ""),
        ("wall_clock", "done", "passes/01-wall_clock"),
        ("torch", "done", "passes/02-torch"),
    ]
    assert index["device"] == "cpu"
    device = read(measured / "env.json")["device"]
    assert device["torch"]
    assert device["gpu"] is None
    assert yaml.safe_load((measured / "inputs.yaml").read_text())["seed"] == 0
    with gzip.open(measured / "passes/02-torch/trace.json.gz") as file:
        assert any(str(event.get("name", "")).startswith("perfkit:outer") for event in json.load(file)["traceEvents"])


def test_the_table_of_kernels_can_be_read_with_another_tool(measured: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = pandas.read_parquet(measured / "kernels.parquet")
    names = ["region", "device", "kind", "name", "grid", "block", "calls", "total_ns"]
    assert list(table.columns)[: len(names)] == names
    assert len(table) == len(read(measured / "regions.json")["kernels"])
    assert str(table.dtypes["total_ns"]) == "int64"


def test_sampled_loops_are_scaled_exactly(measured: Path) -> None:
    metrics = read(measured / "metrics.json")
    expected = []
    for run in samples(measured):
        if run["warmup"] or run["detailed"]:
            continue
        times = {path: [] for path in ("outer", "outer/step", "outer/step/body", "left", "right")}
        for one in run["regions"]:
            times.setdefault(one["path"], []).append(one["host_ns"])
        steps = times["outer/step"]
        assert len(steps) == 4  # one of warm-up and three measured
        assert not times["outer/step/body"]  # what is inside an iteration is left to the detailed run
        scaled = Fraction(sum(steps[1:]) * 10, 3)
        expected.append(float(sum(times["outer"]) - sum(steps) + scaled) / 1e6)
    stage = metrics["aggregates"]["stage_ms"]["outer"]
    assert (stage["n"], stage["scaled_from"], stage["scaled_to"], stage["nested_in"]) == (4, 3, 10, "")
    assert stage["mean"] == pytest.approx(statistics.mean(expected), rel=1e-12)
    assert stage["std"] == pytest.approx(statistics.stdev(expected), rel=1e-9)
    assert stage["median"] == pytest.approx(statistics.median(expected), rel=1e-12)
    assert stage["min"] == pytest.approx(min(expected), rel=1e-12)
    reach = 3.182 * statistics.stdev(expected) / 2  # Student's t of four values
    assert (stage["ci_low"], stage["ci_high"]) == pytest.approx((stage["mean"] - reach, stage["mean"] + reach))
    assert stage["median"] <= stage["p95"] <= max(expected)


def test_the_first_run_is_kept_as_it_was_timed(measured: Path) -> None:
    """Its loops are not scaled: first iterations are slow, and many times their time would be no run's."""
    aggregates, first = read(measured / "metrics.json")["aggregates"], samples(measured)[0]
    spent = {path: sum(one["host_ns"] for one in first["regions"] if one["path"] == path) for path in ("outer", "left")}
    times = aggregates["stage_ms"]
    assert (times["outer"]["first_ms"], times["outer"]["first_iterations"]) == (spent["outer"] / 1e6, 4)
    assert (times["left"]["first_ms"], times["left"]["first_iterations"]) == (spent["left"] / 1e6, None)
    run = aggregates["run_ms"]
    assert (run["first_ms"], run["first_iterations"]) == (first["wall_ns"] / 1e6, 4)
    assert aggregates["step_ms"]["step"]["first_iterations"] is None
    assert " for 4 of 10 |" in (measured / "report.md").read_text()


def test_a_step_is_one_iteration_and_its_first_is_kept_apart(measured: Path) -> None:
    aggregates = read(measured / "metrics.json")["aggregates"]
    step = aggregates["step_ms"]["step"]
    assert step == aggregates["stage_ms"]["step"]
    assert (step["per"], step["n"], step["nested_in"], step["instances"]) == ("iteration", 12, "outer", 10)
    plain = [run for run in samples(measured) if not (run["warmup"] or run["detailed"])]
    runs = [[one for one in run["regions"] if one["path"] == "outer/step"] for run in plain]
    assert [one["index"] for one in runs[0]] == [0, 1, 2, 3]
    assert step["first_ms"] == runs[0][0]["host_ns"] / 1e6 >= 30  # the loop sleeps 30 ms first, then 5
    rest = [one["host_ns"] / 1e6 for run in runs for one in run[1:]]
    assert step["median"] == pytest.approx(statistics.median(rest), rel=1e-12)
    assert step["min"] == min(rest) >= 5
    rate = aggregates["throughput"]["steps_per_s"]
    run = aggregates["run_ms"]
    assert rate["min"] <= 10 / run["mean"] * 1000 <= rate["mean"] * 1.000001
    assert run["mean"] >= aggregates["stage_ms"]["outer"]["mean"]


def test_modules_and_what_is_in_iterations_are_timed_in_runs_of_their_own(measured: Path) -> None:
    metrics, made = read(measured / "metrics.json"), samples(measured)
    assert [(run["warmup"], run["detailed"]) for run in made] == [(True, True), *[(False, False)] * 4, (False, True)]
    assert (metrics["warmup"], metrics["repeats"], metrics["detailed"]) == (1, 4, 1)
    times = metrics["aggregates"]["stage_ms"]
    assert {path: times[path]["runs"] for path in ("outer", "step", "body")} == {
        "outer": "plain", "step": "plain", "body": "detailed",
    }  # fmt: skip
    inside = [one["host_ns"] for one in made[-1]["regions"] if one["path"] == "outer/step/body"]
    assert len(inside) == 4
    assert times["body"]["mean"] == pytest.approx(sum(inside[1:]) * 10 / 3 / 1e6, rel=1e-12)
    regions = {one["path"]: one["inclusive_ns"] for one in metrics["regions"]}
    steps = [one["host_ns"] for one in made[-1]["regions"] if one["path"] == "outer/step"]
    assert regions["outer/step"] == pytest.approx(float(Fraction(sum(steps[1:]) * 10, 3)), abs=1)
    own = {one["path"]: one["exclusive_ns"] for one in metrics["regions"]}
    for path, time in regions.items():  # to the nanosecond
        assert time == own[path] + sum(other for name, other in regions.items() if name.rpartition("/")[0] == path)
    assert 0 < metrics["region_overhead_share"] < 0.01
    whole = made[-1]["wall_ns"] - sum(steps) + Fraction(sum(steps[1:]) * 10, 3)
    assert metrics["detailed_run_ms"] == pytest.approx(float(whole) / 1e6, rel=1e-12)


@pytest.mark.parametrize("detailed", [0, 2])
def test_detailed_runs_can_be_left_out_or_repeated(
    perfkit: Callable[..., Outcome], tmp_path: Path, detailed: int
) -> None:
    made = perfkit(
        "run", "--model", "lab", "--backend", "wall_clock", "--set", f"wall_clock.detailed={detailed}", "--repeats",
        "1", "--warmup", "0", "--device", "cpu", "--out", "R", cwd=tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.err
    metrics = read(tmp_path / "R/metrics.json")
    assert (metrics["repeats"], metrics["detailed"]) == (1, detailed)
    assert [run["detailed"] for run in samples(tmp_path / "R")] == [False, *[True] * detailed]
    assert ("body" in metrics["aggregates"]["stage_ms"]) is bool(detailed)
    assert (metrics["detailed_run_ms"] is not None) is bool(detailed)


def test_the_report_and_the_rankings_show_the_times(measured: Path, perfkit: Callable[..., Outcome]) -> None:
    report = (measured / "report.md").read_text()
    assert "| `outer` | run | " in report
    assert "| in `outer`: `outer/step` | iteration | " in report
    assert "no MFU: no peak is known for the CPU" in report
    assert "One run was profiled, with 2 measured iterations" in report
    assert "random, seed 0" in (measured / "assumptions.md").read_text()
    ranked = perfkit("hotspots", measured, "--by", "time", "--json", cwd=measured).json()
    regions = {one["path"]: one["exclusive_ns"] for one in read(measured / "metrics.json")["regions"]}
    assert {one["path"]: one["value"] for one in ranked["layers"]} == regions
    assert ranked["total"] == sum(regions.values())
    assert ranked["layers"][0]["value"] == max(regions.values())
    compared = perfkit("compare", measured, measured, "--by", "time", "--json", "--out", "C", cwd=measured.parent)
    assert compared.json()["total"]["delta"] == 0


def test_profiled_time_of_all_regions_and_outside_is_the_profilers_own_total(measured: Path) -> None:
    report = read(measured / "regions.json")
    totals, rows = report["totals"], {row["path"]: row for row in report["regions"]}
    assert totals["cpu_time"] == totals["profiler_cpu_time"] > 0
    assert sum(row["exclusive_cpu_time"] for row in rows.values()) + totals["cpu_outside_time"] == totals["cpu_time"]
    assert sum(row["self_cpu_time"] for row in report["operators"]) == totals["cpu_time"]
    for path, row in rows.items():
        children = [one["inclusive_cpu_time"] for name, one in rows.items() if name.rpartition("/")[0] == path]
        assert row["inclusive_cpu_time"] == row["exclusive_cpu_time"] + sum(children)
    calls = {(row["region"], row["name"]): row["calls"] for row in report["operators"]}
    assert calls["outer/step/body", "aten::linear"] == rows["outer/step"]["instances"] == 3


def test_regions_of_threads_stand_on_their_own(measured: Path) -> None:
    report = read(measured / "regions.json")
    assert {"left", "left/inner", "right", "right/inner"} <= {row["path"] for row in report["regions"]}
    calls = {(row["region"], row["name"]): row["calls"] for row in report["operators"]}
    assert calls["left/inner", "aten::matmul"] == calls["right/inner", "aten::matmul"] == 1
    timed = {one["path"] for one in read(measured / "metrics.json")["regions"]}
    assert {"left/inner", "right/inner"} <= timed


def test_a_backend_that_reads_nvtx_knows_what_was_emitted(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    made = perfkit(
        "run", "--model", "lab", "--backend", "marks", "--set", "threads=true", "--repeats", "1", "--warmup", "1",
        "--device", "cpu", "--out", "R", cwd=tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.err
    once = {"outer": 1, "outer/step": 4, "outer/step/body": 4, "left": 1, "left/inner": 1, "right": 1, "right/inner": 1}
    assert read(tmp_path / "R/marks.json")["ranges"] == once  # the run of warm-up is not marked


def test_a_run_repeats_from_its_config(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    first = perfkit(
        "run", "--model", "example_mlp", "--backend", "wall_clock", "--set", "passes=40", "--set", "batch_size=256",
        "--measure-steps", "30", "--repeats", "5", "--seed", "3", "--device", "cpu", "--out", "R", cwd=tmp_path,
    )  # fmt: skip
    assert first.code == 0, first.err
    again = perfkit("run", "--config", "R/config.yaml", "--out", "S", cwd=tmp_path)
    assert again.code == 0, again.err
    for name in ("config.yaml", "inputs.yaml", "analytic/report.json"):
        assert (tmp_path / "R" / name).read_bytes() == (tmp_path / "S" / name).read_bytes(), name
    inputs = yaml.safe_load((tmp_path / "S" / "inputs.yaml").read_text())
    assert inputs["inputs"] == [{"name": "batch", "generator": "torch.randn", "seed": 3, "rows": 256, "width": 256}]
    one, two = (read(tmp_path / name / "metrics.json")["aggregates"]["step_ms"]["forward"] for name in "RS")
    assert one["n"] == two["n"] == 150
    assert (one["scaled_from"], one["scaled_to"]) == (30, 40)
    assert 1 / 3 < one["min"] / two["min"] < 3  # shared processors; the minimum is the steadiest there is


def test_a_configuration_serves_a_run_with_fewer_backends(
    measured: Path, perfkit: Callable[..., Outcome], tmp_path: Path
) -> None:
    config = yaml.safe_load((measured / "config.yaml").read_text())
    assert {name for name in config["set"] if "." in name} >= {"wall_clock.detailed", "torch.steps"}
    config["device"] = "cuda:5"  # where it was measured; nothing is executed here
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    made = perfkit("run", "--config", "config.yaml", "--backend", "analytic", "--out", "A", cwd=tmp_path)
    assert made.code == 0, made.err
    notes = read(tmp_path / "A/run.json")["notes"]
    assert any("wall_clock.detailed of " in note and "takes no part in this run" in note for note in notes)
    refused = perfkit(
        "run", "--model", "lab", "--backend", "analytic", "--set", "wall_clock.detailed=2", "--out", "B", cwd=tmp_path
    )
    assert (refused.code, "add --backend or --exporter wall_clock" in refused.err) == (2, True)


@pytest.mark.parametrize(("depth", "expected"), [(0, {"forward"}), (1, {"forward", "forward/mlp"})])
def test_region_depth_and_all_steps(perfkit: Callable[..., Outcome], tmp_path: Path, depth: int, expected: set) -> None:
    made = perfkit(
        "run", "--model", "example_mlp", "--backend", "wall_clock", "--set", "passes=7", "--measure-steps", "all",
        "--region-depth", depth, "--repeats", "1", "--warmup", "0", "--out", "R", cwd=tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.err
    metrics = read(tmp_path / "R/metrics.json")
    assert {one["path"]: one["instances"] for one in metrics["regions"]} == dict.fromkeys(expected, 7)
    stage = metrics["aggregates"]["stage_ms"]["forward"]
    assert (stage["scaled_from"], stage["n"], stage["ci_low"]) == (None, 1, None)
    run, detailed = samples(tmp_path / "R")
    assert {one["path"] for one in run["regions"]} == {"forward"}
    assert {one["path"] for one in detailed["regions"]} == expected
    times = [one["host_ns"] for one in run["regions"] if one["path"] == "forward"]
    assert stage["mean"] == pytest.approx(sum(times) / 1e6, rel=1e-12)
    assert len(times) == 7


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "with 1 measured iteration of every longer loop"),
        (("--measure-steps", "3"), "with 3 measured iterations of every longer loop"),
        (("--measure-steps", "all"), "with every iteration of every loop"),
    ],
)
@pytest.mark.parametrize("other", ["torch", pytest.param("nsys", marks=NEEDS_NSYS)])
def test_a_pass_made_for_another_backend_says_how_many_iterations_that_asked_for(
    perfkit: Callable[..., Outcome], tmp_path: Path, other: str, more: tuple[str, ...], said: str
) -> None:
    made = perfkit(
        "run", "--model", "lab", "--backend", "turns", "--set", f"turns.to={other}", "--device", "cpu", *more,
        "--out", "R", cwd=tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert said in (tmp_path / "R/report.md").read_text()


@NEEDS_NSYS
def test_a_backend_that_turns_to_another_gives_it_options(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    asks = ("run", "--model", "lab", "--backend", "asks", "--device", "cpu", "--out", "R")
    assert perfkit(*asks, cwd=tmp_path).code == 0
    assert (tmp_path / "R/passes/01-nsys/capture.nsys-rep").stat().st_size > 0
    wrong = perfkit(*asks[:-1], "W", "--set", "asks.graphs=all", cwd=tmp_path)
    assert wrong.code == 2
    assert "graphs" in read(tmp_path / "W/run.json")["passes"][1]["error"]


def test_an_attempt_whose_place_another_pass_takes_is_no_failure(
    perfkit: Callable[..., Outcome], tmp_path: Path
) -> None:
    made = perfkit("run", "--model", "lab", "--backend", "tries", "--device", "cpu", "--out", "R", cwd=tmp_path)
    assert made.code == 0, made.err
    passes = read(tmp_path / "R/run.json")["passes"][1:]
    assert [(one["status"], one["exit_code"], one["error"]) for one in passes] == [("replaced", 0, ""), ("done", 0, "")]
    assert passes[0]["notes"] == ["the second is tried instead: not this way (-)"]
    assert "| `tries` | replaced |" in (tmp_path / "R/report.md").read_text()


def test_an_attempt_whose_place_no_pass_takes_is_a_failure(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    words = ("run", "--model", "lab", "--backend", "tries", "--device", "cpu", "--set", "tries.twice=false")
    made = perfkit(*words, "--out", "R", cwd=tmp_path)
    assert made.code == 4
    assert "it failed, and no pass took its place: see its notes" in made.err
    _, done = read(tmp_path / "R/run.json")["passes"]
    assert (done["status"], done["exit_code"]) == ("failed", 4)


def test_the_time_limit_is_of_all_passes_of_a_backend(perfkit: Callable[..., Outcome], tmp_path: Path) -> None:
    words = ("run", "--model", "lab", "--backend", "tries", "--device", "cpu", "--set", "tries.seconds=2")
    made = perfkit(*words, "--max-minutes", "0.02", "--out", "R", cwd=tmp_path)
    assert made.code == 4
    passes = read(tmp_path / "R/run.json")["passes"][1:]
    assert [one["status"] for one in passes] == ["replaced", "failed"]
    assert "the time limit was used up before this pass began (a larger --max-minutes)" in made.err
