"""What ran on the device, from the profiler's raw events and its trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Work:
    """Something that ran on the device."""

    name: str
    kind: Literal["kernel", "copy", "set"]
    device: int
    start: int
    duration: int
    correlation: int
    operator: int


def device_work(profiler: Any) -> Iterator[Work]:
    """Yield kernels, copies and sets; the ranges that the profiler mirrors on the device are none."""
    for event in profiler.profiler.kineto_results.events():
        if _on_cpu_raw(event) or event.is_user_annotation():
            continue
        name = event.name()
        kind: Literal["kernel", "copy", "set"] = "kernel"
        if name.startswith("Memcpy"):
            kind = "copy"
        elif name.startswith("Memset"):
            kind = "set"
        yield Work(
            name=name,
            kind=kind,
            device=event.device_index(),
            start=event.start_ns(),
            duration=event.duration_ns(),
            correlation=event.correlation_id(),
            operator=event.linked_correlation_id(),
        )


def _on_cpu_raw(event: Any) -> bool:
    return bool(event.device_type().name == "CPU")


def geometry(trace: bytes) -> dict[int, tuple[str, str]]:
    """Return grid and block of every kernel by correlation."""
    found: dict[int, tuple[str, str]] = {}
    for event in json.loads(trace)["traceEvents"]:
        if event.get("cat") == "kernel":
            values = event.get("args", {})
            grid, block = values.get("grid", ()), values.get("block", ())
            found[values.get("correlation", -1)] = (",".join(map(str, grid)), ",".join(map(str, block)))
    return found
