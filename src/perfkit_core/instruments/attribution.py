"""Profiler events attributed to regions, exactly: whole nanoseconds, nothing dropped, nothing counted twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

from perfkit_core.instruments.kernels import Work, device_work, read_trace
from perfkit_core.schema.regions import KernelRow, OperatorRow, RegionRow, RegionsReport, RegionTotals

PREFIX = "perfkit:"
"""How the names of ranges begin that stand for regions."""

INSIDE = "(outside operators)"
"""Name of a region's own CPU time: Python and dispatch between operators."""

_NO_OPERATOR = "launched by no recorded operator"
_OUTSIDE = "launched outside every region"


@dataclass
class _Region:
    instances: int = 0
    cpu: int = 0
    inclusive_cpu: int = 0
    kernels: Counter[int] = field(default_factory=Counter)
    kernel_ns: Counter[int] = field(default_factory=Counter)
    copies: Counter[int] = field(default_factory=Counter)
    spans: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    intervals: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    inclusive_kernels: Counter[int] = field(default_factory=Counter)
    inclusive_ns: Counter[int] = field(default_factory=Counter)
    inclusive_copies: Counter[int] = field(default_factory=Counter)


class Attribution:
    """What one profiled session did, by region.

    Args:
        profiler: A stopped ``torch.profiler.profile``.
        trace: Its Chrome trace; launch geometry and what kind of thing an event is are found nowhere else.
        memory: Whether it recorded memory.
    """

    def __init__(self, profiler: Any, trace: bytes, *, memory: bool) -> None:
        self._events = [event for event in profiler.events() if _on_cpu(event)]
        self._trace = read_trace(trace)
        foreign = self._trace.calls | self._trace.overhead
        # Calls of the driver, and the profiler's own work during them, are numbered apart from operators.
        self._by_id = {event.id: event for event in self._events if event.name not in foreign}
        self._calls = {event.id: event for event in self._events if event.name in self._trace.calls}
        self._averages = profiler.key_averages()
        self._work = list(device_work(profiler))
        self._memory = memory
        self._regions: dict[str, _Region] = defaultdict(_Region)
        self._operators: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
        self._kernels: dict[tuple[str, int, str, str, str, str], list[int]] = defaultdict(list)
        self._chains: dict[int, tuple[Any, ...]] = {}
        self._outside: Counter[str] = Counter()

    def result(self) -> RegionsReport:
        """Return the attribution; ``limits`` are left to the driver."""
        cpu_outside = self._attribute_cpu()
        copies_outside = self._attribute_device()
        kernels = [work for work in self._work if work.kind == "kernel"]
        copies = [work for work in self._work if work.kind != "kernel"]
        return RegionsReport(
            profiler="torch.profiler",
            limits=(),
            regions=tuple(self._rows()),
            totals=RegionTotals(
                kernels=len(kernels),
                total_ns=sum(work.duration for work in kernels),
                outside_ns=sum(self._outside.values()),
                unattributed=dict(self._outside),
                copies_time=sum(work.duration for work in copies),
                copies_outside_time=copies_outside,
                cpu_time=sum(_self_ns(event) for event in self._events),
                cpu_outside_time=cpu_outside,
                profiler_device_time=self._profiler_device_time(),
                profiler_cpu_time=round(sum(one.self_cpu_time_total for one in self._averages) * 1000),
            ),
            operators=tuple(self._operator_rows()),
            kernels=tuple(self._kernel_rows()),
        )

    def _attribute_cpu(self) -> int:
        """Give every event's self time to its innermost region; return what is outside."""
        outside = 0
        for event in self._events:
            chain, own = self._chain(event), _self_ns(event)
            path = _path(chain[0]) if chain else ""
            is_region = event.name.startswith(PREFIX)
            if is_region:
                self._regions[path].instances += 1
            if chain:
                self._regions[path].cpu += own
                for ancestor in _distinct(chain):
                    self._regions[ancestor].inclusive_cpu += own
            else:
                outside += own
            row = self._operators[path, INSIDE if is_region else event.name]
            row[0] += 0 if is_region else 1
            row[1] += own
            if self._memory:
                row[3] += int(event.self_cpu_memory_usage)
                row[4] += int(event.self_device_memory_usage)
        return outside

    def _attribute_device(self) -> int:
        """Give every kernel, copy and set to the innermost region at its launch; return copies outside."""
        copies_outside = 0
        for work in self._work:
            operator = self._operator(work)
            chain = self._chain(operator) if operator is not None else ()
            path = _path(chain[0]) if chain else ""
            name = operator.name if operator is not None else _NO_OPERATOR
            self._operators[path, INSIDE if name.startswith(PREFIX) else name][2] += work.duration
            grid, block = self._trace.geometry.get(work.correlation, ("", ""))
            self._kernels[path, work.device, work.kind, work.name, grid, block].append(work.duration)
            if chain:
                self._place(work, chain)
            elif work.kind == "kernel":
                self._outside[_NO_OPERATOR if operator is None else _OUTSIDE] += work.duration
            else:
                copies_outside += work.duration
        return copies_outside

    def _operator(self, work: Work) -> Any:
        """Return the operator or range that launched something; the call of the driver where there is none."""
        found = self._by_id.get(work.operator)
        if found is not None:
            return found
        call = self._calls.get(work.correlation)  # what torch has merged into its parent is found from the launch
        event = call
        while event is not None and event.name in (self._trace.calls | self._trace.overhead):
            event = event.cpu_parent
        return call if event is None else event

    def _place(self, work: Work, chain: tuple[Any, ...]) -> None:
        own = self._regions[_path(chain[0])]
        if work.kind != "kernel":
            own.copies[work.device] += work.duration
            for path in _distinct(chain):
                self._regions[path].inclusive_copies[work.device] += work.duration
            return
        own.kernels[work.device] += 1
        own.kernel_ns[work.device] += work.duration
        end = work.start + work.duration
        for path in _distinct(chain):
            region = self._regions[path]
            region.inclusive_kernels[work.device] += 1
            region.inclusive_ns[work.device] += work.duration
            region.intervals[work.device].append((work.start, end))
        for event in chain:
            spans, key = self._regions[_path(event)].spans, (work.device, event.id)
            first, last = spans.get(key, (work.start, end))
            spans[key] = min(first, work.start), max(last, end)

    def _chain(self, event: Any) -> tuple[Any, ...]:
        """Return the ranges of regions around an event on its thread, itself included, innermost first."""
        steps: list[Any] = []
        known: tuple[Any, ...] = ()
        while event is not None:
            if id(event) in self._chains:
                known = self._chains[id(event)]
                break
            steps.append(event)
            event = event.cpu_parent
        for step in reversed(steps):
            known = (step, *known) if step.name.startswith(PREFIX) else known
            self._chains[id(step)] = known
        return known

    def _profiler_device_time(self) -> int:
        device = [one for one in self._averages if not _on_cpu(one) and not getattr(one, "is_user_annotation", False)]
        total: int = round(sum(one.self_device_time_total for one in device) * 1000)
        return total

    def _rows(self) -> Iterator[RegionRow]:
        devices = sorted({work.device for work in self._work})
        for path, region in self._regions.items():
            yield _row(path, region, None, devices)
        for path, region in self._regions.items():
            for device in devices:
                if region.inclusive_kernels[device] or region.inclusive_copies[device]:
                    yield _row(path, region, device, [device])

    def _operator_rows(self) -> list[OperatorRow]:
        rows = [
            OperatorRow(
                region=region,
                name=name,
                calls=calls,
                self_cpu_time=cpu,
                self_device_time=device,
                self_cpu_memory=cpu_memory,
                self_device_memory=device_memory,
            )
            for (region, name), (calls, cpu, device, cpu_memory, device_memory) in self._operators.items()
        ]
        return sorted(rows, key=lambda row: (-row.self_device_time, -row.self_cpu_time, row.region, row.name))

    def _kernel_rows(self) -> list[KernelRow]:
        names = ("region", "device", "kind", "name", "grid", "block")
        rows = [
            KernelRow.model_validate(
                {
                    **dict(zip(names, key, strict=True)),
                    "calls": len(times),
                    "total_ns": sum(times),
                    "shortest_ns": min(times),
                    "median_ns": median_low(times),
                }
            )
            for key, times in self._kernels.items()
        ]
        return sorted(rows, key=lambda row: (-row.total_ns, row.region, row.name))


