"""stakeholder_summary.md: what it concludes, from which figures, and what it says where there are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfkit_core import api
from perfkit_core.errors import UsageError
from perfkit_core.findings import Findings
from perfkit_core.report import render

from .stakeholder_runs import ATTENTION, BANDWIDTH, LIGHT, PEAK, PRODUCT, Work, run_of

SECTIONS = [
    "Environment", "Aggregates", "Per-Stage Timings", "MFU", "Stage Takeaways", "Top Operators", "Top Kernels",
    "Recommendations",
]  # fmt: skip
PAGE = "stakeholder_summary.md"


def waiting(**changes: object) -> dict[str, Work]:
    """A stage of 100 tokens whose kernels run in a fifth of its time, after one of which nothing is to be said."""
    work = {"seconds": 9.0, "kernels": {PRODUCT: 1.5, LIGHT: 0.3}, "steps": 100, "seen": 4, "count": 1000} | changes
    return {"prefill": Work(1.0, {PRODUCT: 1.0}, flops={"linear": 7 * 10**14}), "decode": Work(**work)}


def busy(attention: float = 4.0, product: float = 5.0, light: float = 0.5) -> dict[str, Work]:
    """A stage that needs 2 s of attention and 4 s of matrix products at the device's peak, and takes what is asked."""
    return {
        "denoise": Work(
            attention + product + light, {ATTENTION: attention, PRODUCT: product, LIGHT: light},
            flops={"attention": round(2 * PEAK), "linear": round(4 * PEAK)},
            nbytes={"linear": 10**9, "elementwise": round(0.1 * BANDWIDTH)},
        )
    }  # fmt: skip


def test_the_sections_come_in_order_and_the_point_comes_first() -> None:
    text = render(run_of(waiting()), template=PAGE)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert text.splitlines()[0] == "# m v w"
    assert text.splitlines()[2] == (
        "**decode takes 90.0 % of the run's 10.00 s (± 100.0 ms, 95 % interval, 3 runs) and waits for launches: a "
        "kernel runs in 20.0 % of its time, 2000 kernels a step.**"
    )
    assert len(text.splitlines()) <= 120


def test_a_stage_that_waits_is_told_from_one_that_computes() -> None:
    found = Findings(run_of(waiting()))
    decode = next(one for one in found.takeaways if one.path == "decode")
    assert decode.limit == "launches"
    assert decode.evidence[0] == "9.000 s, 90.0 % of the run, 100 x 90.00 ms a step"
    assert decode.evidence[1].startswith("no kernel runs in 7.200 s of it; 2000 kernels a step, one every 45.00 µs")
    first = found.recommendations[0]
    assert first.path == "decode"
    assert first.what.startswith("launch decode less often")
    assert first.saves_seconds == first.at_most_seconds == pytest.approx(7.2)
    assert first.speedup == pytest.approx(10 / 2.8)
    assert "--set compile=reduce-overhead" in first.measure
    assert first.effort == "one option of the model, compile=reduce-overhead"
    computing = Findings(run_of(busy()))
    assert not any("less often" in one.what for one in computing.all_recommendations)


def test_while_the_gpu_waits_faster_kernels_are_not_recommended() -> None:
    found = Findings(run_of(waiting())).all_recommendations
    assert not any("matrix products of decode" in one.what or one.what.startswith("fuse") for one in found)


def test_a_compiled_stage_that_still_waits_is_not_told_to_turn_the_option_on() -> None:
    first = Findings(run_of(waiting(), parameters={"compile": "default"})).recommendations[0]
    assert "compile=default is on" in first.what
    assert "--set" not in first.measure
    assert first.effort == "a change of code: no option of the model makes it"


def test_attention_and_matrix_products_are_held_against_the_peak_apart() -> None:
    found = Findings(run_of(busy(attention=4.0, product=5.0)))
    (denoise,) = found.takeaways
    assert (
        "attention: 42.1 % of the time, 500.0 TFLOP/s of useful work, far from peak: "
        "50.0 % of the bfloat16 peak of 1.000 PFLOP/s" in denoise.evidence
    )
    assert (
        "matrix products: 52.6 % of the time, 800.0 TFLOP/s of useful work, near peak: "
        "80.0 % of the bfloat16 peak of 1.000 PFLOP/s" in denoise.evidence
    )
    assert "matrix products near peak (80.0 %" in found.point
    assert "attention far from peak (50.0 %" in found.point
    what = [one.what for one in found.recommendations]
    assert what[0].startswith("speed up the attention of denoise")
    assert found.recommendations[0].saves_seconds == pytest.approx(4 - 2 / 0.75)
    assert found.recommendations[0].at_most_seconds == pytest.approx(2)
    assert not any("matrix products" in one for one in what)


