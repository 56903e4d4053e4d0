"""Measured stages against their floor: what is scaled, what the verdict rests on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from perfkit_core.schema.analytic import StageRecord
from perfkit_core.schema.metrics import Aggregates, Metrics, RegionTime, StageTime, Utilisation
from perfkit_core.schema.regions import RegionRow, RegionsReport, RegionTotals
from perfkit_core.schema.session import MemorySample
from perfkit_core.stage_table import MeasuredRow, measured_rows, memory_rows


class Analytic:
    modules = ()
    stages = ()


def stage(path: str, mean: float, *, per: str = "run", instances: int = 1) -> StageTime:
    shape = {"std": 0, "min": mean, "median": mean, "p95": mean, "ci_low": None, "ci_high": None, "n": 1}
    nested = path.partition("/")[0] if "/" in path else ""
    return StageTime(
        mean=mean, **shape, path=path, per=per, nested_in=nested, instances=instances, scaled_from=None, scaled_to=None,
        first_ms=None,
    )  # fmt: skip


def kernels(path: str, busy_ms: float, count: int, instances: int) -> RegionRow:
    return RegionRow(
        domain="perfkit", path=path, inclusive_ns=round(busy_ms * 1e6), exclusive_ns=0, inclusive_kernels=count,
        exclusive_kernels=0, busy_ns=round(busy_ms * 1e6), span_ns=0, instances=instances,
    )  # fmt: skip


def rows(mfu: dict[str, tuple[float, float]] | None = None) -> dict[str, MeasuredRow]:
    """A stage of 20 ms and 50 steps of 10 ms each; the profile saw 3 of the steps."""
    times = {
        "denoise": stage("denoise", 520),
        "step": stage("denoise/step", 10, per="iteration", instances=50),
        "decode": stage("decode", 480, instances=480),
    }
    loops = {"step": times["step"], "decode": times["decode"]}
    whole = stage("", 1000)
    use = tuple(
        Utilisation(
            path=path, flops=1, seconds=1, mfu=compute, bytes=1, bandwidth_share=bandwidth,
            floor_seconds=max(compute, bandwidth) * 0.48, peaks=(), nested_in="",
        )
        for path, (compute, bandwidth) in (mfu or {}).items()
    )  # fmt: skip
    metrics = Metrics(
        source_pass="passes/01-wall_clock", complete=True, device="cuda:0", device_name="-", clock="cuda_events",
        repeats=1, warmup=0, units={}, memory={}, outside_ns=0, peaks=None, mfu=use, mfu_missing="",
        region_overhead_ns=0, region_overhead_share=0, hidden={}, warnings=(),
        regions=tuple(RegionTime(path=one.path, instances=1, inclusive_ns=1, exclusive_ns=1) for one in times.values()),
        aggregates=Aggregates(
            run_ms=whole, stage_ms=times, step_ms=loops, throughput={}, ttft_ms=None, time_per_output_token_ms=None,
            energy_j=None,
        ),
    )  # fmt: skip
    seen = (
        kernels("denoise", 15 + 3 * 8, 30 + 3 * 100, 1), kernels("denoise/step", 3 * 8, 3 * 100, 3),
        kernels("decode", 6 * 0.2, 6 * 700, 6),
    )  # fmt: skip
    profile = RegionsReport(
        profiler="torch.profiler", limits=(), regions=seen,
        totals=RegionTotals(kernels=1, total_ns=1, outside_ns=0, unattributed={}),
    )  # fmt: skip
    return {row.time.path: row for row in measured_rows(metrics, profile, Analytic())}


def test_busy_time_and_kernels_are_scaled_as_the_times_are() -> None:
    found = rows()
    assert found["denoise/step"].busy == pytest.approx(8 / 10)
    assert found["denoise/step"].kernels == pytest.approx(100)
    assert found["denoise"].busy == pytest.approx((15 + 50 * 8) / 520)
    assert found["denoise"].kernels == pytest.approx(30 + 50 * 100)
    assert found["decode"].busy == pytest.approx(0.2 / 1)
    assert found["decode"].kernels == pytest.approx(700)
    assert [found[path].share for path in found] == pytest.approx([0.52, 0.5, 0.48])
    assert found["decode"].instance_ms == pytest.approx(1)


def test_the_verdict_names_what_limits_a_stage() -> None:
    found = rows({"decode": (0.001, 0.02), "denoise": (0.46, 0.1), "denoise/step": (0.7, 0.1)})
    assert found["decode"].verdict == "launch-bound: no kernel runs in 80.0 % of the time"
    few = found["decode"]._replace(kernels=10)  # 80 µs idle for each: launching does not take so long
    assert few.verdict == "host-bound: no kernel runs in 80.0 % of the time"
    assert found["denoise"].verdict == "kernels reach 46.0 % of the compute peak"
    assert found["denoise/step"].verdict == "compute-bound: 70.0 % of peak"
    assert found["decode"].distance == pytest.approx(50)
    assert found["decode"].floor_ms == pytest.approx(1000 * 0.02 * 0.48 / 480)
    assert rows()["denoise"].verdict == "unknown: no peak of this device is known"
    assert found["denoise"]._replace(busy=None).verdict.startswith("46.0 % of the compute peak; --backend torch")
    memory = found["decode"]._replace(busy=0.9, use=found["decode"].use.model_copy(update={"bandwidth_share": 0.65}))
    assert memory.verdict == "memory-bound: 65.0 % of peak"


def test_a_region_of_one_kernel_is_not_called_launch_bound() -> None:
    """What is idle around a single kernel tells nothing of launches: the verdict is what the kernel reaches."""
    alone = rows({"decode": (0.001, 0.5)})["decode"]._replace(busy=0.6, kernels=1)
    assert alone.verdict == "memory-bound: 83.3 % of peak while a kernel runs"
    assert alone._replace(busy=0.6, kernels=2).verdict == alone.verdict
    assert alone._replace(kernels=3).verdict == "host-bound: no kernel runs in 40.0 % of the time"
    slow = rows({"decode": (0.03, 0.02)})["decode"]._replace(busy=0.2, kernels=1)
    assert slow.verdict == "kernels reach 15.0 % of the compute peak while they run"
    assert rows()["decode"]._replace(kernels=1).verdict.startswith("unknown")


def test_the_idle_part_of_a_detailed_run_is_an_upper_end() -> None:
    found = rows({"decode": (0.001, 0.02)})["decode"]
    detailed = found._replace(time=found.time.model_copy(update={"runs": "detailed"}))
    assert detailed.verdict == "launch-bound: no kernel runs in up to 80.0 % of the time"


def test_the_first_run_is_never_scaled() -> None:
    found = rows()["decode"]

    def first(**known: object) -> str:
        return found._replace(time=found.time.model_copy(update=known)).first_text

    assert first() == "-"
    assert first(first_ms=909.7) == "909.7 ms"
    assert first(first_ms=2500.0, first_iterations=36, scaled_from=32, scaled_to=511) == "2.500 s for 36 of 511"
    assert first(first_ms=38950.0, scaled_from=32, scaled_to=511) == "-"  # an older record, which is scaled
    assert first(first_ms=20.0, per="iteration", scaled_from=3, scaled_to=50) == "20.00 ms"


@pytest.mark.parametrize(("resident", "above"), [((100, 100), (15, 40)), ((60, 40), (65, 110))])
def test_memory_above_the_weights_counts_from_what_was_there_before_the_first_stage(
    resident: tuple[int, int], above: tuple[int, int]
) -> None:
    """Weights take more than their bytes in the allocator's blocks; with offloading each stage brings its own."""
    zero = dict.fromkeys(("calls", "flops", "elementwise_flops", "bytes_read", "bytes_written", "parameters"), 0)
    stages = tuple(
        StageRecord(path=path, weight_bytes=0, peak_activation_bytes=1, resident_weight_bytes=weights,
                    peak_memory_bytes=weights + 12, **zero)
        for path, weights in zip(("encode", "decode"), resident, strict=True)
    )  # fmt: skip
    memory = {
        "encode": MemorySample(start_bytes=110, allocated_bytes=125, reserved_bytes=200),
        "decode": MemorySample(start_bytes=113, allocated_bytes=150, reserved_bytes=200),
    }
    older = SimpleNamespace(memory=memory, loaded_bytes=None)
    found = memory_rows(older, SimpleNamespace(stages=stages))
    assert [row.measured_above for row in found] == list(above)
    assert [row.above for row in found] == [12, 12]
    assert [row.above_error for row in found] == pytest.approx([(12 - one) / one for one in above])
    assert found[0].peak_error == pytest.approx((resident[0] + 12 - 125) / 125)
    newer = memory_rows(SimpleNamespace(memory=memory, loaded_bytes=103), SimpleNamespace(stages=stages))
    assert [row.measured_above for row in newer] == ([22, 47] if above == (15, 40) else list(above))
    assert [row.peak for row in memory_rows(None, SimpleNamespace(stages=stages))] == [None, None]
