"""``compare --by time`` of profiles: what one of them recorded more often is no regression."""

from __future__ import annotations

import pytest

from perfkit_core.compare import compare_runs
from perfkit_core.errors import UsageError
from perfkit_core.report import render_comparison
from perfkit_core.rundir import Run

from .stakeholder_runs import PRODUCT, Work, run_of


def profiled(seen: int, seconds: float = 10.0, *, kind: str = "model", metrics: bool = False) -> Run:
    """Return a run whose loop of 50 steps takes so long, of which the profile recorded some."""
    work = Work(seconds, {PRODUCT: seconds}, steps=50, seen=seen)
    return run_of({"denoise": work}, metrics=metrics, kind=kind, idle=True)


def test_profiles_of_other_numbers_of_iterations_are_scaled_to_the_whole_run() -> None:
    found = compare_runs(profiled(2), profiled(4), by="time")
    assert found.relative_change == pytest.approx(0, abs=1e-6)
    assert found.total.base == pytest.approx(10e9, rel=1e-3)
    assert found.notes == ("profiles left iterations out: the times of both are scaled to the whole run",)
    assert "- profiles left iterations out" in render_comparison(found)


def test_a_regression_among_profiles_of_other_numbers_of_iterations_is_seen() -> None:
    found = compare_runs(profiled(4), profiled(2, 15.0), by="time")
    assert found.relative_change == pytest.approx(0.5, abs=1e-3)


def test_without_the_number_of_iterations_instances_are_compared() -> None:
    base, head = (profiled(seen, kind="command") for seen in (2, 4))
    found = compare_runs(base, head, by="time")
    assert found.relative_change == pytest.approx(0, abs=1e-6)
    assert found.total.base == pytest.approx(10e9 * 2 / 50, rel=1e-3)  # as recorded
    assert "per instance" in found.notes[0]


def test_equal_numbers_of_instances_need_no_note() -> None:
    base, head = (profiled(2, seconds, kind="command") for seconds in (10.0, 12.0))
    found = compare_runs(base, head, by="time")
    assert found.relative_change == pytest.approx(0.2, abs=1e-3)
    assert found.notes == ()


def test_instances_that_are_not_known_are_said() -> None:
    base, head = (profiled(seen, kind="command") for seen in (2, 4))
    for run in (base, head):
        profile = run.profile
        assert profile is not None
        rows = tuple(row.model_copy(update={"instances": None}) for row in profile.regions)
        run.__dict__["profile"] = profile.model_copy(update={"regions": rows})
    found = compare_runs(base, head, by="time")
    assert found.notes == ("how often regions ran is not known: times are compared as they were recorded",)


def test_unprofiled_times_are_never_scaled() -> None:
    found = compare_runs(profiled(2, metrics=True), profiled(4, metrics=True), by="time")
    assert found.notes == ()


def test_unprofiled_times_and_a_profile_are_not_compared() -> None:
    with pytest.raises(UsageError, match="their times are of different things"):
        compare_runs(profiled(2, metrics=True), profiled(2), by="time")