def test_matrix_products_far_from_peak_are_recommended() -> None:
    what = [one.what for one in Findings(run_of(busy(attention=2.5, product=8.0))).recommendations]
    assert what[0].startswith("speed up the matrix products of denoise")
    assert not any("attention of denoise" in one for one in what)


def test_light_kernels_are_fused_where_they_take_long_and_cost_their_time_at_most() -> None:
    found = Findings(run_of(busy(light=3.0))).recommendations
    fuse = next(one for one in found if one.what.startswith("fuse"))
    assert fuse.at_most_seconds == pytest.approx(3)
    assert fuse.saves_seconds == pytest.approx(3 - 0.1 / 0.75)
    assert not any(one.what.startswith("fuse") for one in Findings(run_of(busy(light=0.15))).recommendations)


def test_a_loop_that_reads_much_and_computes_little_is_told_to_read_less() -> None:
    moved = {"linear": round(1.2 * BANDWIDTH)}
    stages = {"decode": Work(4.0, {PRODUCT: 3.9}, steps=50, flops={"linear": 10**12}, nbytes=moved)}
    found = Findings(run_of(stages)).recommendations
    less = next(one for one in found if one.what.startswith("move fewer bytes a step in decode"))
    assert less.saves_seconds == pytest.approx(0.6)
    assert less.at_most_seconds == pytest.approx(1.2)
    assert "batch" not in less.what + less.measure
    stages["decode"].flops = {"linear": round(1.5 * PEAK)}
    assert not any("fewer bytes" in one.what for one in Findings(run_of(stages)).recommendations)


def test_arithmetic_without_kernels_of_its_own_is_taken_together_with_what_does_it() -> None:
    stages = {"denoise": Work(8.0, {PRODUCT: 8.0}, flops={"attention": round(2 * PEAK), "linear": round(4 * PEAK)})}
    (denoise,) = Findings(run_of(stages)).takeaways
    assert any(
        line.startswith("attention and matrix products: 100.0 %") and "75.0 %" in line for line in denoise.evidence
    )


def test_kernels_faster_than_the_device_are_not_believed() -> None:
    stages = {
        "denoise": Work(
            8.0, {PRODUCT: 7.0, ATTENTION: 1.0}, flops={"attention": round(2 * PEAK), "linear": round(4 * PEAK)}
        )
    }
    (denoise,) = Findings(run_of(stages)).takeaways
    assert not any(line.startswith("attention:") for line in denoise.evidence)
    assert any(line.startswith("attention and matrix products") for line in denoise.evidence)


def test_weak_data_say_so() -> None:
    def cares(run: object) -> list[str]:
        return [line for one in Findings(run).takeaways for line in one.evidence if line.startswith("care")]

    assert cares(run_of(busy())) == []
    assert cares(run_of(waiting(spread=0.25))) == ["care: the 95 % interval of its mean is ±25.0 %, of 3 runs"]
    assert "125.0 %" in cares(run_of({"a": Work(4.0, {PRODUCT: 5.0})}))[0]
    little = {"a": Work(10.0, {PRODUCT: 8.5}, count=10_000)}
    assert "the profiler slows launches down, so 1.500 s idle" in " ".join(
        cares(run_of(little, metrics=False, idle=True))
    )


def test_without_a_timer_the_timeline_stands_in_and_is_named() -> None:
    run = run_of(waiting(), metrics=False, idle=True)
    found = Findings(run)
    assert "on the profiler's timeline" in found.point
    assert found.point.startswith("decode takes 90.0 % of the stages' 10.00 s on")
    text = render(run, template=PAGE)
    assert "--backend wall_clock" in text.split("## MFU")[1].split("##")[0]
    assert "how near matrix products" in text.split("## Recommendations")[1]


@pytest.mark.parametrize(
    ("section", "backend", "run"),
    [
        ("Per-Stage Timings", "wall_clock", {"metrics": False, "profile": False}),
        ("MFU", "wall_clock", {"metrics": False}),
        ("Recommendations", "wall_clock", {"metrics": False, "profile": False}),
        ("Top Operators", "torch", {"profile": False}),
        ("Top Kernels", "nsys", {"profile": False}),
        ("Recommendations", "ncu", {}),
    ],
)
def test_a_section_without_data_names_the_backend_that_fills_it(
    section: str, backend: str, run: dict[str, bool]
) -> None:
    part = render(run_of(waiting(), **run), template=PAGE).split(f"## {section}\n")[1].split("\n## ")[0]
    assert f"--backend {backend}" in part


