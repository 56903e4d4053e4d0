"""stakeholder_summary.md: what savings are held against, which options are named, and what adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit_core.findings import Findings
from perfkit_core.gpu_states import words
from perfkit_core.report import model_options, render
from perfkit_core.rundir import Run
from perfkit_core.schema.run import DeviceRecord, GpuRecord, PassRecord
from perfkit_core.schema.session import Session

from .stakeholder_runs import ATTENTION, BANDWIDTH, LIGHT, PEAK, PRODUCT, Work, counter, run_of
from .test_stakeholder_truth import PAGE, decoding, on_disk


def capped() -> dict[str, Work]:
    """A stage at a lowered clock: 500 TFLOP/s of attention and 800 of matrix products, of 1000 on the data sheet."""
    work = Work(
        9.5, {ATTENTION: 4.0, PRODUCT: 5.0, LIGHT: 0.5}, flops={"attention": round(2 * PEAK), "linear": round(4 * PEAK)}
    )
    return {"denoise": work}


def counted(attention: dict[str, float], covered: float = 1.0) -> Run:
    rows = [
        counter(ATTENTION, "denoise", 4.0 * covered, **attention),
        counter(PRODUCT, "denoise", 5.0, peak_share=0.8, compute_share=0.96),
    ]
    if covered < 1:
        rows.append(counter(ATTENTION, "denoise", 4.0 * (1 - covered)).model_copy(update={"measured_calls": 0}))
    return run_of(capped(), counters=rows)


def speed_up(run: Run, kind: str = "attention"):
    found = Findings(run, model_options(run.index)).all_recommendations
    return next((one for one in found if one.what.startswith(f"speed up the {kind}")), None)


def of_model(run: Run, name: str) -> Run:
    made = Run(path=run.path, index=run.index.model_copy(update={"model": name}))
    made.__dict__.update({key: value for key, value in run.__dict__.items() if key not in ("path", "index")})
    return made


def gpu_run(run: Run, folder: Path, reasons: int) -> Run:
    """Return a run one pass of which recorded the GPU's state."""
    state = {"sm_clock_mhz": 1980, "power_mw": 94_311, "throttle_reasons": 0}
    gpu = GpuRecord(
        name="GPU", uuid="", memory_bytes=8 << 30, driver="1", compute_capability="9.0", before=state,
        after={"sm_clock_mhz": 1500, "power_mw": 691_902, "throttle_reasons": reasons},
    )  # fmt: skip
    device = DeviceRecord(
        device="cuda:0", processor="", cores=1, threads=1, torch="2", cuda="13", cudnn="9", tf32_matmul=False,
        tf32_conv=False, gpu=gpu,
    )  # fmt: skip
    done = PassRecord(backend="nsys", status="done", seconds=1, directory="passes/01-nsys")
    index = run.index.model_copy(update={"passes": (done,)})
    made = Run(path=run.path, index=index)
    made.__dict__.update({key: value for key, value in run.__dict__.items() if key not in ("path", "index")})
    return on_disk(made, folder, {"passes/01-nsys/session.json": Session(device=device)})


# What savings are held against.


def test_arithmetic_is_held_against_the_cycles_that_there_were() -> None:
    """At 0.8 of the sheet's clock, 50 % of the sheet's peak are 62.5 % of the cycles: 37.5 % are left, not half."""
    speed = speed_up(counted({"peak_share": 0.5, "compute_share": 0.625}))
    assert speed.at_most_seconds == pytest.approx(4 * (1 - 0.625))
    assert speed.saves_seconds == pytest.approx(4 * (1 - 0.625 / 0.75))
    assert speed.ruler.startswith("ruler: the SMs' peak by hardware counters")
    assert "at 75.0 % of it, which is an assumption: matrix products of denoise reach 96.0 % of the SMs'" in speed.ruler
    assert speed_up(counted({"peak_share": 0.5, "compute_share": 0.625}), "matrix products") is None


@pytest.mark.parametrize(
    "shares",
    [
        {"compute_share": 0.9, "peak_share": 0.1},  # the SMs are busy with something else than this arithmetic
        {"compute_share": 0.625},
        {"peak_share": 0.5},
    ],
)
def test_what_is_no_arithmetic_is_no_ruler_for_it(shares: dict[str, float]) -> None:
    speed = speed_up(counted(shares))
    assert speed.at_most_seconds == pytest.approx(2)
    assert speed.ruler.startswith("ruler: the data sheet's peak")


def test_counters_of_few_kernels_are_no_ruler() -> None:
    assert speed_up(counted({"peak_share": 0.5, "compute_share": 0.625}, covered=0.5)).at_most_seconds == pytest.approx(
        2
    )


