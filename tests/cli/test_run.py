"""``perfkit run``: the run directory, its status, and repeating it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.run import Environment, RunIndex

from .harness import TINY, Command

FILES = [
    "analytic/report.json",
    "analytic/summary.md",
    "assumptions.md",
    "config.yaml",
    "env.json",
    "report.md",
    "run.json",
    "stakeholder_summary.md",
]


def test_json_stands_alone_on_stdout(shell: Command, workplace: Path) -> None:
    made = shell("run", *TINY, "--out", "R", "--json")
    assert made.code == 0
    answer = json.loads(made.out)
    assert {"schema", "run_dir", "status", "model", "variant", "workload", "totals", "stages", "passes"} <= set(answer)
    assert (answer["run_dir"], answer["status"], answer["workload"]) == ("R", "done", "ci_tiny")
    assert answer["totals"]["flops"] == sum(stage["flops"] for stage in answer["stages"])
    again = shell("run", *TINY, "--out", "R", "--json")
    json.loads(again.out)
    assert again.err == "perfkit: R held a run already: it is now R.1\n"


def test_the_run_directory_holds_what_its_index_lists(cli: Command, workplace: Path) -> None:
    assert cli("run", *TINY, "--out", "R").code == 0
    found = sorted(path.relative_to("R").as_posix() for path in Path("R").rglob("*") if path.is_file())
    index = RunIndex.model_validate_json(Path("R/run.json").read_bytes())
    assert found == FILES
    assert list(index.files) == FILES
    assert index.status == "done"
    assert [(one.backend, one.status) for one in index.passes] == [("analytic", "done")]
    assert {"builtin", "wan2_1"} <= {plugin.name for plugin in index.plugins}
    report = AnalyticReport.model_validate_json(Path("R/analytic/report.json").read_bytes())
    assert index.totals is not None
    assert index.totals.flops == report.totals.flops == sum(module.own_flops for module in report.modules)
    assert "perfkit-core" in Environment.model_validate_json(Path("R/env.json").read_bytes()).distributions
    assert "t2v" not in Path("R/assumptions.md").read_text()
    assert "tiny" in Path("R/assumptions.md").read_text()
    assert "## Not modelled" in Path("R/assumptions.md").read_text()


def test_the_summary_names_stages_whole_memory_hotspots_and_report(cli: Command) -> None:
    shown = cli("run", "--model", "wan2_1", "--out", "R").out
    for expected in ("text_encoder", "denoise", "vae_decode", "whole run", "peak memory", "attn1", "R/report.md"):
        assert expected in shown
    assert "PFLOP" in shown


def test_a_run_repeats_from_its_config(cli: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("run", *TINY, "--set", "height=512", "--set", "guidance=true", "--out", "R").code == 0
    # Where it is repeated, and what the settings there say of parameters, must not matter.
    monkeypatch.setenv("PERFKIT_SET", "width=512,ncu.preset=memory")
    Path("perfkit.toml").write_text("variant = 't2v_14b'\n[set]\nnum_inference_steps = 7\n")
    repeated = cli("run", "--config", "R/config.yaml", "--out", "S")
    assert repeated.code == 0, repeated.err
    assert Path("S/analytic/report.json").read_bytes() == Path("R/analytic/report.json").read_bytes()
    assert Path("S/config.yaml").read_bytes() == Path("R/config.yaml").read_bytes()
    config = yaml.safe_load(Path("R/config.yaml").read_text())
    assert (config["variant"], config["set"]["height"], config["set"]["guidance"]) == ("tiny", 512, True)
    changed = cli("run", "--config", "R/config.yaml", "--set", "height=256", "--out", "T", "--json")
    assert changed.json()["totals"]["flops"] < json.loads(Path("S/run.json").read_text())["totals"]["flops"]


def test_another_workload_next_to_a_config_is_refused(cli: Command) -> None:
    cli("run", *TINY, "--out", "R")
    refused = cli("run", "--config", "R/config.yaml", "--workload", "p512", "--out", "S")
    assert refused.code == 2
    assert "contradicts" in refused.err
    assert not Path("S").exists()


def test_the_default_directory_is_named_after_model_and_workload(cli: Command) -> None:
    made = [cli("run", *TINY, "--json").json()["run_dir"] for _ in range(2)]
    assert len(set(made)) == 2
    for name in made:
        assert Path(name).parent == Path("perfkit-runs")
        assert "wan2_1-ci_tiny" in Path(name).name


def test_an_older_run_is_kept(cli: Command) -> None:
    for steps in ("1", "2", "3"):
        assert cli("run", *TINY, "--set", f"num_inference_steps={steps}", "--out", "R").code == 0
    found = [json.loads(Path(name, "analytic/report.json").read_text())["parameters"] for name in ("R.1", "R.2", "R")]
    assert [parameters["num_inference_steps"] for parameters in found] == [1, 2, 3]


def test_an_exporter_runs_with_the_run(cli: Command) -> None:
    made = cli("run", *TINY, "--exporter", "csv", "--out", "R", "--json").json()
    assert "exports/csv.csv" in made["files"]
    assert Path("R/exports/csv.csv").read_text().startswith("path,")


def test_backend_parameters_reach_the_backend(shell: Command, plugin_path: Path) -> None:
    args = ("run", *TINY, "--backend", "writes", "--set", "writes.level=7", "--out", "R")
    assert shell(*args, path=plugin_path).code == 0
    assert json.loads(Path("R/level.json").read_text()) == {"level": 7}
    assert yaml.safe_load(Path("R/config.yaml").read_text())["set"]["writes.level"] == 7
    wrong = shell(*args, "--set", "writes.lvl=7", path=plugin_path)
    assert wrong.code == 2
    assert "did you mean 'level'" in wrong.err


def test_a_failed_pass_leaves_the_others(shell: Command, plugin_path: Path) -> None:
    made = shell("run", *TINY, "--backend", "raises", "--backend", "writes", "--out", "R", "--json", path=plugin_path)
    assert made.code == 4
    assert "Traceback" not in made.err
    answer = made.json()
    assert answer["status"] == "partial"
    assert [one["status"] for one in answer["passes"]] == ["done", "failed", "done"]
    assert answer["passes"][1]["error"] == "RuntimeError: the widget fell off"
    assert Path("R/early.txt").exists()
    assert Path("R/level.json").exists()
    assert Path("R/report.md").exists()
    assert "the widget" in Path("R/passes/01-raises/traceback.txt").read_text()


def test_a_failed_exporter_leaves_the_run(shell: Command, plugin_path: Path) -> None:
    made = shell("run", *TINY, "--exporter", "inkless", "--exporter", "csv", "--out", "R", path=plugin_path)
    assert made.code == 4
    assert "exporter inkless: ValueError: no ink" in made.err
    assert Path("R/exports/csv.csv").exists()
    assert json.loads(Path("R/run.json").read_text())["status"] == "partial"


def test_export_of_a_failing_exporter(shell: Command, plugin_path: Path) -> None:
    assert shell("run", *TINY, "--out", "R", path=plugin_path).code == 0
    failed = shell("export", "R", "--exporter", "inkless", path=plugin_path)
    assert failed.code == 4
    assert failed.err.startswith("error: exporter 'inkless' failed on R: ValueError: no ink; fix: ")


def test_a_fault_in_an_analytic_model_is_recorded(shell: Command, plugin_path: Path) -> None:
    made = shell("run", "--model", "broken", "--out", "R", "--json", path=plugin_path)
    assert made.code == 4
    assert made.json()["status"] == "failed"
    assert "ZeroDivisionError: division by zero" in made.err
    assert "ZeroDivisionError" in Path("R/passes/00-analytic/traceback.txt").read_text()


def test_an_interrupted_run_says_so(shell: Command, plugin_path: Path) -> None:
    made = shell("run", *TINY, "--backend", "interrupted", "--out", "R", path=plugin_path)
    assert made.code == 130
    assert made.err.strip() == "interrupted"
    assert json.loads(Path("R/run.json").read_text())["status"] == "interrupted"
    assert Path("R/analytic/report.json").exists()


def test_a_crash_leaves_a_readable_run(shell: Command, plugin_path: Path) -> None:
    assert shell("run", *TINY, "--backend", "dies", "--out", "R", path=plugin_path).code == 9
    index = RunIndex.model_validate_json(Path("R/run.json").read_bytes())
    assert index.status == "running"
    assert [one.status for one in index.passes] == ["done", "running"]
    assert shell("hotspots", "R", "--json").json()["total"] > 0
    assert not [path for path in Path("R").rglob("*") if path.suffix == ".tmp"]


def test_a_backend_that_cannot_run_is_refused_before_anything_is_written(shell: Command, plugin_path: Path) -> None:
    refused = shell("run", *TINY, "--backend", "absent", "--out", "R", path=plugin_path)
    assert refused.code == 3
    assert "the widget driver is not loaded" in refused.err
    assert not Path("R").exists()


def test_costs_beyond_64_bits_stay_exact(cli: Command) -> None:
    sizes = ("num_frames=10000", "height=2160", "width=3840", "batch_size=1000")
    sets = [word for size in sizes for word in ("--set", size)]
    assert cli("run", "--model", "wan2_1", *sets, "--out", "R").code == 0
    single = [word for size in sizes[:-1] for word in ("--set", size)]
    assert cli("run", "--model", "wan2_1", *single, "--out", "S").code == 0
    many, one = (json.loads(Path(name, "run.json").read_text())["totals"]["flops"] for name in "RS")
    assert one > 2**63
    assert many == 1000 * one
