"""What limits a kernel or a region: achieved throughput first, then intensity against the ridge; causes are named."""

from __future__ import annotations

import pytest
from perfkit_nsight.verdict_options import VerdictOptions, thresholds_of

from perfkit_core.schema.counters import CountersReport, Thresholds

from .counting import joined, kernel, measured, timeline

COMPUTE = "sm__throughput.avg.pct_of_peak_sustained_elapsed"
MEMORY = "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"
OCCUPANCY = "sm__warps_active.avg.pct_of_peak_sustained_active"
DRAM = "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed"
WAVES = "launch__waves_per_multiprocessor"
TRAFFIC = "dram__bytes.sum"
DEVICE = "device__attribute_display_name"
TENSOR = "sm__ops_path_tensor_src_bf16_dst_fp32.sum"
RIDGE = 100.0
"""FLOPs by bytes: 100 TFLOP/s by 1 TB/s of the made-up device, in bfloat16."""


def judged(
    compute: float,
    memory: float,
    *,
    dram: float | None = None,
    intensity: float | None = None,
    time: int = 10**6,
    limits: Thresholds | None = None,
    **more: float,
) -> CountersReport:
    """Return the report of one kernel in one region, of these shares in percent."""
    shares = {COMPUTE: compute, MEMORY: memory, DRAM: memory if dram is None else dram}
    metrics: dict[str, float | str | None] = {DEVICE: "Lab GPU", **shares}
    metrics |= {{"occupancy": OCCUPANCY, "waves": WAVES}[name]: value for name, value in more.items()}
    if intensity is not None:
        metrics |= {TRAFFIC: 1e3, TENSOR: intensity * 1e3}
    found = measured([("k", metrics)], units={TRAFFIC: "byte"}, time=time)
    return joined(found, timeline([kernel("a", "k", 1, time)]), limits)


def bound(*shares: float, **more: float | None) -> str:
    report = judged(*shares, **more)  # type: ignore[arg-type]
    assert report.kernels[0].bound == report.regions[0].bound
    return report.kernels[0].bound


@pytest.mark.parametrize(
    ("compute", "memory", "expected"),
    [(90, 20, "compute"), (20, 90, "memory"), (59.9, 59.9, "latency"), (60, 0, "compute"), (62, 51, "compute"),
     (51, 62, "memory"), (95, 80, "compute")],
)  # fmt: skip
@pytest.mark.parametrize("intensity", [None, 0.5, 500.0])
def test_throughput_decides_where_one_side_is_clearly_ahead_or_none_near_its_peak(
    compute: float, memory: float, expected: str, intensity: float | None
) -> None:
    assert bound(compute, memory, intensity=intensity) == expected


@pytest.mark.parametrize(("larger", "smaller"), [(0.8, 0.7), (0.7, 0.6), (0.9, 0.8), (0.65, 0.55), (1.0, 0.9)])
def test_shares_that_differ_by_exactly_the_threshold_are_within_it(larger: float, smaller: float) -> None:
    assert bound(larger * 100, smaller * 100) == bound(smaller * 100, larger * 100) == "balanced"


@pytest.mark.parametrize(
    ("intensity", "expected"),
    [(0.7 * RIDGE, "memory"), (0.85 * RIDGE, "balanced"), (1.15 * RIDGE, "balanced"), (1.3 * RIDGE, "compute"),
     (0.8 * RIDGE, "balanced"), (1.2 * RIDGE, "balanced"), (None, "balanced")],
)  # fmt: skip
def test_where_throughput_leaves_it_open_intensity_against_the_ridge_decides(
    intensity: float | None, expected: str
) -> None:
    assert bound(72, 68, intensity=intensity) == bound(68, 72, intensity=intensity) == expected
    reason = judged(72, 68, intensity=intensity).kernels[0].reason
    assert reason.startswith("compute 72.0 %, memory 68.0 %, within 10 % of each other")
    assert ("ridge of 100.0 FLOP/B for bfloat16" in reason) is (intensity is not None)
    assert reason.endswith("the intensity or the ridge is not known" if intensity is None else ", which decides")


@pytest.mark.parametrize(("intensity", "side"), [(500.0, "above"), (10.0, "below")])
def test_the_ridge_says_nothing_of_caches(intensity: float, side: str) -> None:
    """The intensity is by bytes of device memory; where caches are the busiest part, it does not decide."""
    found = judged(72, 68, dram=20, intensity=intensity).kernels[0]
    assert found.bound == "balanced"
    assert "device memory only 20.0 %" in found.reason
    assert f"{side} the ridge" in found.reason
    assert found.reason.endswith("for bfloat16, which therefore does not decide")


