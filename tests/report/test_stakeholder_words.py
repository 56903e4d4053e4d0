"""stakeholder_summary.md: commands that measure what it advises, and sentences that can be repeated."""

from __future__ import annotations

from perfkit_core.report import render

from .stakeholder_runs import run_of
from .test_stakeholder_truth import PAGE, bold, decoding, sleeping


def test_the_effect_of_a_change_is_measured_without_a_profiler() -> None:
    """Repeating a run that was only profiled, with its config, would profile it again and time nothing."""
    timer = "perfkit run --config config.yaml --backend wall_clock"
    changed = f"{timer} --set compile=reduce-overhead --out NEW; perfkit compare"
    profiled = render(run_of(decoding(), metrics=False, idle=True), template=PAGE)
    advice = profiled.split("## Recommendations")[1]
    assert f"`{timer} --out BASE`" in advice
    assert f"`{changed} BASE NEW --by time`" in advice
    timed = render(run_of(decoding(), idle=True), template=PAGE)
    assert f"`{changed} . NEW --by time`" in timed
    assert "BASE" not in timed
    # One directory, one command.
    made = {line.split(" --out ")[1].split("`")[0].split(";")[0]: line for line in bold(profiled) if " --out " in line}
    assert set(made) == {"BASE"}


def test_what_the_host_does_is_asked_for_apart_from_the_effect() -> None:
    run = run_of(sleeping(), metrics=False, idle=True)
    run.__dict__["profile"] = run.profile.model_copy(update={"operators": ()})
    advice = render(run, template=PAGE).split("## Recommendations")[1]
    assert "Not known: what the host does in train (100.0 % of the timeline) between launches" in advice
    (judged,) = [line for line in advice.splitlines() if "perfkit compare" in line]
    assert "--backend torch" not in judged
    assert "--backend wall_clock --out NEW; perfkit compare BASE NEW --by time" in judged
