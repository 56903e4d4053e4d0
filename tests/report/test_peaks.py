"""The peaks that a run records: what its kernels reach is held against them, whichever backend measured it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from perfkit_core import api
from perfkit_core.devices import builtin_devices
from perfkit_core.environment import known_peaks
from perfkit_core.report import render
from perfkit_core.rundir import load_run

CAPTURED = Path(__file__).resolve().parents[2] / "docs/results/2026-11-21-h200-nsys/wan_nsys"


def page_of(run):
    return render(load_run(run), template="stakeholder_summary.md")


def test_a_timeline_is_held_against_the_peaks_of_the_gpu_without_an_unprofiled_pass(tmp_path):
    run = shutil.copytree(CAPTURED, tmp_path / "R")
    assert "Not known: how near attention" in page_of(run)
    environment = json.loads((run / "env.json").read_text())
    peaks = known_peaks(environment["device"]["gpu"]["name"], builtin_devices())
    environment["peaks"] = peaks.model_dump()
    (run / "env.json").write_text(json.dumps(environment))
    page = page_of(run)
    regions = json.loads((run / "regions.json").read_text())
    attention = sum(row["total_ns"] for row in regions["kernels"] if "sdpa_sm90_flash_fprop" in row["name"])
    operations = [
        (module["path"], operation)
        for module in json.loads((run / "analytic/report.json").read_text())["modules"]
        for operation in module["ops"]
        if module["path"].startswith("denoise") and operation["kind"] == "attention"
    ]
    (instances,) = {row["instances"] for row in regions["regions"] if row["path"] == "denoise/step/transformer"}
    flops = sum(operation["flops"] for _, operation in operations) / 100 * instances
    share = flops / (attention / 1e9) / peaks.flops_per_s["bfloat16"]
    assert 0.5 < share < 0.6
    assert f"{100 * share:.1f} % of the bfloat16 peak of 989.4 TFLOP/s" in page
    assert "how near attention" not in page


def test_only_a_gpu_whose_whole_name_is_known_has_peaks():
    assert known_peaks("NVIDIA H200", builtin_devices()).name == "h200"
    assert known_peaks("NVIDIA H200 NVL MIG 1g.18gb", builtin_devices()) is None


def test_a_run_on_the_cpu_records_no_peaks(tmp_path):
    run = api.run("wan2_1", variant="tiny", backends=["wall_clock"], repeats=1, warmup=0, out=tmp_path / "R")
    assert json.loads((run.path / "env.json").read_text())["peaks"] is None
