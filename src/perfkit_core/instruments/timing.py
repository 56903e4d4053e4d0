"""The recorder behind ``wall_clock``: host clock on the CPU, CUDA events and memory on a GPU; for the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfkit_core.nvml import GpuMonitor
from perfkit_core.regions import Iteration, Recorder
from perfkit_core.schema.session import MemorySample, RegionSample, RunSample


class _Open:
    """One instance of a region."""

    __slots__ = ("begin", "end", "finish", "iteration", "named", "parent", "path", "start")

    def __init__(self, path: str, parent: int, iteration: Iteration | None, named: bool, begin: Any) -> None:
        self.path, self.parent, self.iteration, self.named = path, parent, iteration, named
        self.begin, self.end = begin, None
        self.finish = 0
        self.start = time.perf_counter_ns()


class TimingRecorder(Recorder):
    """Times every region instance and writes one line per run, as soon as the run is over.

    Args:
        device: ``cpu`` or ``cuda:N``.
        path: File to append runs to; None keeps nothing.
    """

    def __init__(self, device: str, path: Path | None) -> None:
        self._path = path
        self._cuda: Any = None
        if device != "cpu":
            import torch

            self._cuda = torch.cuda
        self._monitor = GpuMonitor(str(self._cuda.get_device_properties(device).uuid)) if self._cuda else None
        self._instances: list[_Open] = []
        self._memory: dict[str, MemorySample] = {}
        self._before = 0
        self._stack = threading.local()
        self._lock = threading.Lock()
        self._run, self._warmup, self._started = 0, False, 0
        self._energy: int | None = None

    def begin(self, index: int, *, warmup: bool) -> None:
        """Wait for the device, forget the last run and start the clock."""
        self._instances, self._memory = [], {}
        self._stack = threading.local()
        self._run, self._warmup = index, warmup
        self._energy = self._monitor.energy_mj() if self._monitor else None
        self._synchronise()
        self._started = time.perf_counter_ns()

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Note when a region opens, on the host and in the device's queue."""
        stack = self._positions()
        if not stack and self._cuda:
            self._before = self._cuda.memory_allocated()
            self._cuda.reset_peak_memory_stats()
        opened = _Open(path, stack[-1] if stack else -1, iteration, named, self._event())
        with self._lock:
            stack.append(len(self._instances))
            self._instances.append(opened)

    def pop(self, path: str) -> None:
        """Note when it closes."""
        stack = self._positions()
        instance = self._instances[stack.pop()]
        instance.end, instance.finish = self._event(), time.perf_counter_ns()
        if not stack and self._cuda:
            self._note_memory(path)

    def end(self, *, finished: bool) -> None:
        """Wait for the device and write the run; one that an error ended is no measurement."""
        if self._path is None or not finished:
            return
        self._synchronise()
        wall = time.perf_counter_ns() - self._started
        used = self._monitor.energy_mj() if self._monitor else None
        sample = RunSample(
            index=self._run,
            warmup=self._warmup,
            wall_ns=wall,
            energy_mj=None if used is None or self._energy is None else used - self._energy,
            memory=self._memory,
            regions=tuple(_sample(instance) for instance in self._instances),
        )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(sample.model_dump_json() + "\n")

    def _note_memory(self, stage: str) -> None:
        now = (self._before, self._cuda.max_memory_allocated(), self._cuda.max_memory_reserved())
        last = self._memory.get(stage)
        if last is not None:
            now = tuple(map(max, now, (last.start_bytes, last.allocated_bytes, last.reserved_bytes)))
        start, allocated, reserved = now
        self._memory[stage] = MemorySample(start_bytes=start, allocated_bytes=allocated, reserved_bytes=reserved)

    def _event(self) -> Any:
        if not self._cuda:
            return None
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def _synchronise(self) -> None:
        if self._cuda:
            self._cuda.synchronize()

    def _positions(self) -> list[int]:
        stack: list[int] | None = getattr(self._stack, "positions", None)
        if stack is None:
            stack = self._stack.positions = []
        return stack


def _sample(instance: _Open) -> RegionSample:
    step = instance.iteration
    device = None if instance.begin is None else round(instance.begin.elapsed_time(instance.end) * 1_000_000)
    sample = RegionSample(
        path=instance.path,
        parent=instance.parent,
        host_ns=instance.finish - instance.start,
        device_ns=device,
        named=instance.named,
    )
    if step is None:
        return sample
    return sample.model_copy(
        update={"index": step.index, "total": step.total, "warmup": step.warmup, "measured": step.measured}
    )


def region_overhead_ns(make: Callable[[], Recorder], rounds: int = 2000) -> float:
    """Return what one region costs the launching thread, in nanoseconds: the median of five rounds of empty regions."""
    from perfkit_core.regions import Regions

    regions = Regions((make(),))
    found = []
    for index in range(5):
        regions.begin(index, warmup=True)
        started = time.perf_counter_ns()
        for _ in range(rounds // 5):
            regions.push("overhead")
            regions.pop()
        found.append((time.perf_counter_ns() - started) / (rounds // 5))
        regions.end()
    return sorted(found)[2]
