"""CSV output of nsys stats, made by hand and by nsys itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfkit_nsight.attribution import attribute
from perfkit_nsight.csv_scrub import scrub_stats
from perfkit_nsight.nsys_stats import UNTOLD, blocks_of, load, sniff
from perfkit_nsight.nsys_tables import read_export

from perfkit_core.errors import DamagedFileError, MissingError
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
        ("", "aten::mm", 100_000, 1, 1),
        ("", UNTOLD, 1_500_500, 3, None),
        ("perfkit", "denoise", 499_500, 1, 1),
        ("perfkit", UNTOLD, 1_500_500, 3, None),
    ]
    assert (report.totals.outside_ns, report.totals.outside_by_domain) == (0, {"": 0, "perfkit": 0})
    assert any("how ranges nest" in limit for limit in report.limits)
    assert any("in ms, us, rounded" in limit for limit in report.limits)
    tables = found.files["tables.json"]["tables"]
    assert [table["report"] for table in tables] == ["cuda_gpu_kern_sum", "nvtx_kern_sum"]
    assert tables[0]["rows"][0]["Total Time"] == 1500.5


def test_times_in_nanoseconds_are_not_said_to_be_rounded(read):
    exact = KERNELS.replace("Total Time (us)", "Total Time (ns)").replace("1,500.5", "1500").replace("499.5,1", "499,1")
    assert not any("rounded" in limit for limit in read(exact).report.limits)


def exclusive_and_outside(report):
    found = dict(report.totals.outside_by_domain)
    for row in report.regions:
        found[row.domain] = found.get(row.domain, 0) + row.exclusive_ns
    return found


HEADER = "NVTX Range,Style,PID,TID,NVTX Inst,Kern Inst,Total Time (ns),Avg (ns),Min (ns),Kernel Name\n"


def test_kernels_alone_do_not_say_what_is_outside(read):
    report = read(KERNELS).report
    assert (report.totals.outside_ns, report.totals.unattributed, report.totals.outside_by_domain) == (None, {}, {})
    assert [(row.path, row.exclusive_ns) for row in report.regions] == [(UNTOLD, report.totals.total_ns)]
    assert any("inside or outside of regions is unknown" in limit for limit in report.limits)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_powershell_writes_is_read(encoding, tmp_path, read):
    path = tmp_path / "power.csv"
    path.write_bytes((KERNELS + RANGES).replace("\n", "\r\n").encode(encoding))
    assert sniff(path, path.read_bytes()[:301])
    assert load(ImportContext(path=path, options=Options())).report == read(KERNELS + RANGES).report
    path.write_bytes(path.read_bytes()[:-3] + b"\xd8\x00"[: 1 + (encoding == "utf-8-sig")])
    with pytest.raises(DamagedFileError, match="cut off" if encoding == "utf-16" else "no UTF-8"):
        load(ImportContext(path=path, options=Options()))


PRINTED = """Processing [a.sqlite] with [/opt/nsys/reports/gpukernsum.py]...

 ** CUDA GPU Kernel Summary (gpukernsum):

 Time (%)  Total Time (ns)  Instances  Avg (ns)  Name
 --------  ---------------  ---------  --------  ------
     62.9           121855          5   24371.0  nvjet_