def test_intensity_that_contradicts_the_throughput_is_named() -> None:
    agrees, differs = (judged(90, 20, intensity=one).kernels[0] for one in (500.0, 10.0))
    assert (agrees.bound, differs.bound) == ("compute", "compute")
    assert "; intensity 500.0 FLOP/B is above the ridge" in agrees.reason
    assert "; yet intensity 10.00 FLOP/B is below the ridge" in differs.reason
    agrees, differs = (judged(20, 90, dram=30, intensity=one).kernels[0] for one in (10.0, 500.0))
    assert (agrees.bound, differs.bound) == ("memory", "memory")
    assert "; intensity 10.00 FLOP/B is below the ridge" in agrees.reason
    assert "; yet intensity 500.0 FLOP/B is above the ridge" in differs.reason
    assert "caches or shared memory are the busiest part" in differs.reason


@pytest.mark.parametrize(
    ("figures", "cause"),
    [
        ({"occupancy": 12.0}, "occupancy 12.0 % is below 25 %"),
        ({"waves": 0.25}, "its grid fills 0.25 of one wave of blocks"),
        ({"time": 4000}, "it takes 4.000 µs, below 10 µs: its beginning and end weigh"),
        ({"occupancy": 60.0}, "occupancy 60.0 % is not low: instructions wait for each other or for data"),
        ({"waves": 3.0}, "occupancy was not collected"),
    ],
)
def test_below_both_peaks_the_cause_is_named(figures: dict[str, float], cause: str) -> None:
    found = judged(30, 20, **figures).kernels[0]  # type: ignore[arg-type]
    assert found.bound == "latency"
    assert found.reason == f"compute 30.0 %, memory 20.0 %, both below 60 %; {cause}"


def test_every_threshold_decides_and_is_in_the_report() -> None:
    assert judged(72, 68, intensity=130, limits=Thresholds(near_ridge=0.4)).kernels[0].bound == "balanced"
    assert judged(72, 68, intensity=90, limits=Thresholds(balanced_within=0.01)).kernels[0].bound == "compute"
    short = judged(30, 20, time=4000, occupancy=90.0, limits=Thresholds(short_kernel_us=3))
    assert "weigh" not in short.kernels[0].reason
    assert short.thresholds.short_kernel_us == 3
    low = judged(30, 20, occupancy=60.0, limits=Thresholds(low_occupancy=0.7)).kernels[0].reason
    assert low.endswith("occupancy 60.0 % is below 70 %")


def region(*kernels: tuple[float, float, int]) -> tuple[str, str]:
    """Return verdict and reason of a region of kernels, given compute and memory in percent, and time."""
    named = {f"k{number}": one for number, one in enumerate(kernels)}
    launches = measured(
        [(name, {COMPUTE: one[0], MEMORY: one[1], DRAM: 1.0}) for name, one in named.items()], time=None
    )
    rows = [kernel("a", name, 1, one[2]) for name, one in named.items()]
    (found,) = joined(launches, timeline(rows)).regions
    return found.bound, found.reason


def test_a_region_of_kernels_with_different_limits_waits_for_no_latency() -> None:
    """Their means reach no peak, and every one of them does."""
    bound, reason = region((90, 10, 50), (10, 90, 50))
    assert bound == "balanced"
    assert reason == (
        "compute 50.0 %, memory 50.0 % on average, both below 60 %, but most of its time is in kernels that reach one; "
        "different kernels are limited by different things, none for 60 % of the time; "
        "kernels by time: 50.0 % compute, 50.0 % memory"
    )
    assert "different kernels" not in region((80, 10, 60), (10, 80, 40))[1]
    assert "different kernels" in region((80, 10, 59), (10, 80, 41))[1]
    assert region((80, 10, 60), (10, 80, 40))[0] == "compute"
    assert region((80, 10, 40), (10, 80, 60))[0] == "memory"


def test_a_region_mostly_of_waiting_kernels_waits_and_says_what_the_others_do() -> None:
    bound, reason = region((90, 10, 30), (10, 10, 70))
    assert bound == "latency"
    assert reason.endswith("; kernels by time: 70.0 % latency, 30.0 % compute")
    bound, reason = region((90, 10, 30), (80, 10, 70))
    assert bound == "compute"
    assert "by time" not in reason


def test_every_threshold_is_a_setting_with_the_same_default() -> None:
    """One that nobody could set, or that a report without settings decided otherwise, would be no threshold."""
    assert thresholds_of(VerdictOptions()) == Thresholds()
    changed = dict.fromkeys(Thresholds.model_fields, 0.35)
    assert thresholds_of(VerdictOptions.model_validate(changed)) == Thresholds.model_validate(changed)