def test_hardware_counters_are_evidence() -> None:
    run = run_of(busy(), counters=True)
    found = Findings(run)
    assert (
        "hardware counters of 87.5 % of its kernel time: compute (the tensor cores at 62.5 %)"
        in found.takeaways[0].evidence
    )
    speed = next(one for one in found.recommendations if "attention" in one.what)
    counted = "62.5 % of peak arithmetic, 12.5 % of peak memory bandwidth"
    assert f"by hardware counters {counted}" in speed.evidence
    assert any(line.startswith("attention:") and line.endswith(counted) for line in found.takeaways[0].evidence)
    assert [one.peak_share for one in found.kernels if one.kind == "attention"] == [0.625]
    assert "counters" not in found.missing


def test_counters_say_how_near_the_peak_is_where_nothing_else_does() -> None:
    """A program's run has no formulas and no peaks: 4 s at 62.5 % of a peak are 2.5 s at all of it."""
    run = run_of(busy(), metrics=False, counters=True, idle=True, kind="command")
    found = Findings(run)
    assert "attention near peak (62.5 % of peak arithmetic)" in found.point
    speed = next(one for one in found.recommendations if one.what.startswith("speed up the attention"))
    assert speed.saves_seconds == pytest.approx(4 - 2.5 / 0.75)
    assert speed.at_most_seconds == pytest.approx(1.5)
    by_sms = run_of(
        busy(), metrics=False, counters={"compute_share": 0.75, "dram_share": 0.1}, idle=True, kind="command"
    )
    # Busy SMs are no arithmetic: what they are busy with can be anything.
    assert "near peak" not in render(by_sms, template=PAGE)
    assert "by hardware counters 75.0 % of the SMs' peak" in render(by_sms, template=PAGE)
    memory_alone = run_of(busy(), metrics=False, counters={"dram_share": 0.1}, idle=True, kind="command")
    assert "peak" not in Findings(memory_alone).point
    assert "speed up" not in " ".join(
        one.what for one in Findings(run_of(busy(), metrics=False, idle=True)).recommendations
    )


def test_counters_alone_still_name_the_bottleneck() -> None:
    """As in an import of a report of hardware counters, without any timeline."""
    run = run_of(busy(), metrics=False, profile=False, counters=True, kind="import")
    text = render(run, template=PAGE)
    assert (
        "denoise takes 100.0 % of the 9.500 s of the kernels that were measured and has kernels of which counters of "
        "87.5 %" in text
    )
    assert "| device | GPU 9 |" in text
    assert "(the tensor cores at 62.5 %)" in text


def test_kernels_and_operators_count_as_often_as_the_whole_run_has_them() -> None:
    found = Findings(run_of(waiting()))
    assert [(one.kind, round(one.total_ns / 1e9, 3)) for one in found.kernels][:2] == [
        ("matrix products", 2.5), ("element-wise", 0.3)
    ]  # fmt: skip
    assert found.operators[0].time_ns == pytest.approx(1.5e9)
    assert found.operators[0].calls == 25, "calls have the scale of the times: 4 of 100 steps were recorded"
    assert [one.calls for one in found.kernels][1] == 1000 * 100


def test_every_run_gets_the_page_and_lists_it(tiny) -> None:
    text = (tiny.path / PAGE).read_text()
    run = api.load_run(tiny.path)
    assert PAGE in run.index.files
    assert text == render(run, template=PAGE)
    largest = max(tiny.report.stages, key=lambda stage: stage.flops)
    assert text.splitlines()[2].startswith(f"**By count {largest.path} needs ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS


def test_a_program_gets_commands_that_measure_programs() -> None:
    text = render(run_of(waiting(), metrics=False, idle=True, kind="command"), template=PAGE)
    assert "perfkit exec --backend ncu" in text
    assert "config.yaml" not in text
    assert "**prefill takes" in text


def test_the_page_is_restyled_like_any_other(place, tiny) -> None:
    folder = place / "given"
    folder.mkdir()
    (folder / PAGE).write_text(
        '{% extends "core:stakeholder_summary.md" %}{% block environment %}{% endblock %}'
        "{% block point %}We say: {{ report.findings.point }}{% endblock %}"
    )
    text = render(api.load_run(tiny.path), template=PAGE, template_dir=folder)
    assert "We say: By count" in text
    assert "## Environment" not in text
    (folder / PAGE).write_text("{{ report.findings.nonsense }}")
    with pytest.raises(UsageError, match="Findings has no attribute 'nonsense'"):
        render(api.load_run(tiny.path), template=PAGE, template_dir=folder)


def test_a_broken_page_is_refused_before_the_run_begins(place) -> None:
    folder = place / "given"
    folder.mkdir()
    (folder / PAGE).write_text("{% block a %}")
    with pytest.raises(UsageError, match=PAGE):
        api.run("wan2_1", variant="tiny", template_dir=folder, out=Path("R"))
    assert not Path("R").exists()
