"""Files of Nsight tools through ``perfkit import``: the right importer, the same result each time; what is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from perfkit_nsight.attribution import attribute
from perfkit_nsight.nsys_export import export_sqlite
from perfkit_nsight.nsys_tables import read_export
from perfkit_nsight.nsys_tool import Nsys

from perfkit_core.errors import MissingError

from .exports import Recording
from .nsys_reports import NSYS
from .test_ncu_csv import DETAILS, RAW
from .test_nsys_stats import KERNELS, RANGES


@pytest.fixture
def perfkit(tmp_path):
    def run(*arguments, **environ):
        command = [sys.executable, "-c", "from perfkit_core.cli import main; main()", *map(str, arguments)]
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environ}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120)

    return run


@pytest.fixture
def export(tmp_path):
    made = Recording()
    made.domain(1, "perfkit")
    made.range("denoise", 100, 900, domain=1)
    made.range("aten::mm, op_id = 7", 150, 800)
    made.launch(200, 50, 1)
    made.launch(950, 70, 2)
    return made.write(tmp_path / "a.sqlite")


@pytest.mark.parametrize("ranges", [0, 1])
def test_a_capture_without_a_range_around_its_kernels_is_a_whole_run(perfkit, tmp_path, ranges):
    """Kernels of an unmarked program, and one whose only range has none inside: every page is written."""
    made = Recording()
    for number in range(ranges):
        made.range(f"r{number}", 10, 20)
    made.launch(200, 50, 1)
    made.launch(950, 70, 2)
    done = perfkit("import", made.write(tmp_path / "a.sqlite"), "--out", "R")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "R/run.json").read_text())["status"] == "done"
    page = (tmp_path / "R/stakeholder_summary.md").read_text()
    assert ("None of the 2 kernels recorded has a region around it" in page) == (not ranges)


def test_a_kernel_without_a_device_is_of_none_that_is_known(perfkit, tmp_path):
    made = Recording()
    made.range("a", 100, 900)
    made.launch(200, 50, 1)
    path = made.write(tmp_path / "a.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE free AS SELECT * FROM CUPTI_ACTIVITY_KIND_KERNEL")
        database.execute("DROP TABLE CUPTI_ACTIVITY_KIND_KERNEL")
        database.execute("ALTER TABLE free RENAME TO CUPTI_ACTIVITY_KIND_KERNEL")
        database.execute("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET deviceId = NULL")
    done = perfkit("import", path, "--out", "R", "--json")
    assert done.returncode == 0, done.stderr
    assert {row["device"] for row in json.loads(done.stdout)["regions"]} == {None, -1}


def test_a_foreign_report_with_the_right_beginning_is_damaged(perfkit, tmp_path):
    (tmp_path / "a.nsys-rep").write_bytes(b"NVIDIA Tegra Profiler Report" + bytes(range(128, 256)))
    done = perfkit("import", "a.nsys-rep", "--out", "R", PATH="/usr/local/bin:/usr/bin:/bin")
    assert done.returncode in ({5} if NSYS else {3}), done.stderr


def test_an_export_becomes_regions_as_attribution_has_them(perfkit, export, tmp_path):
    before = export.read_bytes()
    done = perfkit("import", export, "--out", "R", "--json")
    assert done.returncode == 0, done.stderr
    assert export.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("a.*")) == ["a.sqlite"]
    wanted = attribute(read_export(export)).as_dict()
    shown = json.loads(done.stdout)
    assert shown["regions"] == wanted["regions"]
    assert shown["totals"] == wanted["totals"]
    assert {row["path"] for row in shown["regions"]} == {"denoise", "aten::mm"}
    assert shown["sources"][0]["tool"] == "Nsight Systems 2025.5.2.266"
    assert perfkit("import", export, "--out", "S").returncode == 0
    assert (tmp_path / "R/regions.json").read_bytes() == (tmp_path / "S/regions.json").read_bytes()


def test_rows_of_devices_and_the_aggregate_can_be_left_out(perfkit, export):
    def processes(*arguments):
        shown = json.loads(perfkit("import", export, "--json", *arguments).stdout)
        return {row["process"] for row in shown["regions"]}

    assert processes() == {None, 1}
    assert processes("--set", "nsys.per_device=false") == {None}
    assert processes("--set", "nsys.aggregate=false") == {1}


@pytest.mark.parametrize(
    ("text", "importer"), [(RAW, "ncu_csv"), (DETAILS, "ncu_csv"), (KERNELS + RANGES, "nsys_stats")]
)
def test_tables_are_told_apart_by_their_headers(perfkit, tmp_path, text, importer):
    (tmp_path / "a.csv").write_text(text)
    done = perfkit("import", "a.csv", "--out", "R", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"][0]["importer"] == importer
    assert "regions.json" in json.loads((tmp_path / "R/run.json").read_text())["files"]


def test_a_timeline_and_counters_share_a_run(perfkit, export, tmp_path):
    (tmp_path / "a.csv").write_text(RAW)
    done = perfkit("import", export, "a.csv", "--out", "R")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "R/passes/01-ncu_csv/launches.json").is_file()
    assert json.loads((tmp_path / "R/run.json").read_text())["file_passes"]["regions.json"] == "passes/00-nsys"


def foreign(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE a (b)")
    database.close()


def test_foreign_damaged_and_empty_files_are_refused(perfkit, export, tmp_path):
    foreign(tmp_path / "foreign.sqlite")
    (tmp_path / "cut.sqlite").write_bytes(export.read_bytes()[:5000])
    (tmp_path / "empty.ncu-rep").write_bytes(b"")
    (tmp_path / "text.ncu-rep").write_text("no report")
    (tmp_path / "noise.ncu-rep").write_bytes(b"NVR\0" + bytes(range(256)) * 20)
    (tmp_path / "noise.nsys-rep").write_bytes(bytes(range(256)))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for path in sorted(tmp_path.glob("[!a]*.*")):
        done = perfkit("import", path.name, "--out", "R")
        assert done.returncode == 5, (path.name, done.stderr)
        assert path.name in done.stderr
        assert "fix: " in done.stderr
        assert not (tmp_path / "R").exists()


def test_a_report_of_nsys_needs_nsys(perfkit, tmp_path):
    (tmp_path / "a.nsys-rep").write_bytes(b"NVIDIA Tegra Profiler Report 1.\n\x0b")
    done = perfkit("import", "a.nsys-rep", PERFKIT_NSYS=str(tmp_path / "none"))
    assert done.returncode == 3
    assert "PERFKIT_NSYS" in done.stderr


def test_what_newer_versions_say_of_a_report_that_is_newer_still(tmp_path):
    """They name the version that it needs."""
    (tmp_path / "a.nsys-rep").write_bytes(b"NVIDIA Tegra Profiler Report 1.\n\x0b")
    said = "Report was created in Nsight Systems version (2026.3.1), newer than this one"
    tool = Nsys(path=tmp_path / "nsys", version="2025.6.1", problems=())
    tool.path.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    tool.path.chmod(0o755)
    with pytest.raises(MissingError) as caught:
        export_sqlite(tool, tmp_path / "a.nsys-rep", tmp_path / "a.sqlite")
    assert caught.value.fix.startswith("install nsys 2026.3.1 or a newer one")


@pytest.mark.skipif(NSYS is None, reason="nsys is not installed")
def test_a_real_report_is_exported_and_read(perfkit, tmp_path):
    code = "import nvtx\nfor _ in range(3):\n    with nvtx.annotate('step'):\n        pass"
    command = [
        str(NSYS),
        "profile",
        "--trace=nvtx",
        "--sample=none",
        "--cpuctxsw=none",
        "-o",
        "a",
        sys.executable,
        "-c",
    ]
    done = subprocess.run([*command, code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert (tmp_path / "a.nsys-rep").is_file(), done.stdout + done.stderr
    made = perfkit("import", "a.nsys-rep", "--json")
    assert made.returncode == 0, made.stderr
    rows = [row for row in json.loads(made.stdout)["regions"] if row["process"] is None]
    assert [(row["path"], row["instances"]) for row in rows] == [("step", 3)]
    (tmp_path / "cut.nsys-rep").write_bytes((tmp_path / "a.nsys-rep").read_bytes()[:2000])
    assert perfkit("import", "cut.nsys-rep").returncode == 5
    report = (tmp_path / "a.nsys-rep").read_bytes()
    (tmp_path / "new.nsys-rep").write_bytes(report.replace(b"Profiler Report 1.", b"Profiler Report 9.", 1))
    newer = perfkit("import", "new.nsys-rep")
    assert newer.returncode == 3, newer.stderr
    assert "new.nsys-rep was made by a newer nsys than " in newer.stderr
    assert "fix: install the nsys that made it or a newer one and name it with PERFKIT_NSYS=PATH" in newer.stderr
    shutil.rmtree(tmp_path / "perfkit-runs")


@pytest.mark.skipif(NSYS is None, reason="nsys is not installed")
def test_a_program_is_measured_by_its_regions_under_nsys(perfkit, tmp_path):
    code = (
        "from perfkit_core import region\n"
        "for _ in range(4):\n    with region('outer'):\n        with region('inner'):\n            pass\n"
        "print('the end')"
    )
    done = perfkit("exec", "--backend", "nsys", "--out", "R", "--json", "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(done.stdout)["regions"] if row["process"] is None]
    assert [(row["domain"], row["path"], row["instances"]) for row in rows] == [
        ("perfkit", "outer", 4),
        ("perfkit", "outer/inner", 4),
    ]
    assert "the end" in done.stderr
    failed = perfkit("exec", "--backend", "nsys", "--out", "S", "--", sys.executable, "-c", "raise SystemExit(3)")
    assert failed.returncode == 4
    assert "exit status 3" in failed.stderr
