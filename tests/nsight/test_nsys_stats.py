"""CSV output of nsys stats, made by hand and by nsys itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfkit_nsight.nsys_stats import blocks_of, load, sniff

from perfkit_core.errors import DamagedFileError
from perfkit_core.importer import ImportContext
from perfkit_core.options import Options

from .exports import Recording
from .nsys_reports import NSYS

KERNELS = """Processing [/home/ada/a.sqlite] with [/opt/nsys/reports/cuda_gpu_kern_sum.py]...
Time (%),Total Time (us),Instances,Avg (us),Name
75.0,"1,500.5",3,500.2,"void mm<float>(int, int)"
25.0,499.5,1,499.5,relu

"""
RANGES = """Processing [a.sqlite] with [/opt/nsys/reports/nvtx_kern_sum.py]...
NVTX Range,Style,PID,TID,NVTX Inst,Kern Inst,Total Time (ms),Avg (ms),Kernel Name
:step,PushPop,7,7,2,3,1.5005,0.5,mm
:step,PushPop,7,7,2,1,0.4995,0.4,relu
perfkit:denoise,PushPop,7,7,1,1,0.4995,0.4,relu
":aten::mm, op_id = 3",PushPop,7,7,1,1,0.1,0.1,mm
:other,StartEnd,7,7,1,1,0.1,0.1,mm

"""


@pytest.fixture
def read(tmp_path):
    def run(text):
        path = tmp_path / "a.csv"
        path.write_text(text)
        return load(ImportContext(path=path, options=Options()))

    return run


def test_several_reports_in_one_file_with_units_in_their_headers(read):
    found = read(KERNELS + RANGES)
    report = found.report
    assert (report.totals.kernels, report.totals.total_ns) == (4, 2_000_000)
    assert [(row.name, row.calls, row.total_ns) for row in report.kernels] == [
        ("void mm<float>(int, int)", 3, 1_500_500),
        ("relu", 1, 499_500),
    ]
    shown = [(row.domain, row.path, row.inclusive_ns, row.inclusive_kernels, row.instances) for row in report.regions]
    assert shown == [
        ("", "step", 2_000_000, 4, 2),
        ("perfkit", "denoise", 499_500, 1, 1),
        ("", "aten::mm", 100_000, 1, 1),
    ]
    assert report.totals.outside_ns == report.totals.total_ns
    assert any("not by nesting" in limit for limit in report.limits)
    tables = found.files["tables.json"]["tables"]
    assert [table["report"] for table in tables] == ["cuda_gpu_kern_sum", "nvtx_kern_sum"]
    assert tables[0]["rows"][0]["Total Time"] == 1500.5


def test_ranges_alone_are_kept_as_a_table(read):
    found = read(RANGES)
    assert found.report is None
    assert any("cuda_gpu_kern_sum" in note for note in found.notes)


DAMAGED = {
    "skipped": "Processing [a] with [x.py]...\nSKIPPED: a.sqlite does not contain CUDA kernel data.\n",
    "no rows": "Time (%),Total Time (ns),Instances,Name\n",
    "a short row": KERNELS.rstrip().removesuffix(",1,499.5,relu") + "\n",
    "an open quote": KERNELS[: KERNELS.index("float>")],
    "no time": KERNELS.replace("499.5,1,", "soon,1,"),
    "no count": KERNELS.replace(",3,", ",3.5,"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_and_empty_files_are_refused(read, case):
    with pytest.raises(DamagedFileError) as caught:
        read(DAMAGED[case])
    assert "nsys stats" in caught.value.fix


@pytest.mark.skipif(NSYS is None, reason="nsys is not installed")
def test_what_nsys_prints_is_read(tmp_path, read):
    made = Recording()
    made.range("step", 100, 900, thread=1)
    made.launch(200, 50, 1, thread=1)
    made.launch(400, 70, 2, thread=1)
    export = made.write(tmp_path / "a.sqlite")
    shutil.copy(export, tmp_path / "copy.sqlite")
    for names in ("gpukernsum,nvtxkernsum", "cuda_gpu_kern_sum,nvtx_kern_sum"):
        command = [str(NSYS), "stats", "--report", names, "--format", "csv", str(tmp_path / "copy.sqlite")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if sniff(tmp_path, done.stdout.encode()):
            break
    report = read(done.stdout).report
    assert (report.totals.kernels, report.totals.total_ns) == (2, 120)
    (region,) = report.regions
    assert (region.path, region.inclusive_ns, region.inclusive_kernels) == ("step", 120, 2)


@given(st.text())
def test_any_text_splits_into_blocks(text):
    assert all(block.lines for block in blocks_of(text))