def test_arithmetic_that_nobody_needs_is_no_way_towards_the_peak() -> None:
    """Four times the FLOPs executed: a quarter of the busy cycles did what is needed."""
    speed = speed_up(counted({"peak_share": 0.5, "compute_share": 0.6, "flops_per_s": 4 * 0.5e15}))
    assert speed.at_most_seconds == pytest.approx(4 * (1 - 0.15))


def test_a_lowered_clock_is_told_and_makes_the_data_sheet_doubtful(tmp_path: Path) -> None:
    run = gpu_run(run_of(capped(), metrics=True), tmp_path, 4)
    assert "the GPU lowered its clock (software power cap in passes/01-nsys)" in speed_up(run).ruler
    text = render(run, template=PAGE)
    assert "| GPU, passes/01-nsys | 1980 MHz before, 1500 MHz after, 94 W before, 692 W after, clock lowered" in text
    quiet = gpu_run(run_of(capped(), metrics=True), tmp_path, 1)
    assert "lowered" not in render(quiet, template=PAGE)
    assert "after: idle" in render(quiet, template=PAGE)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0, ""),
        (4, "software power cap"),
        (0x48, "hardware slowdown and hardware thermal slowdown"),
        (0x2000, "reason 0x2000"),
    ],
)
def test_reasons_of_a_lowered_clock_have_words(bits: int, text: str) -> None:
    assert words(bits) == text


# Which options are named.


def test_values_that_the_option_accepts_are_named_and_the_first_can_be_run() -> None:
    speed = speed_up(of_model(run_of(capped()), "wan2_1"))
    assert "attention=sdpa now, efficient, flash, flash_attn to be had" in speed.what, "cuDNN's runs already"
    assert "--set attention=efficient --out NEW" in speed.measure
    assert speed.effort == (
        "options to be tried, efficient, flash, flash_attn: that one of them is faster is not known; else kernel work"
    )
    assert "most of it in cuDNN's cudnn_generated_fort" in speed.evidence
    used = speed_up(of_model(run_of(capped(), parameters={"attention": "efficient"}), "wan2_1"))
    assert "--set attention=sdpa " in used.measure
    exact = speed_up(of_model(run_of(capped(), parameters={"dtype": "float32"}), "wan2_1"))
    assert "attention=sdpa now, efficient to be had" in exact.what


@pytest.mark.parametrize("model", ["deepseek_ocr", "nobody_has_it"])
def test_where_no_other_value_is_known_it_is_kernel_work(model: str) -> None:
    """DeepSeek-OCR has but the plain attention besides the one in use."""
    speed = speed_up(of_model(run_of(capped()), model))
    assert speed.effort.startswith("kernel work: attention=sdpa is in use")
    assert "--set" not in speed.measure
    assert "OTHER" not in render(of_model(run_of(capped()), model), template=PAGE)


# Throughput, and what adds up.


def test_a_batch_is_for_throughput_and_promises_no_time() -> None:
    text = render(run_of(decoding()), template=PAGE)
    (line,) = [one for one in text.splitlines() if one.startswith("For throughput, not for the time of one run")]
    assert "no kernel runs in 80.0 % of its time" in line
    assert "the gain is not estimated" in line
    assert "--set batch_size=2" in line
    assert not any("batch" in one.what for one in Findings(run_of(decoding())).all_recommendations)
    assert "For throughput" not in render(run_of(decoding(), parameters={"batch_size": 8}), template=PAGE)
    assert "For throughput" not in render(run_of(capped()), template=PAGE)


def test_kinds_of_one_stage_add_up_and_bytes_of_the_same_kernels_do_not() -> None:
    slow = {"denoise": Work(12.0, {ATTENTION: 6.0, LIGHT: 6.0}, flops={"attention": round(3 * PEAK)})}
    found = Findings(run_of(slow))
    expected = sum(one.saves_seconds for one in found.recommendations)
    assert len(found.recommendations) == 2
    assert found.together.startswith("No two concern the same kernels")
    assert f"Together: {expected:.3f} s of" in found.together
    moved = {"linear": round(1.2 * BANDWIDTH)}
    both = Findings(run_of({"decode": Work(4.0, {PRODUCT: 3.9}, steps=50, flops={"linear": 10**12}, nbytes=moved)}))
    assert {one.concerns for one in both.recommendations} == {"bytes", "matrix products"}
    assert both.together == "These concern the same time and do not add up: 1 and 2."
    assert Findings(run_of(decoding())).together == ""
