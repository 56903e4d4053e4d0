"""The worker lets the profiler record in the chosen instances of regions, and nowhere else."""

from __future__ import annotations

import threading

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
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: said.append("idle"))
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
        said = [word for word in expected.split() if word not in "<>"] if warmup else expected.split()
        # Work of before is not recorded, and the run's own is done before its end.
        assert log == (said if warmup else _with_idle(said))


def _with_idle(said: list[str]) -> list[str]:
    """Return it with the device idle at both ends, before what begins and ends there."""
    return ["idle", *said[:-1], "idle", ">"] if said[-1] == ">" else ["idle", *said, "idle"]


@pytest.mark.parametrize(("chosen", "expected"), [("A", "< A-in A-out > B-out"), ("B", "A-in < A-out B-out >")])
def test_every_thread_has_its_own_regions(log: list[str], chosen: str, expected: str) -> None:
    """B opens while A is open on another thread, and A closes first."""
    regions, b_is_open, a_is_closed = Regions(), threading.Event(), threading.Event()
    regions.add(SampledRegions({chosen: [0]}))
    regions.begin(0, warmup=False)
    log.clear()

    def other() -> None:
        with regions.region("B"):
            b_is_open.set()
            assert a_is_closed.wait(10)
            log.append("B-out")

    thread = threading.Thread(target=other)
    with regions.region("A"):
        log.append("A-in")
        thread.start()
        assert b_is_open.wait(10)
        log.append("A-out")
    a_is_closed.set()
    thread.join()
    assert log == expected.split()
    regions.end()
    assert log == [*expected.split(), "idle"]


def test_what_a_thread_left_open_in_one_run_is_not_recorded_in_the_next(log: list[str]) -> None:
    regions = Regions()
    recorder = SampledRegions({"A": [0]})
    regions.add(recorder)
    regions.begin(0, warmup=False)
    thread = threading.Thread(target=lambda: recorder.push("A", None, named=True))
    thread.start()
    thread.join()
    regions.end(finished=False)
    assert log == ["idle", "<", "idle", ">"]
    log.clear()
    regions.begin(1, warmup=False)
    closing = threading.Thread(target=lambda: recorder.pop("A"))
    closing.start()
    closing.join()
    regions.end()
    assert log == ["idle", "idle"]
