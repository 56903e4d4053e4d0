"""Joining measured launches with a timeline, and what regions make of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perfkit_nsight.results import Counters, Result

from perfkit_core.schema.counters import CountersReport, Thresholds

from .counting import BLOCK, joined, kernel, measured, timeline

COMPUTE = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
MEMORY = "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"
OCCUPANCY = "sm__warps_active.avg.pct_of_peak_sustained_active"
DRAM = "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"
WAVES = "launch__waves_per_multiprocessor"
TENSOR = "sm__ops_path_tensor_src_"
CAUSES = (
    "; its grid fills 0.25 of one wave of blocks; occupancy 12.0 % is below 25 %"
    "; it takes 1.000 µs, below 10 µs: its beginning and end weigh"
)
ALL_TENSOR = {f"{TENSOR}bf16_dst_fp32.sum": 0.0, f"{TENSOR}fp16.sum": 0.0, f"{TENSOR}tf32_dst_fp32.sum": 0.0}


def values(report: CountersReport, path: str) -> dict[str, float | str | None]:
    return {one.name: one.value for region in report.regions if region.path == path for one in region.metrics}


def test_one_measurement_stands_for_all_runs_of_the_kernel() -> None:
    profile = timeline([kernel("a/b", "k", 3, 300), kernel("a", "k", 2, 200), kernel("", "k", 5, 500)])
    found = joined(measured([("k", {"lts__t_bytes.sum": 7.0})]), profile)
    assert [(one.where, one.calls, one.measured_calls, one.passes) for one in found.kernels] == [
        ("", 5, 1, 3),
        ("a/b", 3, 1, 3),
        ("a", 2, 1, 3),
    ]
    assert values(found, "a") == {"lts__t_bytes.sum": 35.0}
    assert values(found, "a/b") == {"lts__t_bytes.sum": 21.0}
    assert [(one.calls, one.total_ns) for one in found.outside_kernels] == [(5, 500)]


def test_the_same_kernel_on_other_work_is_another_one() -> None:
    """Attention of a model on itself and on a short text: one kernel, one grid, a hundred times the time."""
    metric = "lts__t_bytes.sum"
    rows = [kernel("blocks.0/attn1", "k", 1, 10**8), kernel("blocks.1/attn1", "k", 1, 10**8)]
    profile = timeline([*rows, kernel("blocks.0/attn2", "k", 1, 10**6), kernel("blocks.1/attn2", "k", 1, 10**6)])
    one = joined(measured([("k", {metric: 100.0})], time=10**8, regions=["blocks.0/attn1"]), profile)
    assert [(row.where, row.calls, row.measured_calls) for row in one.kernels] == [
        ("blocks.*/attn1", 2, 1),
        ("blocks.*/attn2", 2, 0),
    ]
    assert values(one, "blocks.1") == {metric: 100.0}
    assert values(one, "blocks.1/attn2") == {}
    assert [note.partition(":")[0] for note in one.notes] == [
        "1 of 2 kernels was measured with another time than on the timeline, 1.0 % of the kernel time"
    ]
    assert one.kernels[1].reason.startswith("its time under the counters is another than on the timeline")
    both = joined(
        Counters(
            profiler="p",
            results=[
                *measured([("k", {})], time=10**8, regions=["blocks.0/attn1"]).results,
                *measured([("k", {})], time=10**6, regions=["blocks.0/attn2"]).results,
            ],
            metrics=[{"name": metric, "unit": "", "values": [100.0, 1.0]}],
            rules=[],
        ),
        profile,
    )
    assert values(both, "blocks.1") == {metric: 101.0}


def test_a_measurement_that_took_another_time_than_the_timeline_stands_for_nothing() -> None:
    """The mean of all launches of the region counts: two of different work make up what the timeline has."""
    profile = timeline([kernel("a", "k", 4, 400_000)])
    half = joined(measured([("k", {"lts__t_bytes.sum": 7.0})], time=10_000, regions=["a"]), profile)
    assert half.kernels[0].bound == "unknown"
    assert half.regions[0].measured_share == 0
    results = [
        measured([("k", {})], time=time, regions=["a"]).results[0] for time in (10_000, 190_000)
    ]  # of different work
    found = Counters(
        profiler="p",
        results=results,
        metrics=[{"name": "lts__t_bytes.sum", "unit": "", "values": [1.0, 19.0]}],
        rules=[],
    )
    assert values(joined(found, profile), "a") == {"lts__t_bytes.sum": 40.0}


def test_what_was_measured_elsewhere_is_taken_where_it_took_the_same_time() -> None:
    profile = timeline([kernel("a", "k", 1, 100_000), kernel("b", "k", 2, 208_000)])
    found = joined(measured([("k", {"lts__t_bytes.sum": 7.0})], time=100_000, regions=["a"]), profile)
    assert values(found, "b") == {"lts__t_bytes.sum": 14.0}
    assert any(note.startswith("1 of 2 kernels was measured in other regions only") for note in found.notes)


def test_regions_of_the_same_family_come_before_others_that_took_the_same_time() -> None:
    """The slower layer's product is like the other layer's, not like another product that happens to take as long."""
    rows = [kernel("layers.0/down", "k", 1, 100_000), kernel("layers.1/down", "k", 1, 120_000)]
    profile = timeline([*rows, kernel("layers.0/q", "k", 1, 118_000)])
    taken = {"layers.0/down": (104_000, 7.0), "layers.0/q": (118_000, 1000.0)}
    results = [measured([("k", {})], time=time, regions=[path]).results[0] for path, (time, _) in taken.items()]
    metric = {"name": "lts__t_bytes.sum", "unit": "", "values": [value for _, value in taken.values()]}
    found = joined(Counters(profiler="p", results=results, metrics=[metric], rules=[]), profile)
    assert values(found, "layers.1/down") == {"lts__t_bytes.sum": 7.0}


def test_one_launch_stands_for_no_other_where_launches_in_its_region_differ() -> None:
    """A first chunk of a video is smaller than the others: the same kernel, the same grid, less work."""
    names = ("vae/resnets.0", "vae/resnets.1")
    rows = [kernel(name, "k", 21, 268_000_000, shortest=3_250_000, median=13_300_000) for name in names]
    even = kernel("vae/resnets.2", "k", 20, 268_000_000, shortest=13_000_000, median=13_300_000)
    found = joined(
        measured([("k", {"lts__t_bytes.sum": 7.0})], time=13_300_000, regions=[names[0]]), timeline([*rows, even])
    )
    assert [(one.calls, one.measured_calls) for one in found.kernels] == [(42, 0), (20, 1)]
    assert found.kernels[0].reason == (
        "its launches differ in time: shortest 3.250 ms, median 13.30 ms, mean 12.76 ms; "
        "counters of one stand for no other"
    )
    assert values(found, "vae") == {"lts__t_bytes.sum": 140.0}
    assert next(one for one in found.regions if one.path == "vae").measured_share == pytest.approx(1 / 3)
    assert found.notes[0].startswith(
        "1 of 2 kernels was measured on some of their launches, which differ in time, 66.7 % of the kernel time"
    )


@pytest.mark.parametrize(
    ("shortest", "median", "mean", "stands"),
    [(9_000, 13_000, 13_000, True), (8_000, 13_000, 13_000, False), (13_000, 13_000, 16_000, True),
     (13_000, 13_000, 17_000, False), (3_000, 9_900, 10_500, True), (None, None, 13_000, True)],
)  # fmt: skip
def test_noise_makes_launches_slower_never_faster(
    shortest: int | None, median: int | None, mean: int, stands: bool
) -> None:
    rows = [kernel("a", "k", 100, 100 * mean, shortest=shortest, median=median)]
    found = joined(measured([("k", {})], time=13_000, regions=["a"]), timeline(rows))
    assert bool(found.kernels[0].measured_calls) is stands


def test_launches_that_differ_as_all_in_their_region_do_stand_for_them() -> None:
    """The whole region was measured: a product there and back, one of them twice as long, one grid."""
    rows = [kernel(f"layers.{number}/mlp", "k", 2, 300_000, shortest=100_000, median=100_000) for number in (0, 1)]
    taken = [(102_000, 1.0), (204_000, 2.0)]
    results = [measured([("k", {})], time=time, regions=["layers.0/mlp"]).results[0] for time, _ in taken]
    metric = {"name": "lts__t_bytes.sum", "unit": "", "values": [value for _, value in taken]}
    found = joined(Counters(profiler="p", results=results, metrics=[metric], rules=[]), timeline(rows))
    assert values(found, "layers.1/mlp") == {"lts__t_bytes.sum": 3.0}
    half = joined(Counters(profiler="p", results=results[:1], metrics=[metric | {"values": [1.0]}]), timeline(rows))
    assert half.kernels[0].measured_calls == 0


def test_several_measurements_of_one_kernel_count_as_their_mean() -> None:
    found = joined(
        measured([("k", {"lts__t_bytes.sum": 7.0}), ("k", {"lts__t_bytes.sum": 9.0})]),
        timeline([kernel("a", "k", 4, 400)]),
    )
    assert values(found, "a") == {"lts__t_bytes.sum": 32.0}


def test_another_geometry_is_another_kernel() -> None:
    profile = timeline([kernel("a", "k", 1, 100), kernel("a", "k", 1, 300, grid="9,1,1")])
    found = joined(measured([("k", {"lts__t_bytes.sum": 7.0})]), profile)
    assert [(one.grid, one.measured_calls) for one in found.kernels] == [("9,1,1", 0), ("8,1,1", 1)]
    assert found.regions[0].measured_share == 0.25
    assert "1 of 2 kernels was not measured, 75.0 % of the kernel time" in found.notes
    elsewhere = joined(measured([("k", {})], grid="7,1,1"), profile)
    assert any("Measured launches of no kernel" in note and note.endswith(": 1, of k") for note in elsewhere.notes)
    assert elsewhere.regions[0].note == "Not measured."


def test_names_as_pytorchs_profiler_writes_them_are_found() -> None:
    mangled = "_ZN2at6native12_GLOBAL__N_110cunn_applyIfLi4EEEvPT_i"
    written = "void at::native::(anonymous namespace)::cunn_apply<float, 4>(float*, int)"
    ncu = "void at::native::<unnamed>::cunn_apply<float, (int)4>(T1 *, int)"
    found = measured([(ncu, {"lts__t_bytes.sum": 7.0})], mangled=[mangled])
    for name in (written, ncu, mangled):
        report = joined(found, timeline([kernel("a", name, 2, 200)]))
        assert values(report, "a") == {"lts__t_bytes.sum": 14.0}


def test_sums_maxima_minima_and_means_by_time() -> None:
    metrics = ("l1tex__x.sum", "l1tex__y.max", "l1tex__z.min", "l1tex__w.avg", "l1tex__hit_rate.pct", WAVES)
    found = measured([("k", dict.fromkeys(metrics, 2.0)), ("m", dict.fromkeys(metrics, 5.0))])
    report = joined(found, timeline([kernel("a", "k", 3, 30), kernel("a", "m", 1, 10)]))
    assert {one.name: (one.of, one.value) for one in report.regions[0].metrics} == {
        "l1tex__x.sum": ("sum", 11.0),
        "l1tex__y.max": ("max", 5.0),
        "l1tex__z.min": ("min", 2.0),
        "l1tex__w.avg": ("mean", 2.75),
        "l1tex__hit_rate.pct": ("mean", 2.75),
    }


def test_a_sum_to_which_a_measured_kernel_has_no_value_is_null() -> None:
    found = measured([("k", {"l1tex__x.sum": 2.0, "l1tex__w.avg": 2.0}), ("m", {"l1tex__x.sum": None})])
    report = joined(found, timeline([kernel("a", "k", 3, 30), kernel("a", "m", 1, 10)]))
    assert values(report, "a") == {"l1tex__x.sum": None, "l1tex__w.avg": 2.0}


def test_of_the_four_that_ncu_stores_of_a_counter_a_region_has_the_one_that_means_something() -> None:
    kinds = ("", ".per_second", ".pct_of_peak_sustained_elapsed")
    names = [f"dram__bytes.{rollup}{more}" for rollup in ("avg", "max", "min", "sum") for more in kinds]
    report = joined(measured([("k", dict.fromkeys(names, 1.0))]), timeline([kernel("a", "k", 1, 1)]))
    assert sorted(values(report, "a")) == [
        "dram__bytes.avg.pct_of_peak_sustained_elapsed", "dram__bytes.sum", "dram__bytes.sum.per_second",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "base", "factor"),
    [("Kbyte", "byte", 1e3), ("Gbyte/s", "byte/s", 1e9), ("us", "ns", 1e3), ("Mbyte/second", "byte/s", 1e6),
     ("cycle/nsecond", "hz", 1e9), ("Ghz", "hz", 1e9), ("byte/block", "byte/block", 1), ("inst", "inst", 1)],
)  # fmt: skip
def test_scaled_units_are_brought_to_their_base(unit: str, base: str, factor: float) -> None:
    found = joined(
        measured([("k", {"dram__x.sum": 2.0})], units={"dram__x.sum": unit}), timeline([kernel("a", "k", 1, 1)])
    )
    (metric,) = found.kernels[0].metrics
    assert metric.value == pytest.approx(2 * factor)
    assert metric.unit == base


def test_tensor_flops_are_null_where_the_chip_or_the_collection_has_none() -> None:
    profile = timeline([kernel("a", "k", 1, 100)])
    assert joined(measured([("k", {COMPUTE: 50.0})]), profile).kernels[0].efficiency.tensor_flops is None
    # Of a kernel in float16, bfloat16 alone was looked at: its 0 says nothing.
    only = joined(measured([("k", {f"{TENSOR}bf16_dst_fp32.sum": 0.0})]), profile)
    assert only.kernels[0].efficiency.tensor_flops is None
    assert joined(measured([("k", ALL_TENSOR)]), profile).kernels[0].efficiency.tensor_flops == 0


def test_tensor_flops_by_target_and_sparsity_are_parts_and_never_added_twice() -> None:
    metrics = {
        f"{TENSOR}fp16.sum": 10.0,
        f"{TENSOR}fp16_dst_fp16.sum": 4.0,
        f"{TENSOR}fp16_dst_fp32.sum": 6.0,
        f"{TENSOR}fp8_sparsity_on.sum": 1.0,
        f"{TENSOR}fp8_sparsity_off.sum": 2.0,
        f"{TENSOR}int8.sum": 100.0,
    }
    found = joined(measured([("k", metrics)]), timeline([kernel("a", "k", 1, 100)])).kernels[0].efficiency
    assert (found.tensor_flops, found.dtype) == (13.0, "float16")


def test_flops_of_other_cores_weigh_instructions_as_nvidias_roofline_does() -> None:
    counts = {"ffma": 1, "fadd": 10, "fmul": 100, "dfma": 1e3, "dadd": 1e4, "dmul": 1e5, "hfma": 1e6, "hadd": 1e7}
    counts["hmul"] = 1e8
    metrics = {f"smsp__sass_thread_inst_executed_op_{name}_pred_on.sum": float(many) for name, many in counts.items()}
    found = joined(measured([("k", metrics | ALL_TENSOR)]), timeline([kernel("a", "k", 1, 100)]))
    assert found.kernels[0].efficiency.cuda_core_flops == 2 + 110 + 2e3 + 1.1e5 + 4e6 + 2e7 + 2e8
    assert (found.kernels[0].efficiency.dtype, found.kernels[0].efficiency.ridge) == ("float16", None)


@pytest.mark.parametrize(
    ("metrics", "bytes_moved"),
    [({"dram__bytes.sum": 8.0}, 8.0), ({"dram__bytes_read.sum": 5.0, "dram__bytes_write.sum": 2.0}, 7.0),
     ({"dram__bytes_read.sum": 5.0}, None), ({"dram__bytes.sum.per_second": 4e9}, 4000.0)],
)  # fmt: skip
def test_bytes_of_device_memory(metrics: dict[str, float], bytes_moved: float | None) -> None:
    units = {name: "byte/s" if "second" in name else "byte" for name in metrics}
    found = joined(measured([("k", metrics)], units=units), timeline([kernel("a", "k", 1, 100)]))
    assert found.kernels[0].efficiency.dram_bytes == bytes_moved


@pytest.mark.parametrize(
    ("compute", "memory", "bound"),
    [(90.0, 20.0, "compute"), (20.0, 90.0, "memory"), (70.0, 62.0, "balanced"), (59.9, 59.9, "latency"),
     (80.0, 60.0, "compute"), (60.0, 0.0, "compute")],
)  # fmt: skip
def test_bounds(compute: float, memory: float, bound: str) -> None:
    metrics = {COMPUTE: compute, MEMORY: memory, DRAM: memory / 2, OCCUPANCY: 12.0, WAVES: 0.25}
    found = joined(measured([("k", metrics)]), timeline([kernel("a", "k", 1, 100)]))
    assert found.kernels[0].bound == found.regions[0].bound == bound
    reason = found.kernels[0].reason
    assert f"compute {compute:.1f} %, memory {memory:.1f} %" in reason
    if bound == "latency":
        assert reason.endswith(CAUSES)
    if bound == "memory":
        assert reason.endswith("device memory only 45.0 %: caches or shared memory are the busiest part")


def test_a_region_whose_gpu_is_idle_waits_for_launches() -> None:
    profile = timeline([kernel("a", "k", 3, 70)], idle=30)
    found = joined(measured([("k", {COMPUTE: 90.0, MEMORY: 10.0})]), profile)
    assert (found.regions[0].bound, found.kernels[0].bound) == ("launch", "compute")
    assert found.regions[0].reason == (
        "the GPU did nothing for 30.0 % of its time on the timeline (from 30 % on), which its profiler stretches: "
        "it waits for launches, or for what the host does between them"
    )
    few = joined(measured([("k", {COMPUTE: 90.0, MEMORY: 10.0})]), timeline([kernel("a", "k", 2, 70)], idle=30))
    assert few.regions[0].bound == "compute"  # it lies around the two
    busier = joined(measured([("k", {COMPUTE: 90.0, MEMORY: 10.0})]), profile, Thresholds(launch_idle=0.31))
    assert busier.regions[0].bound == "compute"


def test_what_was_not_measured_is_not_assumed() -> None:
    profile = timeline([kernel("a", "k", 1, 60), kernel("a", "other", 1, 40)])
    (region,) = joined(measured([("k", {COMPUTE: 90.0, MEMORY: 10.0})]), profile).regions
    assert (region.measured_share, region.kernel_count, region.total_ms) == (0.6, 2, 1e-4)
    assert region.reason.endswith("of the 60.0 % of its kernel time that has counters")


def test_too_little_measured_gives_no_verdict() -> None:
    profile = timeline([kernel("a", "k", 1, 49), kernel("a", "other", 1, 51)])
    found = measured([("k", {COMPUTE: 90.0, MEMORY: 10.0})])
    (region,) = joined(found, profile).regions
    assert (region.bound, region.efficiency.compute_share) == ("unknown", 0.9)
    assert region.reason == "only 49.0 % of its kernel time has counters (a verdict takes 50 %)"
    report = joined(found, profile, Thresholds(least_measured=0.49))
    assert (report.regions[0].bound, report.thresholds.least_measured) == ("compute", 0.49)


def test_regions_without_kernels_are_there_with_a_note() -> None:
    found = joined(measured([("k", {})]), timeline([kernel("b/10", "k", 1, 1), kernel("b/2", "k", 1, 1)], empty=["a"]))
    assert [one.path for one in found.regions] == ["a", "b", "b/2", "b/10"]
    assert (found.regions[0].note, found.regions[0].bound) == ("No kernel ran in it on the timeline.", "unknown")


def test_kernels_that_the_timeline_lists_in_another_domain_are_told_of() -> None:
    profile = timeline([kernel("a", "k", 2, 20), kernel("x", "m", 1, 10, domain="mine")])
    shared = next(row for row in profile.regions if row.domain == "mine")
    rows = [row for row in profile.regions if row is not shared]
    more = shared.model_copy(update={"inclusive_ns": 30, "inclusive_kernels": 3})
    found = joined(measured([("k", {}), ("m", {})]), profile.model_copy(update={"regions": (*rows, more)})).regions[-1]
    assert (found.domain, found.inclusive_ns) == ("mine", 30)
    assert found.measured_share == pytest.approx(1 / 3)
    assert "2 of its kernels are counted for regions of another domain too" in found.note


def test_a_range_measured_as_a_whole_is_never_added_to_kernels() -> None:
    whole = Result(number=0, name="range", duration_ns=5000, is_kernel=False, stacks={"perfkit": ("a",)}, block=BLOCK)
    found = Counters(
        profiler="p", results=[whole], metrics=[{"name": "l1tex__x.sum", "unit": "", "values": [3.0]}], rules=[]
    )
    (region,) = joined(found, timeline([kernel("a", "k", 2, 20)])).regions
    assert (region.range_ns, region.inclusive_ns, region.measured_share) == (5000.0, 20, 0.0)
    assert [(one.of, one.value) for one in region.metrics] == [("range", 3.0)]


def ranged(time: int, metrics: dict[str, float], *, count: int = 1) -> Counters:
    """Return a range ``a`` that was replayed as a whole."""
    units = {"dram__bytes.sum": "byte"}
    return Counters(
        profiler="p",
        results=[
            Result(number=0, name="range", duration_ns=time, is_kernel=False, stacks={"perfkit": ("a",)})
        ] * count,
        metrics=[
            {"name": name, "unit": units.get(name, "%" if "pct" in name else ""), "values": [value] * count}
            for name, value in {**metrics, "device__attribute_display_name": "Lab GPU"}.items()
        ],
    )  # fmt: skip


def whole(time: int, flops: float, traffic: float) -> CountersReport:
    """Return the report of a range with a kernel of 20 µs, half of it in a region inside."""
    shares = {COMPUTE: 5.0, MEMORY: 4.0, OCCUPANCY: 3.0, DRAM: 1.0}
    metrics = {f"{TENSOR}bf16_dst_fp32.sum": flops, "dram__bytes.sum": traffic} | shares
    profile = timeline([kernel("a", "k", 1, 10_000), kernel("a/b", "m", 1, 10_000)])
    return joined(ranged(time, metrics), profile)


def test_counts_of_a_range_replayed_as_a_whole_are_by_the_time_of_its_kernels() -> None:
    """The made-up GPU does 100 TFLOP/s and 1 TB/s: 2 GFLOP and 20 MB take 20 µs."""
    report = whole(300_000, 1.6e9, 2e6)
    region, child = report.regions
    assert (region.bound, region.range_ns, region.measured_share) == ("compute", 300_000, 0)
    assert region.efficiency.peak_share == pytest.approx(0.8)
    assert region.efficiency.flops_per_s == pytest.approx(80e12)
    assert region.efficiency.dram_share == pytest.approx(0.1)
    assert (region.efficiency.compute_share, region.efficiency.occupancy) == (None, None)
    assert "kernels ran for 20.00 µs of the 300.0 µs range; its percentages are of the whole range" in region.reason
    assert region.note.startswith("Its range was replayed as a whole, and measured once: ")
    assert (child.bound, child.note) == ("unknown", "Inside a, whose range was measured as a whole.")
    assert child.reason == "it is inside a, whose range was measured as a whole"
    assert {one.reason for one in report.kernels} == {"it ran inside a range measured as a whole"}
    assert report.notes == (
        "2 of 2 kernels ran inside ranges measured as a whole, 100.0 % of the kernel time: they have no counters of "
        "their own",
        "Ranges or graphs measured as a whole: 1; their times are no kernel times",
    )
    assert whole(300_000, 0.2e9, 18e6).regions[0].bound == "memory"


def test_a_long_range_whose_counts_reach_no_peak_tells_nothing() -> None:
    region = whole(300_000, 0.2e9, 2e6).regions[0]
    assert region.bound == "unknown"
    assert region.reason.startswith("kernels ran for 20.00 µs of the 300.0 µs range; its percentages are of the whole")


def test_percentages_of_a_range_that_is_hardly_longer_than_its_kernels_count() -> None:
    region = whole(26_000, 0.2e9, 2e6).regions[0]
    assert (region.bound, region.efficiency.compute_share) == ("latency", 0.05)
    assert whole(26_100, 0.2e9, 2e6).regions[0].bound == "unknown"


def test_flops_by_time_and_their_part_of_the_peak_are_of_the_same_flops() -> None:
    counts = {f"smsp__sass_thread_inst_executed_op_{one}_pred_on.sum": 1e6 for one in ("ffma", "fadd", "fmul")}
    metrics: dict[str, float | str | None] = {"device__attribute_display_name": "Lab GPU", **ALL_TENSOR, **counts}
    metrics[f"{TENSOR}bf16_dst_fp32.sum"] = 6e7
    (found,) = joined(measured([("k", metrics)]), timeline([kernel("a", "k", 1, 1000)])).kernels
    assert found.efficiency.flops_per_s == pytest.approx(6e13)
    assert found.efficiency.peak_share == pytest.approx(6e13 / 100e12)


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(PATHS, st.integers(0, 5), st.integers(1, 9), st.integers(500, 1500)), min_size=1, max_size=25
    ),
    metrics=st.lists(
        st.tuples(st.integers(0, 2**40), st.floats(0, 100)), min_size=6, max_size=6
    ),
)  # fmt: skip
def test_sums_add_up_the_tree_and_means_stay_within(
    rows: list[tuple[str, int, int, int]], metrics: list[tuple[int, float]]
) -> None:
    profile = timeline([kernel(path, f"k{number}", calls, calls * time) for path, number, calls, time in rows])
    named = [(f"k{number}", {"l1tex__x.sum": float(x), COMPUTE: y}) for number, (x, y) in enumerate(metrics)]
    found = joined(measured(named), profile)
    own: dict[str, int] = {}
    for path, number, calls, _ in rows:
        own[path] = own.get(path, 0) + calls * metrics[number][0]
    for region in found.regions:
        inside = [one for one in found.regions if one.parent == region.path]
        total = values(found, region.path)["l1tex__x.sum"]
        below = math.fsum(float(str(values(found, one.path)["l1tex__x.sum"])) for one in inside)
        assert total == below + own.get(region.path, 0)
        assert region.inclusive_ns == region.exclusive_ns + sum(one.inclusive_ns for one in inside)
        shares = [metrics[int(one.readable[1:].split()[0])][1] for one in region.top_kernels]
        mean = values(found, region.path)[COMPUTE]
        assert isinstance(mean, float)
        assert min(shares) <= mean <= max(shares)
        assert region.measured_share == 1
