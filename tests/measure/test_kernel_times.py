"""What torch.profiler recorded of kernels, as rows of ``regions.json``."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from perfkit_core.instruments.attribution import Attribution


def event(time: int, grid: int) -> Any:
    """Return a kernel as torch's raw events have it; launches of one geometry have one correlation here."""
    facts = {
        "device_type": SimpleNamespace(name="CUDA"),
        "is_user_annotation": False,
        "name": "k",
        "device_index": 0,
        "start_ns": 0,
        "duration_ns": time,
        "correlation_id": grid,
        "linked_correlation_id": 0,
    }
    return SimpleNamespace(**{name: (lambda value=value: value) for name, value in facts.items()})


def test_the_shortest_and_the_median_of_each_kernel_are_kept() -> None:
    raw = [event(time, 1) for time in (30, 10, 20, 90)] + [event(7, 2)]
    profiler = SimpleNamespace(
        events=list,
        key_averages=list,
        profiler=SimpleNamespace(kineto_results=SimpleNamespace(events=lambda: raw)),
    )
    trace = [
        {"cat": "kernel", "args": {"grid": [grid, 1, 1], "block": [128, 1, 1], "correlation": grid}} for grid in (1, 2)
    ]
    report = Attribution(profiler, json.dumps({"traceEvents": trace}).encode(), memory=False).result()
    assert [(row.grid, row.calls, row.total_ns, row.shortest_ns, row.median_ns) for row in report.kernels] == [
        ("1,1,1", 4, 150, 10, 20),
        ("2,1,1", 1, 7, 7, 7),
    ]