"""


@pytest.mark.parametrize("text", [PRINTED, PRINTED[PRINTED.index(" **") :], PRINTED[PRINTED.index(" Time") :]])
def test_tables_made_for_reading_name_the_option(text, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text)
    assert sniff(path, text.encode())
    for use in (lambda: load(ImportContext(path=path, options=Options())), lambda: scrub_stats(path, tmp_path / "b")):
        with pytest.raises(MissingError, match="made for reading") as refused:
            use()
        assert "--format csv" in refused.value.fix


@pytest.mark.parametrize("end", ["Total Ti", "Instances", "(us)", "...", "75.0", "mm<float>"])
def test_a_file_that_ends_anywhere_in_its_first_rows_is_said_to_be_cut_off(end, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(KERNELS[: KERNELS.index(end) + len(end)])
    assert sniff(path, path.read_bytes())
    with pytest.raises(DamagedFileError, match="cut off"):
        load(ImportContext(path=path, options=Options()))


def test_a_last_row_without_an_end_of_line_may_be_cut_off(read):
    assert any("may be cut off" in note for note in read(KERNELS[: KERNELS.index("relu") + 2]).notes)
    assert not any("cut off" in note for note in read(KERNELS).notes)


def test_what_the_tables_do_not_tell_is_null(read):
    (row,) = read("NVTX Range,Style,Kern Inst,Total Time (ns),Kernel Name\n:a,PushPop,1,30,mm\n").report.regions
    assert (row.instances, row.busy_ns, row.span_ns, row.idle_time, row.host_time) == (None,) * 5
    assert (row.inclusive_launches, row.exclusive_launches, row.kernels_per_instance) == (None,) * 3


@pytest.mark.parametrize("nothing", [",", "None,None"])
def test_rows_without_a_range_are_what_is_outside(read, nothing):
    rows = f"{nothing},7,7,0,2,50,25.0,20,mm\n:a,PushPop,7,7,1,1,30,30.0,30,mm\n:s,StartEnd,7,8,1,1,9,9.0,9,relu\n"
    report = read(HEADER + rows).report
    assert (report.totals.kernels, report.totals.total_ns, report.totals.outside_ns) == (4, 89, 59)
    assert report.totals.unattributed == {"no range was open": 50, "only a start/end range was open": 9}
    shown = [(row.path, row.inclusive_ns, row.exclusive_ns, row.exclusive_kernels) for row in report.regions]
    assert shown == [("a", 30, 30, 1)]
    assert [(row.name, row.calls, row.total_ns) for row in report.kernels] == [("mm", 3, 80), ("relu", 1, 9)]


def test_a_kernel_in_several_ranges_is_not_given_to_one(read):
    report = read(HEADER + ":a,PushPop,7,7,1,2,60,30.0,20,mm\n:b,PushPop,7,7,1,1,20,20.0,20,mm\n").report
    shown = {row.path: (row.inclusive_ns, row.exclusive_ns) for row in report.regions}
    assert shown == {"a": (60, 0), "b": (20, 0), UNTOLD: (60, 60)}
    assert report.totals.total_ns == 60
    assert any("at least" in limit and "80 ns at most" in limit for limit in report.limits)


def test_a_range_in_itself_is_named(read):
    report = read(HEADER + ":a,PushPop,7,7,2,2,90,30.0,30,mm\n").report
    assert (report.totals.kernels, report.totals.total_ns) == (2, 60)
    assert any("nest in themselves" in limit and limit.endswith(": a") for limit in report.limits)
    assert exclusive_and_outside(report) == {"": 60}


@pytest.mark.parametrize(
    ("report", "cell", "others", "expected"),
    [
        ("nvtxkernsum", "aten::mm", "", ("", "aten::mm")),
        ("nvtxkernsum", "autograd::engine::evaluate_function: Mm", "", ("", "autograd::engine::evaluate_function: Mm")),
        ("nvtxkernsum", "perfkit:step", "", ("perfkit", "step")),
        ("nvtxkernsum", "CCCL:cub::DeviceScan", "", ("CCCL", "cub::DeviceScan")),
        ("nvtxkernsum", "at::native:mm", "", ("", "at::native:mm")),
        ("nvtxkernsum", ":odd", "", ("", ":odd")),
        ("nvtx_kern_sum", "CCCL:cub::DeviceScan", "", ("CCCL", "cub::DeviceScan")),
        ("nvtx_kern_sum", ":aten::mm", "", ("", "aten::mm")),
        ("nvtx_kern_sum", ":a: b:c", "", ("", "a: b:c")),
        ("nvtx_kern_sum", "my::lib: x", ":y", ("my::lib", " x")),
    ],
)
def test_domains_of_old_and_new_tables(read, report, cell, others, expected):
    text = f"Processing [a.sqlite] with [/opt/{report}.py]...\n{HEADER}{cell},PushPop,7,7,1,1,30,30.0,30,mm\n"
    text += f"{others},PushPop,7,7,1,1,30,30.0,30,relu\n" if others else ""
    rows = [row for row in read(text).report.regions if row.path != UNTOLD]
    assert (rows[0].domain, rows[0].path) == expected


RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "2026-11-21-h200-nsys"


def committed(folder):
    return json.loads((RESULTS / folder / "regions.json").read_text())


@pytest.mark.parametrize("folder", ["exec_plain", "ocr_nsys", "wan_nsys"])
def test_ranges_of_a_real_table_alone_have_the_times_of_the_capture(folder):
    report = load(ImportContext(path=RESULTS / folder / "nvtx_kern_sum.csv", options=Options())).report
    truth = [row for row in committed(folder)["regions"] if row["process"] is None]
    for row in report.regions:
        same = [one for one in truth if one["domain"] == row.domain and one["path"].split("/")[-1] == row.path]
        if row.path != UNTOLD:
            assert row.inclusive_ns == sum(one["inclusive_ns"] for one in same), row.path
            assert row.exclusive_ns <= sum(one["exclusive_ns"] for one in same), row.path
    totals = committed(folder)["totals"]
    assert (report.totals.outside_ns, report.totals.total_ns <= totals["total_ns"]) == (totals["outside_ns"], True)
    assert set(exclusive_and_outside(report).values()) == {report.totals.total_ns}


@pytest.mark.parametrize("folder", ["ranges_node", "ranges_graph"])
def test_a_real_table_of_several_domains(folder):
    report = load(ImportContext(path=RESULTS / folder / "nvtx_kern_sum.csv", options=Options())).report
    assert {row.domain for row in report.regions} == {"", "model", "other"}
    assert set(exclusive_and_outside(report).values()) == {report.totals.total_ns}
    assert report.totals.total_ns > report.totals.outside_ns > 0


@pytest.mark.skipif(NSYS is None, reason="nsys is not installed")
def test_what_another_nsys_prints_of_a_real_capture_agrees(tmp_path):
    shutil.copyfile(RESULTS / "ranges_node" / "capture.sqlite", tmp_path / "a.sqlite")
    for names in ("nvtxkernsum,gpukernsum", "nvtx_kern_sum,cuda_gpu_kern_sum"):
        command = [str(NSYS), "stats", "--report", names, "--format", "csv", str(tmp_path / "a.sqlite")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if sniff(tmp_path, done.stdout.encode()):
            break
    (tmp_path / "a.csv").write_text(done.stdout)
    paths = tmp_path / "a.csv", RESULTS / "ranges_node" / "nvtx_kern_sum.csv"
    here, there = (load(ImportContext(path=path, options=Options())).report for path in paths)
    for report in (here, there):
        assert set(exclusive_and_outside(report).values()) == {report.totals.total_ns}
    regions = [{(row.domain, row.path): row for row in one.regions if row.path != UNTOLD} for one in (here, there)]
    assert regions[0] == regions[1]
    assert here.totals.outside_ns == there.totals.outside_ns
    assert here.totals.total_ns >= there.totals.total_ns
    capture = attribute(read_export(RESULTS / "ranges_node" / "capture.sqlite"))
    assert here.totals.total_ns == capture.totals.total_ns


def test_tables_without_kernels_are_missing_something(read):
    with pytest.raises(MissingError, match="no table of kernels") as caught:
        read("Processing [a] with [b/nvtx_pushpop_sum.py]...\nTime (%),Total Time (ns),Instances,Range\n100.0,5,1,:a\n")
    assert "nvtx_pushpop_sum" in caught.value.message
    assert "nsys stats" in caught.value.fix


def test_tables_of_different_captures_are_refused(read):
    with pytest.raises(DamagedFileError, match="different captures"):
        read("Total Time (ns),Instances,Name\n10,1,mm\n\n" + HEADER + ":a,PushPop,7,7,1,1,30,30.0,30,mm\n")


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