def _row(path: str, region: _Region, device: int | None, devices: list[int]) -> RegionRow:
    def total(values: Counter[int]) -> int:
        return sum(values[one] for one in devices)

    return RegionRow(
        domain="perfkit",
        path=path,
        device=device,
        inclusive_ns=total(region.inclusive_ns),
        exclusive_ns=total(region.kernel_ns),
        inclusive_kernels=total(region.inclusive_kernels),
        exclusive_kernels=total(region.kernels),
        busy_ns=sum(_union(region.intervals[one]) for one in devices if one in region.intervals),
        span_ns=sum(last - first for (one, _), (first, last) in region.spans.items() if one in devices),
        instances=region.instances,
        inclusive_copies_time=total(region.inclusive_copies),
        exclusive_copies_time=total(region.copies),
        inclusive_cpu_time=0 if device is not None else region.inclusive_cpu,
        exclusive_cpu_time=0 if device is not None else region.cpu,
    )


def _union(intervals: Iterable[tuple[int, int]]) -> int:
    total, reached = 0, 0
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _path(event: Any) -> str:
    return str(event.name)[len(PREFIX) :]


def _distinct(chain: tuple[Any, ...]) -> set[str]:
    return {_path(event) for event in chain}


def _on_cpu(event: Any) -> bool:
    return bool(event.device_type.name == "CPU")


def _self_ns(event: Any) -> int:
    """Self CPU time as torch defines it, in whole nanoseconds: its floats are thousandths of a microsecond."""
    if event.is_async:
        return 0
    return _duration_ns(event) - sum(_duration_ns(child) for child in event.cpu_children)


def _duration_ns(event: Any) -> int:
    nanoseconds: int = round(event.cpu_time_total * 1000)
    return nanoseconds
