"""Which instances of regions a profiler of kernels records, told to it by the worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from perfkit_core.regions import Iteration, Recorder


class SampledRegions(Recorder):
    """Lets the profiler record while the innermost open region is one of the chosen instances, in measured runs.

    Args:
        instances: Numbers of the chosen instances by region, from 0; the empty path is what is outside every region.
    """

    def __init__(self, instances: Mapping[str, Sequence[int]]) -> None:
        self._instances = {path: frozenset(numbers) for path, numbers in instances.items()}
        self._seen: Counter[str] = Counter()
        self._open: list[bool] = []
        self._measured = self._recording = False

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """Look out for the instances, once the device is idle."""
        self._measured = not warmup
        self._seen.clear()
        self._open = ["" in self._instances]
        self._switch()

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Begin to record, if it is a chosen instance."""
        self._open.append(self._seen[path] in self._instances.get(path, ()))
        self._seen[path] += 1
        self._switch()

    def pop(self, path: str) -> None:
        """Go on with what is around it."""
        self._open.pop()
        self._switch()

    def end(self, *, finished: bool) -> None:
        """Record nothing after the run."""
        self._measured = False
        self._switch()

    def _switch(self) -> None:
        wanted = self._measured and self._open[-1]
        if wanted == self._recording:
            return
        import torch

        self._recording = wanted
        if wanted:
            torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
        else:
            torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]
