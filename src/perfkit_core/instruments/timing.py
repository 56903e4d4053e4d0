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
        self._memory = StageMemory(self._cuda) if self._cuda else None
        self._instances: list[_Open] = []
        self._spare: list[Any] = []
        self._stack = threading.local()
        self._lock = threading.Lock()
        self._run, self._warmup, self._detailed, self._started = 0, False, False, 0
        self._energy: int | None = None

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """Wait for the device, forget the last run and start the clock."""
        if self._cuda:
            self._spare += [event for instance in self._instances for event in (instance.begin, instance.end) if event]
        self._instances = []
        self._stack = threading.local()
        self._run, self._warmup, self._detailed = index, warmup, detailed
        if self._memory:
            self._memory.forget()
        self._energy = self._monitor.energy_mj() if self._monitor else None
        self._synchronise()
        self._started = time.perf_counter_ns()

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Note when a region opens, on the host and in the device's queue."""
        stack = self._positions()
        if not stack and self._memory and named:
            self._memory.enter(path)
        if iteration is not None and iteration.is_warmup and iteration.index == 0:
            self._synchronise()  # else what is still queued hides, in the few iterations measured, waits for the host
        opened = _Open(path, stack[-1] if stack else -1, iteration, named, self._event())
        with self._lock:
            stack.append(len(self._instances))
            self._instances.append(opened)

    def pop(self, path: str) -> None:
        """Note when it closes."""
        stack = self._positions()
        instance = self._instances[stack.pop()]
        instance.end, instance.finish = self._event(), time.perf_counter_ns()
        if not stack and self._memory and instance.iteration is None:
            self._memory.leave()

    def end(self, *, finished: bool) -> None:
        """Wait for the device and write the run; one that an error ended is no measurement."""
        if self._memory:
            self._memory.leave()
        if self._path is None or not finished:
            return
        self._synchronise()
        wall = time.perf_counter_ns() - self._started
        used = self._monitor.energy_mj() if self._monitor else None
        sample = RunSample(
            index=self._run,
            warmup=self._warmup,
            detailed=self._detailed,
            wall_ns=wall,
            energy_mj=None if used is None or self._energy is None else used - self._energy,
            memory=self._memory.stages if self._memory else {},
            regions=tuple(_sample(instance) for instance in self._instances),
        )
        with self._path.open("a", encoding="utf-8") as file:
            file.write(sample.model_dump_json() + "\n")

    def _event(self) -> Any:
        """Return an event in the device's queue; making one takes longer than using it again."""
        if not self._cuda:
            return None
        event = self._spare.pop() if self._spare else self._cuda.Event(enable_timing=True)
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


class StageMemory:
    """Device memory per stage. Asking the allocator takes far longer than a region, so it is asked once per stage.

    A stage that is a loop lasts from its first iteration to the next stage, or to the end of the run.

    Args:
        cuda: ``torch.cuda``.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._stage, self._before = "", 0
        self.stages: dict[str, MemorySample] = {}
        """What was found so far, the largest where a stage came several times."""

    def forget(self) -> None:
        """Begin anew, for another run."""
        self._stage, self.stages = "", {}

    def enter(self, stage: str) -> None:
        """Begin a stage, unless it is the one that goes on."""
        if stage == self._stage:
            return
        self.leave()
        self._stage, self._before = stage, self._cuda.memory_allocated()
        self._cuda.reset_peak_memory_stats()

    def leave(self) -> None:
        """End the stage, if there is one."""
        if not self._stage:
            return
        now = (self._before, self._cuda.max_memory_allocated(), self._cuda.max_memory_reserved())
        last = self.stages.get(self._stage)
        if last is not None:
            now = tuple(map(max, now, (last.start_bytes, last.allocated_bytes, last.reserved_bytes)))
        start, allocated, reserved = now
        self.stages[self._stage] = MemorySample(start_bytes=start, allocated_bytes=allocated, reserved_bytes=reserved)
        self._stage = ""


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


def region_overhead(make: Callable[[], Recorder], rounds: int = 2000) -> dict[str, float]:
    """Return what empty regions cost the launching thread, the median of five rounds, in nanoseconds.

    Returns:
        ``region_ns``, of an iteration or of a region in a stage, and ``stage_ns``, of a stage, whose memory is asked
        for too.
    """
    return {
        "region_ns": _median(lambda: _regions_in_a_row(make(), rounds // 5, stages=False)),
        "stage_ns": _median(lambda: _regions_in_a_row(make(), rounds // 100, stages=True)),
    }


def _median(measure: Callable[[], float]) -> float:
    return sorted(measure() for _ in range(5))[2]


def _regions_in_a_row(recorder: Recorder, count: int, *, stages: bool) -> float:
    """Return nanoseconds per region; the first round of each recorder makes its events and is not counted."""
    from perfkit_core.regions import Regions

    regions, spent = Regions((recorder,)), 0
    iteration = None if stages else Iteration(index=0, total=count, warmup=0, measured=count)
    for index in range(2):
        regions.begin(index, warmup=True)
        started = time.perf_counter_ns()
        for _ in range(count):
            regions.push("overhead", iteration)
            regions.pop()
        spent = time.perf_counter_ns() - started
        regions.end()
    return spent / count
