"""stakeholder_summary.md: what its times rest on, what follows from them, and what its words mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfkit_core.findings import Findings
from perfkit_core.report import render
from perfkit_core.rundir import Run

from .stakeholder_runs import ATTENTION, LIGHT, PEAK, PRODUCT, Work, counter, run_of
from .test_stakeholder_truth import PAGE, decoding, evidence, sleeping


def in_host(run: Run, seconds: float) -> Run:
    """Return a run whose host was inside every region for some seconds."""
    rows = [one.model_copy(update={"host_time": round(1e9 * seconds)}) for one in run.profile.regions]
    run.__dict__["profile"] = run.profile.model_copy(update={"regions": tuple(rows)})
    return run


# What times rest on.


def test_scaled_times_say_from_how_few_iterations_and_that_a_profiler_ran() -> None:
    run = run_of(decoding(), metrics=False, idle=True)
    text = render(run, template=PAGE)
    basis = "scaled from 4 of 100 steps, recorded under the profiler; no interval"
    assert f"of the stages' 10.00 s on the profiler's timeline ({basis}) and" in Findings(run).point
    assert f"| time of all stages | 10.00 s, {basis} | `passes/02-torch` |" in text
    whole = run_of(sleeping(), metrics=False, idle=True)
    assert "scaled from" not in render(whole, template=PAGE)


def test_unprofiled_times_have_their_interval_and_how_much_was_timed() -> None:
    run = run_of(decoding())
    aggregates = run.metrics.aggregates
    time = aggregates.run_ms.model_copy(update={"scaled_from": 32, "scaled_to": 511})
    run.__dict__["metrics"] = run.metrics.model_copy(
        update={"aggregates": aggregates.model_copy(update={"run_ms": time})}
    )
    assert "of the run's 10.00 s (± 100.0 ms, 95 % interval, 3 runs; 32 of 511 iterations timed)" in Findings(run).point
    one = time.model_copy(update={"n": 1, "ci_low": None, "ci_high": None, "scaled_from": None})
    run = run_of(decoding())
    run.__dict__["metrics"] = run.metrics.model_copy(
        update={"aggregates": aggregates.model_copy(update={"run_ms": one})}
    )
    assert "of the run's 10.00 s (1 run, no interval)" in Findings(run).point


def test_what_is_outside_of_stages_is_claimed_as_far_as_the_host_was_not_inside_either() -> None:
    """Kernels span 10 s of 40 s; the host was in the stage for 18 s, which may be before its first kernels."""
    run = in_host(run_of(sleeping(), metrics=False, idle=True, outside=30.0, kind="command"), 18.0)
    text = render(run, template=PAGE)
    assert "- at least 30.0 % of the 40.00 s on the profiler's timeline are outside of every stage" in text
    assert "train takes most, 25.0 % from its first kernels to its last (the host is in it for 18.00 s)" in text
    assert "the host was inside train for 18.00 s, its kernels span 10.00 s" in text
    near = in_host(run_of(sleeping(), metrics=False, idle=True, outside=30.0, kind="command"), 9.0)
    assert "**At least 52.5 % of the 40.00 s" in render(near, template=PAGE)
    assert "the host was inside" not in render(near, template=PAGE)
    inside = in_host(run_of(sleeping(), metrics=False, idle=True, outside=30.0, kind="command"), 31.0)
    assert "outside of every stage" not in render(inside, template=PAGE)


def test_calls_that_nothing_warmed_up_for_are_an_average_with_its_start_up() -> None:
    run = run_of(sleeping(), metrics=False, idle=True, kind="command")
    rows = [one.model_copy(update={"instances": 5}) for one in run.profile.regions]
    run.__dict__["profile"] = run.profile.model_copy(update={"regions": tuple(rows)})
    assert "5 x 2.000 s a call on average, the start-up of the first included" in evidence(run, "train")
    assert "warm up before measuring" in Findings(run).recommendations[0].what
    once = run_of(sleeping(), metrics=False, idle=True, kind="command")
    assert "start-up" not in render(once, template=PAGE)


def test_the_ground_of_all_figures_is_told(tmp_path: Path) -> None:
    run = run_of(sleeping())
    assert "| rests on | formulas not verified in this run; memory estimated, not measured |" in render(
        run, template=PAGE
    )

    def text(weights: str) -> str:
        made = Run(path=tmp_path, index=run.index.model_copy(update={"files": ("run.json", "assumptions.md")}))
        made.__dict__.update({key: value for key, value in run.__dict__.items() if key not in ("path", "index")})
        (tmp_path / "assumptions.md").write_text(f"# Assumptions\n\n* Model: m\n* Weights: {weights}\n")
        return render(made, template=PAGE)

    assert "| rests on | weights: random, seed 7; formulas" in text("random, seed 7")
    assert "weights: of a checkpoint; formulas" in text("read from /home/somebody/weights")
    assert "somebody" not in text("read from /home/somebody/weights")


# What follows from them.


def test_a_busy_gpu_and_an_idle_one_call_for_other_things() -> None:
    busy = Findings(run_of({"denoise": Work(10.0, {PRODUCT: 9.9})})).so_what
    assert busy.startswith("the kernels of all stages run in 9.900 s of 10.00 s (99.0 %): a faster GPU, faster kernels")
    assert "a faster host or fewer launches only the other 100.0 ms (1.0 %)" in busy
    idle = Findings(run_of(decoding(), idle=True)).so_what
    assert (
        "run in 2.800 s of 10.00 s (28.0 %): a faster GPU shortens at most that; the other 7.200 s only fewer" in idle
    )
    host = Findings(run_of(sleeping(), idle=True)).so_what
    assert "the other 8.000 s only a change of what the host does between launches can shorten" in host
    assert Findings(run_of(decoding(), profile=False)).so_what == ""
    assert "So what: the kernels of all stages" in render(run_of(decoding()), template=PAGE).split("## Environment")[0]


def test_what_waiting_costs_and_what_the_peaks_allow_stand_in_one_line() -> None:
    (line,) = [one for one in evidence(run_of(decoding()), "decode").splitlines() if "the device's peaks" in one]
    assert line.startswith("without waiting, its kernels as they are, 1.800 s, 5 times less; at the device's peaks it")
    assert "while its kernels stay as they are" in Findings(run_of(decoding())).recommendations[0].gain


def test_a_stage_that_takes_next_to_nothing_gets_one_line() -> None:
    stages = {"decode": Work(9.95, {PRODUCT: 9.9}), "encode": Work(0.05, {PRODUCT: 0.04})}
    decode, encode = Findings(run_of(stages)).takeaways
    assert len(decode.evidence) > 1
    assert encode.evidence == ()
    assert encode.headline.endswith("50.00 ms, 0.5 % of the run")


def test_of_long_reasons_the_page_has_the_first_clause() -> None:
    run = run_of(decoding(steps=1, seen=1, count=1, launches=None), counters=True)
    region = run.counters.regions[0].model_copy(update={"reason": "compute 72.3 %, from 60 % on; more; and more"})
    run.__dict__["counters"] = run.counters.model_copy(update={"regions": (region,)})
    assert "compute (compute 72.3 %, from 60 % on)" in evidence(run, "prefill")


# Tables and words.


def test_shares_of_kernels_say_of_what() -> None:
    text = render(run_of(decoding(), idle=True), template=PAGE).split("## Top Kernels")[1]
    assert "| calls | total | share of kernel time | share of the run | nearest peak, counted |" in text
    # 2.5 s of products in 2.8 s of kernels and 10 s in all; 1 x 10 and 100 x 1000 of them.
    assert "| 100 010 | 2.500 s | 89.3 % | 25.0 % |" in text
    assert "Calls and times scaled to the whole run" in text
    sample = render(run_of(sleeping(), metrics=False, counters=[], sample=True), template=PAGE)
    assert "| share of kernel time | nearest peak" in sample.split("## Top Kernels")[1]


@pytest.mark.parametrize("stages", [decoding(), sleeping(), {"a": Work(1.0, {PRODUCT: 0.5, LIGHT: 0.5})}])
def test_words_of_the_page_are_explained_and_no_others(stages: dict[str, Work]) -> None:
    run = run_of(stages, metrics=False, idle=True)
    body, terms = render(run, template=PAGE).split("**Terms**")
    named = set(re.findall(r"^- \*(.*?)\*:", terms, re.MULTILINE))
    assert named == {term.name for term in Findings(run).terms if any(sign in body for sign in term.signs)}
    assert ("near peak, far from peak" in named) is ("near peak" in body or "far from peak" in body)


def test_terms_have_the_thresholds_in_force() -> None:
    rows = [counter(ATTENTION, "denoise", 1.0, peak_share=0.5, compute_share=0.6)]
    run = run_of({"denoise": Work(4.0, {ATTENTION: 4.0}, flops={"attention": round(2 * PEAK)})}, counters=rows)
    terms = render(run, template=PAGE).split("**Terms**")[1]
    assert "near from 60.0 % on" in terms
    assert "come to 75.0 % of what they are held against" in terms
    waiting = render(run_of(decoding()), template=PAGE).split("**Terms**")[1]
    assert "kernels run in less than 70.0 % of the time; for launches where at most 50 µs" in waiting


def test_the_command_that_times_the_run_stands_there_once() -> None:
    text = render(run_of(decoding(), metrics=False, idle=True), template=PAGE)
    assert text.count("--backend wall_clock --out BASE") == 1
    assert "Stages with an MFU: 0 of 2. `--backend wall_clock` fills this section." in text
