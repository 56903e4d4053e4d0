"""stakeholder_summary.md: commands that measure what it advises, and sentences that can be repeated."""

from __future__ import annotations

from perfkit_core.findings import Findings
from perfkit_core.report import render

from .stakeholder_runs import PRODUCT, Work, run_of
from .test_stakeholder_truth import PAGE, decoding, sleeping


def test_the_effect_of_a_change_is_measured_without_a_profiler() -> None:
    """Repeating a run that was only profiled, with its config, would profile it again and time nothing."""
    timer = "perfkit run --config config.yaml --backend wall_clock"
    changed = f"{timer} --set compile=reduce-overhead --out NEW; perfkit compare"
    profiled = render(run_of(decoding(), metrics=False, idle=True), template=PAGE)
    advice = profiled.split("## Recommendations")[1]
    assert profiled.count(f"`{timer} --out BASE`") == 1, "once, at the top of the page"
    assert f"`{timer} --out BASE`" in profiled.split("## Environment")[0]
    assert f"`{changed} BASE NEW --by time`" in advice
    timed = render(run_of(decoding(), idle=True), template=PAGE)
    assert f"`{changed} . NEW --by time`" in timed
    assert "BASE" not in timed


def test_what_the_host_does_is_asked_for_apart_from_the_effect() -> None:
    run = run_of(sleeping(), metrics=False, idle=True)
    run.__dict__["profile"] = run.profile.model_copy(update={"operators": ()})
    advice = render(run, template=PAGE).split("## Recommendations")[1]
    assert "Not known: what the host does in train (100.0 % of the timeline) between launches" in advice
    (judged,) = [line for line in advice.splitlines() if "perfkit compare" in line]
    assert "--backend torch" not in judged
    assert "--backend wall_clock --out NEW; perfkit compare BASE NEW --by time" in judged


def test_a_busy_gpu_is_busy_all_the_time_and_leaves_no_idle_line() -> None:
    stages = {"denoise": Work(2.0, {PRODUCT: 2.0}), "decode": Work(1.0, {PRODUCT: 0.9})}
    run = run_of(stages, metrics=False, idle=True)
    denoise, decode = Findings(run).takeaways
    assert denoise.headline.startswith("keeps the GPU busy all the time")
    assert not any("no kernel runs in" in line for line in denoise.evidence)
    assert decode.headline.startswith("keeps the GPU busy in 90.0 % of its time")
    assert any(line.startswith("no kernel runs in 100.0 ms of it") for line in decode.evidence)


def test_large_counts_are_written_out() -> None:
    stages = {"decode": Work(0.09, {PRODUCT: 0.018}, count=12560, launches=12560)}
    text = render(run_of(stages, idle=True), template=PAGE)
    assert "12560 launches a call" in text
    assert "| 12560 a call |" in text
    assert "e+" not in text


def test_changes_that_save_little_are_named() -> None:
    stages = {"decode": Work(9.0, {PRODUCT: 1.8}, count=1000), "encode": Work(0.02, {PRODUCT: 0.001}, count=1000)}
    run = run_of(stages, metrics=False, idle=True)
    text = render(run, template=PAGE)
    left = Findings(run).all_recommendations[len(Findings(run).recommendations) :]
    assert left
    (line,) = [line for line in text.splitlines() if line.startswith("Expected to save less than 1 %: ")]
    assert line == f"Expected to save less than 1 %: {'; '.join(one.what for one in left)}."
