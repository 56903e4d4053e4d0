"""Where the measured run begins and ends, told to a profiler that waits for it; runs in the worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from perfkit_core.backend import InstrumentContext
from perfkit_core.regions import Recorder


@contextmanager
def measured_run(context: InstrumentContext) -> Iterator[None]:
    """Tell a profiler of the GPU where the measured run begins and ends, so that loading and warm-up are left out."""
    if context.measure.device != "cpu":
        context.regions.add(ProfilerRange())
    yield


@contextmanager
def sampled(context: InstrumentContext, instances: Mapping[str, Sequence[int]]) -> Iterator[None]:
    """Tell it which instances of regions to record; see ``SampledRegions``."""
    from perfkit_nsight.sampled_regions import SampledRegions

    context.regions.add(SampledRegions(instances))
    yield


class ProfilerRange(Recorder):
    """Calls ``cudaProfilerStart`` before every measured run and ``cudaProfilerStop`` after it."""

    def __init__(self) -> None:
        self._warmup = True

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """Let the profiler record, once the device is idle."""
        import torch

        self._warmup = warmup
        if not warmup:
            torch.cuda.synchronize()
            torch.cuda.profiler.start()  # type: ignore[no-untyped-call]

    def end(self, *, finished: bool) -> None:
        """Let it stop, once the run's work is done."""
        import torch

        if not self._warmup:
            torch.cuda.synchronize()
            torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]
