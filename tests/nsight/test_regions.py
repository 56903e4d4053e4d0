"""What attribution makes of particular captures, figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from perfkit_nsight.attribution import attribute
from perfkit_nsight.nsys_tables import read_export

from perfkit_core.schema.regions import RegionRow, RegionsReport

from .exports import Recording


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def report_of(recording: Recording, folder: Path, *, aggregate: bool = True) -> RegionsReport:
    return attribute(read_export(recording.write(folder / "export.sqlite")), aggregate=aggregate)


def aggregates(report: RegionsReport) -> dict[str, RegionRow]:
    return {row.path: row for row in report.regions if row.process is None}


def times(report: RegionsReport) -> dict[str, tuple[int, int]]:
    return {path: (row.inclusive_ns, row.exclusive_ns) for path, row in aggregates(report).items()}


def test_a_repeated_step_with_a_part_inside(recording: Recording, folder: Path) -> None:
    for step, at in enumerate((0, 1000)):
        recording.range("step", at, at + 500)
        recording.range("part", at + 10, at + 200, registered=True)
        recording.launch(at + 20, 40, 10 * step + 1)
        recording.launch(at + 100, 60, 10 * step + 2)
        recording.launch(at + 300, 5, 10 * step + 3)
    rows = aggregates(report_of(recording, folder))
    assert list(rows) == ["step", "step/part"]
    step, part = rows["step"], rows["step/part"]
    assert (step.inclusive_ns, step.exclusive_ns, step.inclusive_kernels, step.exclusive_kernels) == (210, 10, 6, 2)
    assert (part.inclusive_ns, part.busy_ns, part.span_ns) == (200, 200, 2 * (172 - 32))
    assert (part.instances, part.kernels_per_instance, part.launches_per_instance) == (2, 2.0, 2.0)
    assert part.idle_time == 2 * (112 - 72)
    assert step.idle_time == 2 * (112 - 72 + 312 - 172)
    assert (step.host_time, part.host_time) == (1000, 380)


def test_idle_time_leaves_out_what_others_of_the_process_do_on_the_device(recording: Recording, folder: Path) -> None:
    recording.range("mine", 0, 100)
    recording.range("other", 0, 100, thread=2)
    recording.range("elsewhere", 0, 100, process=2)
    recording.launch(0, 10, 1)
    recording.launch(50, 10, 2)
    recording.call(20, 21, 3, thread=2)
    recording.copy(30, 40, 3)
    recording.call(20, 21, 3, process=2)
    recording.copy(40, 60, 3, process=2)
    rows = aggregates(report_of(recording, folder))
    assert rows["mine"].idle_time == (62 - 22) - (40 - 30)
    assert rows["other"].idle_time == 0
    assert (rows["other"].copies.inclusive, rows["other"].copies.exclusive_time) == (1, 10)
    assert rows["other"].inclusive_kernels == 0


def test_kernels_side_by_side_are_busy_once(recording: Recording, folder: Path) -> None:
    recording.range("step", 0, 100)
    recording.launch(0, 40, 1)
    recording.launch(20, 40, 2)
    report = report_of(recording, folder)
    row = aggregates(report)["step"]
    assert (row.inclusive_ns, row.busy_ns, row.span_ns, row.idle_time) == (80, 60, 60, 0)
    assert (report.totals.total_ns, report.totals.busy_ns) == (80, 60)


def test_every_domain_is_a_tree_of_its_own(recording: Recording, folder: Path) -> None:
    recording.domain(7, "perfkit")
    recording.domain(3, "perfkit", process=2)
    recording.range("denoise", 0, 100, domain=7)
    recording.range("aten::mm", 10, 50, domain=None)
    recording.range("denoise", 0, 100, domain=3, process=2)
    recording.launch(20, 30, 1)
    recording.launch(60, 5, 2)
    recording.launch(60, 7, 2, process=2)
    report = report_of(recording, folder)
    found = {(row.domain, row.path): row.exclusive_ns for row in report.regions if row.process is None}
    assert found == {("", "aten::mm"): 30, ("perfkit", "denoise"): 42}
    assert report.totals.outside_by_domain == {"": 12, "perfkit": 0}
    assert (report.totals.total_ns, report.totals.outside_ns) == (42, 0)
    assert {(row.domain, row.region) for row in report.kernels} == {("perfkit", "denoise")}


def test_the_range_opened_last_names_a_kernel_that_perfkit_does_not(recording: Recording, folder: Path) -> None:
    recording.domain(1, "lib")
    recording.range("user", 0, 100)
    recording.range("gemm", 10, 50, domain=1)
    recording.launch(20, 30, 1)
    recording.launch(60, 5, 2)
    report = report_of(recording, folder)
    assert [(row.domain, row.region, row.total_ns) for row in report.kernels] == [("lib", "gemm", 30), ("", "user", 5)]


def test_a_domain_without_a_name_is_not_taken_for_the_default_one(recording: Recording, folder: Path) -> None:
    recording.range("a", 0, 100, domain=5)
    recording.launch(10, 10, 1)
    report = report_of(recording, folder)
    assert [row.domain for row in report.regions][:1] == ["(domain 5)"]
    assert any("(domain 5)" in limit for limit in report.limits)


def test_recursion_is_a_path_that_holds_its_name_twice(recording: Recording, folder: Path) -> None:
    recording.range("f", 0, 100)
    recording.range("f", 10, 90)
    recording.range("f", 20, 50)
    recording.launch(30, 10, 1)
    recording.launch(60, 4, 2)
    assert times(report_of(recording, folder)) == {"f": (14, 0), "f/f": (14, 4), "f/f/f": (10, 10)}


def test_overlapping_ranges_count_for_all_that_contain_the_launch(recording: Recording, folder: Path) -> None:
    recording.range("a", 0, 50)
    recording.range("b", 30, 80)
    recording.launch(10, 1, 1)
    recording.launch(40, 2, 2)
    recording.launch(60, 4, 3)
    recording.launch(49, 8, 4)  # its call ends after a does
    report = report_of(recording, folder)
    assert times(report) == {"a": (3, 1), "b": (12, 12), "a/b": (2, 2)}
    assert {path: row.instances for path, row in aggregates(report).items()} == {"a": 1, "b": 1, "a/b": 1}


def test_a_call_that_outlasts_the_range_is_outside_of_it(recording: Recording, folder: Path) -> None:
    recording.range("outer", 0, 100)
    recording.range("inner", 10, 20)
    recording.call(19, 21, 1)
    recording.kernel(30, 40, 1)
    assert times(report_of(recording, folder)) == {"outer": (10, 10), "outer/inner": (0, 0)}


def test_a_range_that_was_never_closed_ends_with_the_last_event(recording: Recording, folder: Path) -> None:
    recording.range("open", 0, None)
    recording.range("closed", 10, 60)
    recording.launch(20, 10, 1)
    recording.launch(50, 3, 2)
    recording.launch(70, 5, 3)
    report = report_of(recording, folder)
    assert times(report) == {"open": (13, 0), "open/closed": (13, 13)}
    reason = "launched after the last NVTX event, in a range that was never closed"
    assert report.totals.unattributed == {reason: 5}
    assert any("1 push/pop ranges were never closed" in limit for limit in report.limits)


def test_what_is_outside_is_split_by_reason(recording: Recording, folder: Path) -> None:
    recording.range("step", 0, 100)
    recording.range("request", 200, 300, kind=60)
    recording.range("mark", 400, None, kind=34)
    recording.range("handed over", 500, 600, ends_on=2)
    recording.launch(10, 1, 1)
    recording.launch(210, 2, 2)
    recording.launch(210, 4, 3, thread=9)
    recording.launch(400, 8, 4)
    recording.launch(510, 16, 5)
    recording.kernel(700, 732, None)
    recording.kernel(700, 764, 77)
    recording.call(800, 802, 8)
    for number in range(2):
        recording.kernel(810, 810 + 128 * (number + 1), 8, node=number + 1)
    recording.launch(20, 512, 1, process=3)
    report = report_of(recording, folder)
    assert report.totals.unattributed == {
        "part of a CUDA graph": 384,
        "no launch row": 96,
        "only a start/end range was open": 6,
        "only a range that ends on another thread was open": 16,
        "launched outside every range": 8 + 512,
    }
    assert report.totals.outside_ns == sum(report.totals.unattributed.values()) == report.totals.total_ns - 1
    assert any("end on another thread" in limit for limit in report.limits)
    assert times(report) == {"step": (1, 1)}


def test_graphs_traced_whole_and_node_by_node(recording: Recording, folder: Path) -> None:
    recording.range("whole", 0, 100)
    recording.call(10, 12, 1)
    recording.graph(20, 70, 1)
    recording.range("nodes", 200, 300)
    recording.call(210, 212, 2)
    for number in range(5):
        recording.kernel(220 + 10 * number, 228 + 10 * number, 2, node=number + 1)
    report = report_of(recording, folder)
    rows = aggregates(report)
    whole, nodes = rows["whole"], rows["nodes"]
    assert (whole.inclusive_kernels, whole.inclusive_ns, whole.busy_ns) == (0, 0, 0)
    assert (whole.graphs.inclusive, whole.graphs.exclusive_time, whole.inclusive_launches) == (1, 50, 1)
    assert (nodes.inclusive_kernels, nodes.inclusive_ns, nodes.inclusive_launches) == (5, 40, 1)
    assert (nodes.kernels_per_instance, nodes.idle_time) == (5.0, 8)
    assert (report.totals.kernels, report.totals.launches, report.totals.graphs.time) == (5, 2, 50)


def test_processes_and_devices_have_rows_of_their_own(recording: Recording, folder: Path) -> None:
    for process in (1, 2):
        recording.range("step", 0, 100, process=process)
        recording.launch(10, 10 * process, 1, process=process, device=0)
        recording.launch(20, 100 * process, 2, process=process, device=process)
    recording.range("step", 0, 100, process=3)
    report = report_of(recording, folder)
    places = {(row.process, row.device): row.inclusive_ns for row in report.regions}
    assert places == {(None, None): 330, (1, 0): 10, (1, 1): 100, (2, 0): 20, (2, 2): 200, (3, None): 0}
    assert aggregates(report)["step"].instances == 3
    single = report_of(recording, folder, aggregate=False)
    assert single.regions == tuple(row for row in report.regions if row.process is not None)


def test_pytorchs_own_ranges_are_grouped_without_their_numbers(recording: Recording, folder: Path) -> None:
    names = ("aten::mm, op_id = 7", "aten::mm, op_id = 12", "MmBackward0, seq = 3, op_id = 9")
    sized = "aten::mm, op_id = 2, sizes = [[2, 3], [3, 4]], input_op_ids = [(1,0)]"
    for number, name in enumerate((*names, sized, "loss, x = 3")):
        recording.range(name, 100 * number, 100 * number + 50)
        recording.launch(100 * number + 10, 10, number + 1)
    assert {path: row.instances for path, row in aggregates(report_of(recording, folder)).items()} == {
        "aten::mm": 2,
        "MmBackward0": 1,
        "aten::mm, sizes = [[2, 3], [3, 4]]": 1,
        "loss, x = 3": 1,
    }


def test_names_keep_paths_unambiguous(recording: Recording, folder: Path) -> None:
    recording.range("a/b", 0, 100)
    recording.range("", 10, 90)
    recording.launch(20, 10, 1)
    assert list(aggregates(report_of(recording, folder))) == ["a%2Fb", "a%2Fb/(unnamed)"]


def test_kernels_are_told_apart_by_region_device_and_geometry(recording: Recording, folder: Path) -> None:
    recording.range("step", 0, 1000)
    for number, (grid, device, name) in enumerate(
        [((4, 1, 1), 0, "k"), ((4, 1, 1), 0, "k"), ((8, 2, 1), 0, "k"), ((4, 1, 1), 1, "k"), ((4, 1, 1), 0, "m")]
    ):
        recording.launch(
            10 * number, 10, number + 1, grid=grid, device=device, name=f"void {name}<int>(int*)", short=name
        )
    recording.launch(2000, 1, 99, name="void k<int>(int*)", short="k")
    rows = report_of(recording, folder).kernels
    assert [(row.region, row.device, row.short_name, row.grid, row.calls, row.total_ns) for row in rows] == [
        ("step", 0, "k", "4,1,1", 2, 20),
        ("step", 0, "k", "8,2,1", 1, 10),
        ("step", 0, "m", "4,1,1", 1, 10),
        ("step", 1, "k", "4,1,1", 1, 10),
        ("", 0, "k", "4,1,1", 1, 1),
    ]
    assert {row.name for row in rows} == {"void k<int>(int*)", "void m<int>(int*)"}
    assert {row.block for row in rows} == {"256,1,1"}


def test_the_shortest_and_the_median_of_each_kernel_are_kept(recording: Recording, folder: Path) -> None:
    recording.range("step", 0, 1000)
    for number, (time, name) in enumerate([(30, "k"), (7, "m"), (10, "k"), (20, "k"), (90, "k"), (1, "m"), (5, "m")]):
        recording.launch(10 * number, time, number + 1, name=name, short=name)
    rows = {row.name: row for row in report_of(recording, folder).kernels}
    assert {name: (row.calls, row.total_ns, row.shortest_ns, row.median_ns) for name, row in rows.items()} == {
        "k": (4, 150, 10, 20),
        "m": (3, 13, 1, 5),
    }


def test_a_correlation_is_of_one_process_alone(recording: Recording, folder: Path) -> None:
    recording.range("one", 0, 100)
    recording.range("two", 0, 100, process=2)
    recording.launch(10, 10, 5)
    recording.launch(10, 20, 5, process=2)
    assert times(report_of(recording, folder)) == {"one": (10, 10), "two": (20, 20)}


def test_of_two_calls_with_one_correlation_the_first_launches(recording: Recording, folder: Path) -> None:
    recording.range("outer", 0, 100)
    recording.range("inner", 11, 19)
    recording.call(12, 15, 1)
    recording.call(10, 20, 1)
    recording.kernel(30, 40, 1)
    report = report_of(recording, folder)
    assert times(report) == {"outer": (10, 10), "outer/inner": (0, 0)}
    assert any("share their correlation" in limit for limit in report.limits)


def test_deep_recursion_needs_no_stack(recording: Recording, folder: Path) -> None:
    for depth in range(1500):
        recording.range("f", depth, 10_000 - depth)
    recording.launch(2000, 10, 1)
    rows = aggregates(report_of(recording, folder))
    assert len(rows) == 1500
    assert {row.inclusive_ns for row in rows.values()} == {10}
    assert sum(row.exclusive_ns for row in rows.values()) == 10


def test_reports_survive_their_file_and_older_files_still_load(recording: Recording, folder: Path) -> None:
    recording.range("step", 0, 100)
    recording.launch(10, 10, 1)
    recording.call(30, 31, 2)
    recording.copy(40, 50, 2)
    report = report_of(recording, folder)
    assert RegionsReport.model_validate_json(report.model_dump_json()) == report
    new_in_rows = {"copies", "sets", "graphs", "inclusive_launches", "exclusive_launches", "idle_time", "host_time"}
    new_in_rows |= {"kernels_per_instance", "launches_per_instance"}
    old = report.as_dict()
    old["regions"] = [{name: row[name] for name in row.keys() - new_in_rows} for row in old["regions"]]
    new_in_kernels = {"domain", "short_name", "shortest_ns", "median_ns"}
    old["kernels"] = [{name: row[name] for name in row.keys() - new_in_kernels} for row in old["kernels"]]
    kept = ("kernels", "total_ns", "outside_ns", "unattributed", "copies_time", "copies_outside_time")
    old["totals"] = {name: old["totals"][name] for name in kept}
    loaded = RegionsReport.model_validate(old)
    assert [row.inclusive_ns for row in loaded.regions] == [row.inclusive_ns for row in report.regions]
    assert loaded.totals.copies_time == 10
