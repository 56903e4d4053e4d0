"""Fitting what is to be measured into ncu's command line and into a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from perfkit_core.errors import ToolError
from perfkit_nsight.ncu_selection import Expected, Measuring, selection
from perfkit_nsight.work_groups import Group

SECONDS_PER_PASS = 0.04
"""What one pass of one launch costs besides the kernel's own time, in seconds: counters are read and memory is
restored. Seen on an H200 with DeepSeek-OCR: 0.037 and 0.040 s over 3376 passes and fewer."""

LONGEST = 100_000
"""Letters that the names to look for may have together: Linux takes 131 072 in one argument."""


def seconds_of(expected: Expected, passes: int, run_seconds: float) -> float:
    """Return about how long measuring takes, the program itself included."""
    return run_seconds + passes * (expected.seconds + expected.launches * SECONDS_PER_PASS)


def nameable(groups: Sequence[Group], measuring: Measuring) -> Sequence[Group]:
    """Return as many groups, largest first, as have names that fit on a command line."""
    named: list[Group] = []
    patterns: set[str] = set()
    for group in groups:
        patterns.update(measuring.patterns([group]))
        if named and len(selection(sorted(patterns))) > LONGEST:
            break
        named.append(group)
    return named


def timely(
    groups: Sequence[Group], measuring: Measuring, passes: int, run_seconds: float, limit: float
) -> tuple[Sequence[Group], Measuring]:
    """Return the groups that can be measured in time, largest first, and how many launches of each.

    Raises:
        ToolError: None can.
    """
    least = run_seconds
    for one in (measuring, replace(measuring, most=1)):
        fitting: list[Group] = []
        for group in groups:
            seconds = seconds_of(one.expected([*fitting, group]), passes, run_seconds)
            if seconds <= limit:
                fitting.append(group)
            elif not fitting:
                least = seconds if least == run_seconds else min(least, seconds)
        if fitting:
            return fitting, one
    raise too_slow(least, limit)


def too_slow(seconds: float, limit: float) -> ToolError:
    """Return the error for what cannot end in time."""
    return ToolError(
        f"measuring takes {seconds:.0f} s at least, and {limit:.0f} s of the time limit are left",
        fix="a larger --max-minutes; a smaller --measure-steps; ncu.replay=kernel runs the program once",
    )
