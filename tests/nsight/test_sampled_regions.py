"""The worker lets the profiler record in the chosen instances of regions, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from perfkit_nsight.sampled_regions import SampledRegions

from perfkit_core.regions import Regions


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that happens, in order; there is no GPU here."""
    said: list[str] = []
    monkeypatch.setattr(torch.cuda.profiler, "start", lambda: said.append("<"))
    monkeypatch.setattr(torch.cuda.profiler, "stop", lambda: said.append(">"))
    return said


def _run(regions: Regions, log: list[str]) -> None:
    log.append("before")
    for step in range(3):
        with regions.region("step"):
            log.append(f"step{step}")
            with regions.region("attn"):
                log.append(f"attn{step}")
            log.append(f"rest{step}")
    log.append("after")


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ({"step/attn": [1]}, "before step0 attn0 rest0 step1 < attn1 > rest1 step2 attn2 rest2 after"),
        ({"step": [2]}, "before step0 attn0 rest0 step1 attn1 rest1 < step2 > attn2 < rest2 > after"),
        ({"step": [1], "step/attn": [1]}, "before step0 attn0 rest0 < step1 attn1 rest1 > step2 attn2 rest2 after"),
        ({"step/attn": [0, 2]}, "before step0 < attn0 > rest0 step1 attn1 rest1 step2 < attn2 > rest2 after"),
        ({"": [0]}, "< before > step0 attn0 rest0 < > step1 attn1 rest1 < > step2 attn2 rest2 < after >"),
        ({"step/attn": [9], "other": [0]}, "before step0 attn0 rest0 step1 attn1 rest1 step2 attn2 rest2 after"),
    ],
)
def test_only_the_chosen_instances_are_recorded(log: list[str], instances: dict[str, list[int]], expected: str) -> None:
    regions = Regions()
    regions.add(SampledRegions(instances))
    for warmup in (True, False):
        log.clear()
        regions.begin(0, warmup=warmup)
        _run(regions, log)
        regions.end()
        assert log == ([word for word in expected.split() if word not in "<>"] if warmup else expected.split())
