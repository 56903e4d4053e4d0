"""Loops in loops: every time is scaled to the workload's own counts."""

from __future__ import annotations

from fractions import Fraction

from perfkit_core.backends.samples import region_times, totals
from perfkit_core.schema.session import RegionSample, RunSample


def nested(steps: int = 4, parts: int = 2) -> RunSample:
    """A stage of 40 steps, 1 of warm-up and 3 measured; each step has 3 parts, 1 of warm-up and 1 measured."""
    regions = [RegionSample(path="roll", parent=-1, host_ns=0, device_ns=None)]
    for step in range(steps):
        at = len(regions)
        loop = {"total": 40, "warmup": 1, "measured": 3}
        regions.append(RegionSample(path="roll/step", parent=0, host_ns=0, device_ns=None, index=step, **loop))
        for part in range(parts):
            inner = {"total": 3, "warmup": 1, "measured": 1}
            took = 1000 if part == 0 else 100 + step
            regions.append(
                RegionSample(path="roll/step/part", parent=at, host_ns=took, device_ns=None, index=part, **inner)
            )
        inside = sum(one.host_ns for one in regions[at + 1 :])
        regions[at] = regions[at].model_copy(update={"host_ns": inside + 10})
    whole = sum(one.host_ns for one in regions if one.parent == 0) + 5
    regions[0] = regions[0].model_copy(update={"host_ns": whole})
    return RunSample(index=0, warmup=False, wall_ns=whole + 7, regions=tuple(regions))


def test_one_iteration_has_its_own_loops_in_full() -> None:
    found = totals(nested()).regions
    steps = [10 + 3 * (100 + step) for step in (1, 2, 3)]
    assert found["roll/step"].values == steps
    assert found["roll/step/part"].values == [101, 102, 103]
    assert found["roll"].inclusive == 5 + Fraction(40, 3) * sum(steps)
    assert found["roll"].inclusive == 5 + found["roll/step"].inclusive


def test_what_was_measured_of_how_many_is_said_level_by_level() -> None:
    found = totals(nested()).regions
    assert {path: (one.measured, one.total) for path, one in found.items()} == {
        "roll": (3, 40), "roll/step": (3, 40), "roll/step/part": (3, 120),
    }  # fmt: skip


def test_rounded_times_of_regions_add_up() -> None:
    times = {one.path: one for one in region_times([totals(nested()), totals(nested())])}
    assert times["roll"].inclusive_ns == sum(one.exclusive_ns for one in times.values())
    assert times["roll/step"].inclusive_ns == times["roll/step"].exclusive_ns + times["roll/step/part"].inclusive_ns
