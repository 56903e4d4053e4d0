"""What the real ncu said on an H200 becomes an error that says what failed and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from perfkit_nsight.ncu_messages import fault_of

from perfkit_core.errors import MissingError, PerfkitError, ToolError, UsageError

SAID = Path(__file__).parents[2] / "docs/results/2026-11-21-h200-ncu/messages"


def _said(name: str) -> str:
    return (SAID / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "measured", "kind", "message", "fix"),
    [
        ("no_kernel_of_that_name", False, ToolError, "no kernel has one of the names", "ncu.include"),
        ("no_such_range", False, ToolError, "no kernel ran inside the region", "ncu.region"),
        ("no_kernel", False, ToolError, "profiled no kernel", "--backend nsys"),
        ("unknown_section", False, UsageError, "one of the sections", "ncu --list-sections"),
        ("counters_held", False, MissingError, "held by another tool", "dcgmi profile --pause"),
        ("counters_held", True, MissingError, "held by another tool", "dcgmi profile --pause"),
        ("other_injection", False, MissingError, "another profiler is loaded", "CUDA_INJECTION64_PATH"),
        ("report_not_writable", False, MissingError, "could not write its report", "--out"),
        ("range_refused", False, ToolError, "range replay was refused", "app-range"),
        ("range_with_start_off", False, ToolError, "range replay was refused", "app-range"),
    ],
)
def test_words_become_errors(name: str, measured: bool, kind: type[PerfkitError], message: str, fix: str) -> None:
    fault = fault_of(_said(name), measured=measured)
    assert type(fault) is kind
    assert message in fault.message
    assert fix in fault.fix


def test_its_own_words_are_in_the_message() -> None:
    fault = fault_of(_said("range_refused"), measured=False)
    assert fault is not None
    assert "Unsupported API during capture (cuInit)" in fault.message


@pytest.mark.parametrize("name", ["child_crashed", "child_failed", "unknown_metric"])
def test_a_program_that_fails_is_no_fault_of_ncu(name: str) -> None:
    """The program's own exit status is what counts; a metric left out silently is found in the report alone."""
    assert fault_of(_said(name), measured=True) is None


def test_warnings_of_a_good_run_are_no_fault() -> None:
    assert fault_of(_said("child_failed").replace("==ERROR==", "==PROF=="), measured=True) is None
