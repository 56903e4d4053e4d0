"""What ran on the device, from the profiler's raw events and its trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class Trace:
    """What only the Chrome trace of a profile tells.

    Attributes:
        geometry: Grid and block of every kernel, by correlation.
        calls: Names of events that are calls of the CUDA runtime or driver.
        overhead: Names of events that are the profiler's own work, such as waiting for a buffer.
    """

    geometry: Mapping[int, tuple[str, str]]
    calls: frozenset[str]
    overhead: frozenset[str]


def read_trace(trace: bytes) -> Trace:
    """Read a Chrome trace of torch.profiler."""
    geometry: dict[int, tuple[str, str]] = {}
    names: dict[str, set[str]] = {"cuda_runtime": set(), "cuda_driver": set(), "overhead": set()}
    for event in json.loads(trace)["traceEvents"]:
        category = event.get("cat")
        if category == "kernel":
            values = event.get("args", {})
            grid, block = values.get("grid", ()), values.get("block", ())
            geometry[values.get("correlation", -1)] = (",".join(map(str, grid)), ",".join(map(str, block)))
        elif category in names:
            names[category].add(str(event.get("name", "")))
    return Trace(
        geometry=geometry,
        calls=frozenset(names["cuda_runtime"] | names["cuda_driver"]),
        overhead=frozenset(names["overhead"]),
    )
