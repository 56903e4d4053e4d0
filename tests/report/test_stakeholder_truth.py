"""stakeholder_summary.md: what it must not say: of other stages, of a sample, or of a timeline that was stretched."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit_core.findings import Findings
from perfkit_core.report import render
from perfkit_core.rundir import Run
from perfkit_core.schema.base import Record
from perfkit_core.schema.run import DeviceRecord, Environment
from perfkit_core.schema.session import Session

from .stakeholder_runs import ATTENTION, LIGHT, PEAK, PRODUCT, Work, counter, run_of

PAGE = "stakeholder_summary.md"


def decoding(**changes: object) -> dict[str, Work]:
    """A loop of 100 steps, 4 of them profiled, that waits 36 µs for each of 2000 launches."""
    work = {
        "seconds": 9.0, "kernels": {PRODUCT: 1.5, LIGHT: 0.3}, "steps": 100, "seen": 4, "count": 1000, "launches": 2000
    } | changes  # fmt: skip
    return {"prefill": Work(1.0, {PRODUCT: 1.0}, flops={"linear": 7 * 10**14}), "decode": Work(**work)}


def sleeping() -> dict[str, Work]:
    """A stage with 4 launches in 10 s, whose kernels need 2 s."""
    return {"train": Work(10.0, {PRODUCT: 2.0}, count=4, launches=4)}


def evidence(run: Run, path: str) -> str:
    return "\n".join(next(one for one in Findings(run).takeaways if one.path == path).evidence)


def bold(text: str) -> list[str]:
    return [line for line in text.splitlines() if "**" in line or line.startswith("First")]


# Counters of a stage are those of the kernels in it.


def test_a_kernel_counts_in_each_stage_by_what_it_did_there() -> None:
    near = counter(PRODUCT, "prefill", 1.0, peak_share=0.9, compute_share=0.8, dram_share=0.1)
    far = counter(PRODUCT, "decode/step", 0.06, peak_share=0.01, compute_share=0.02, dram_share=0.3)
    run = run_of(decoding(), counters=[near, far])
    assert "near peak: 80.0 % of the SMs' peak by counters, 70.0 % of the bfloat16 peak" in evidence(run, "prefill")
    assert "1.0 % of peak arithmetic, 2.0 % of the SMs' peak, 30.0 %" in evidence(run, "decode")


def test_a_stage_without_measured_kernels_has_none_of_another() -> None:
    run = run_of(decoding(), counters=[counter(PRODUCT, "prefill", 1.0, peak_share=0.9)])
    assert "counters 90.0 %" in evidence(run, "prefill")
    assert "of peak arithmetic" not in evidence(run, "decode")
    other = counter(PRODUCT, "prefill", 1.0, peak_share=0.9).model_copy(update={"domain": "CCCL"})
    assert "of peak arithmetic" not in evidence(run_of(decoding(), counters=[other]), "prefill")


def test_kernels_of_files_without_domains_have_that_of_their_regions() -> None:
    old = counter(PRODUCT, "prefill", 1.0, peak_share=0.9).model_copy(update={"domain": ""})
    run = run_of(decoding(), counters=[old])
    assert "counters 90.0 %" in evidence(run, "prefill")
    regions = [one.model_copy(update={"domain": "CCCL"}) for one in run.counters.regions]
    run.__dict__["counters"] = run.counters.model_copy(update={"regions": tuple(regions)})
    assert "of peak arithmetic" not in evidence(run, "prefill")


def test_counters_that_are_by_region_alone_say_why_no_kind_has_any() -> None:
    old = counter(PRODUCT, "", 1.0, peak_share=0.9).model_copy(update={"domain": ""})
    run = run_of(decoding(), counters=[old])
    assert "87.5 % of its kernel time (not told apart by kind: their file" in evidence(run, "prefill")


def test_indices_of_regions_are_all_the_same_place() -> None:
    stages = {"blocks.3": Work(1.0, {PRODUCT: 1.0}, flops={"linear": 7 * 10**14})}
    run = run_of(stages, counters=[counter(PRODUCT, "blocks.*", 1.0, peak_share=0.75)])
    assert "counters 75.0 % of peak arithmetic" in evidence(run, "blocks.3")


def test_counters_of_a_kernel_weigh_as_much_as_its_time_in_a_whole_run() -> None:
    """1 s once at 90 % and 0.06 s of what takes 1.5 s in a whole run at 10 %."""
    rows = [
        counter(PRODUCT, "prefill", 1.0, peak_share=0.9),
        counter(PRODUCT, "decode/step", 0.06, peak_share=0.1),
    ]
    text = render(run_of(decoding(), counters=rows), template=PAGE)
    share = (0.9 * 1.0 + 0.1 * 1.5) / 2.5
    assert f"| {100 * share:.1f} % of peak arithmetic |" in text.split("## Top Kernels")[1]


def test_a_kernel_is_held_against_the_peak_that_it_comes_nearest_to() -> None:
    rows = [counter(LIGHT, "decode/step", 0.1, peak_share=0.01, compute_share=0.2, dram_share=0.85)]
    text = render(run_of(decoding(), counters=rows), template=PAGE)
    assert "| 85.0 % of peak memory bandwidth |" in text.split("## Top Kernels")[1]


# Useful work and what was executed.


def test_flops_that_nobody_needs_are_told_from_those_of_the_model() -> None:
    """1.5 s of kernels for 10^12 FLOPs are 667 GFLOP/s; executing 66.7 TFLOP/s they do 100 times that."""

    def line(rate: float) -> str:
        rows = [counter(PRODUCT, "decode/step", 0.06, peak_share=0.07, flops_per_s=rate)]
        return next(
            one for one in evidence(run_of(decoding(), counters=rows), "decode").splitlines() if "matrix" in one
        )

    useful = 10**12 / 1.5
    assert "666.7 GFLOP/s of useful work" in line(100 * useful)
    assert line(100 * useful).endswith("7.0 % of peak arithmetic, executing 100 times the FLOPs that are needed")
    assert "executing" not in line(1.2 * useful)


@pytest.mark.parametrize(("share", "tells"), [(0.75, False), (0.875, True)])
def test_what_was_measured_of_few_kernels_is_not_said_of_all(share: float, tells: bool) -> None:
    rows = [
        counter(PRODUCT, "decode/step", share, peak_share=0.07, dram_share=0.02, flops_per_s=1e14),
        counter(PRODUCT, "decode/step", 1 - share).model_copy(update={"measured_calls": 0}),
    ]
    run = run_of(decoding(), counters=rows, metrics=False, idle=True, kind="command")
    line = next(one for one in evidence(run, "decode").splitlines() if "matrix" in one)
    nearness = "far from peak, at " if tells else ""
    cover = f"which cover {100 * share:.1f} % of these kernels' time"
    assert f"by hardware counters, {cover}: {nearness}7.0 % of peak arithmetic" in line
    use = next(one for one in Findings(run).stages[1].kinds if one.kind == "matrix products")
    assert (use.floor_seconds is not None) is tells
    assert f"of peak arithmetic (counters cover {100 * share:.1f} % of its time) |" in render(run, template=PAGE)
    of_model = evidence(run_of(decoding(), counters=rows), "decode")
    assert ("times the FLOPs that are needed" in of_model) is tells


def test_arithmetic_peaks_have_their_element_type() -> None:
    rows = [counter(PRODUCT, "decode/step", 1.0, peak_share=0.5, dtype="bfloat16")]
    rows.append(counter(PRODUCT, "decode/step", 0.5, peak_share=0.5, dtype="float32"))
    assert "50.0 % of peak bfloat16 and float32 arithmetic" in evidence(run_of(decoding(), counters=rows), "decode")


# Waiting on a timeline that the profiler stretches.


def test_waiting_on_a_profilers_timeline_is_no_promise() -> None:
    run = run_of(decoding(), metrics=False, idle=True)
    text = render(run, template=PAGE)
    assert "times as fast" not in text
    assert "waits for launches: its kernels need 1.800 s of 9.000 s, 2000 launches a step; the profiler stretches" in (
        Findings(run).point
    )
    lines = [line for line in bold(text) if "decode" in line]
    assert len(lines) == 4
    assert all("stretches" in line for line in lines), lines
    first = next(line for line in lines if line.startswith("First"))
    assert "At best decode takes 1.800 s, all that its kernels need, instead of at most 9.000 s, which" in first
    timer = "`perfkit run --config config.yaml --backend wall_clock --out BASE`"
    assert f"Not timed without a profiler: {timer} does that and makes `BASE`" in text
    assert "matrix products: 83.3 % of its kernel time" in text


def test_with_unprofiled_times_the_statement_is_full() -> None:
    text = render(run_of(decoding(), idle=True), template=PAGE)
    assert "a kernel runs in 20.0 % of its time, 2000 launches a step.**" in text
    bound = "Saves at most 7.200 s of the run's 10.00 s (72.0 %) while its kernels stay as they are, 3.57 times as fast"
    assert f"{bound} at best." in text
    assert "stretches" not in text


def test_a_busy_timeline_keeps_its_bounds() -> None:
    stages = {"denoise": Work(10.0, {ATTENTION: 7.0, LIGHT: 3.0}, flops={"attention": round(2 * PEAK)})}
    text = render(run_of(stages, metrics=False, idle=True), template=PAGE)
    assert (
        "saves at most 3.000 s of the 10.00 s on the profiler's timeline (30.0 %), 1.43 times as fast at best" in text
    )
    assert "stretches" not in text


# What it waits for.


def test_what_takes_longer_than_launching_is_not_put_down_to_launches() -> None:
    for metrics in (True, False):
        found = Findings(run_of(sleeping(), metrics=metrics, idle=True))
        assert found.takeaways[0].limit == "host"
        assert "waits for the host" in found.point
        assert "waits for the host: the GPU works 20.0 % of that time" in found.point
        assert "2.000 s pass idle for each launch, of which launching explains 50 µs at most" in "\n".join(
            found.takeaways[0].evidence
        )
        assert ("under a profiler" in found.point) is not metrics
        first = found.recommendations[0]
        assert first.what.startswith("find what the host does in train between launches")
        assert not any("less often" in one.what for one in found.all_recommendations)
        assert first.at_most_seconds == pytest.approx(8.0)


def test_launches_are_counted_not_kernels_where_both_are_known() -> None:
    """A graph of 2000 kernels is one launch: 72 ms idle are not its cost."""
    found = Findings(run_of(decoding(launches=1), idle=True))
    assert next(one for one in found.takeaways if one.path == "decode").limit == "host"


def test_shares_are_of_the_whole_timeline_where_all_of_it_was_recorded() -> None:
    run = run_of(sleeping(), metrics=False, idle=True, outside=30.0, kind="command")
    text = render(run, template=PAGE)
    assert (
        "**75.0 % of the 40.00 s on the profiler's timeline are outside of what the kernels of any stage span; of the "
        "stages train takes most, 25.0 %, and waits" in text
    )
    near = render(run_of(sleeping(), metrics=False, idle=True, outside=9.0, kind="command"), template=PAGE)
    assert "**train takes 52.6 % of the 19.00 s on the profiler's timeline and" in near
    assert "- 75.0 % of the 40.00 s on the profiler's timeline are outside of what the kernels of any" in text
    assert "| GPU idle as recorded | 38.00 s; a kernel runs for 2.000 s, copies or sets alone are neither |" in text


def test_a_timeline_whose_regions_have_nothing_on_the_gpu_is_a_page_too() -> None:
    """No region at all, and one in which nothing ran."""
    bare = run_of(sleeping(), metrics=False, idle=True, outside=30.0, kind="command")
    bare.__dict__["profile"] = bare.profile.model_copy(update={"regions": ()})
    text = render(bare, template=PAGE)
    assert "passes recorded no stage and no region" in text
    assert "None of the 4 kernels recorded has a region around it" in text
    empty = run_of({"train": Work(0.0)}, metrics=False, idle=True, outside=30.0, kind="command")
    assert "Stages timed: 0 of 1." in render(empty, template=PAGE)


# Counters alone.


def sampled(**changes: object) -> Run:
    stages = {"prefill": Work(3.0, {PRODUCT: 2.0, LIGHT: 1.0}), "decode_seek": Work(1.0, {LIGHT: 1.0})} | changes
    rows = [counter(PRODUCT, "prefill", 2.0, peak_share=0.25), counter(LIGHT, "prefill", 1.0, peak_share=0.1)]
    return run_of(stages, metrics=False, counters=rows, kind="import", sample=True)


def test_a_sample_of_kernels_is_no_run() -> None:
    text = render(sampled(), template=PAGE)
    assert "GPU busy in" not in text
    assert "prefill takes 75.0 % of the 4.000 s of the kernels that were measured and has matrix products far" in text
    assert "the run's" not in text
    assert "saves" not in text.replace("neither is what a change saves", "")
    assert "times as fast" not in text
    assert "decode_seek" not in text
    assert "- 25.0 % of the 4.000 s of the kernels that were measured are outside of every stage" in text
    assert "| `prefill` | 3.000 s | 75.0 % | 1 | 3.000 s | - | - | - |" in text
    assert Findings(sampled()).all_recommendations == ()


# Programs.


def test_a_program_is_not_told_to_run_what_measures_models() -> None:
    run = run_of(sleeping(), metrics=False, idle=True, kind="command")
    text = render(run, template=PAGE)
    assert "perfkit run" not in text
    assert "`perfkit exec --backend ncu -- train --fast`" in text
    assert "the same command" not in text
    assert "config.yaml" not in text


def on_disk(run: Run, folder: Path, records: dict[str, Record]) -> Run:
    """Return a run with further files in its directory."""
    for name, record in records.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(record.model_dump_json(by_alias=True))
    made = Run(path=folder, index=run.index.model_copy(update={"files": (*run.index.files, *records)}))
    made.__dict__.update({name: value for name, value in run.__dict__.items() if name not in ("path", "index")})
    return made


def test_the_gpu_of_a_program_is_the_one_that_counters_name(tmp_path: Path) -> None:
    run = run_of(sleeping(), metrics=False, idle=True, kind="command", counters=True)
    environment = Environment(python="3.12", platform="Linux", distributions={})
    text = render(on_disk(run, tmp_path, {"env.json": environment}), template=PAGE)
    assert "| device | GPU 9 |" in text
    assert "| python | 3.12, Linux |" in text


def test_a_loop_that_is_a_stage_goes_by_tokens_where_the_workload_makes_some(tmp_path: Path) -> None:
    device = DeviceRecord(
        device="cuda:0", processor="", cores=1, threads=1, torch="2", cuda="13", cudnn="9", tf32_matmul=False,
        tf32_conv=False, gpu=None,
    )  # fmt: skip

    def text(units: dict[str, float]) -> str:
        stages = {"decode": Work(0.09, {PRODUCT: 0.018}, count=2000, launches=2000)}
        run = run_of(stages, metrics=False, idle=True)
        stage = run.report.stages[0].model_copy(update={"calls": 8})
        run.__dict__["report"] = run.report.model_copy(update={"stages": (stage,)})
        session = Session(device=device, units=units)
        return render(on_disk(run, tmp_path, {"passes/02-torch/session.json": session}), template=PAGE)

    tokens = text({"tokens": 8.0})
    assert "250 launches a token" in tokens
    assert "| 250 a token |" in tokens
    assert "8 x 11.25 ms a token" in tokens
    assert "250 launches a call" in text({"frames": 8.0})
