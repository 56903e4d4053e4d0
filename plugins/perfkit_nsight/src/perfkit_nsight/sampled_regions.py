"""Which instances of regions a profiler of kernels records, told to it by the worker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from perfkit_core.regions import Iteration, Recorder


class SampledRegions(Recorder):
    """Lets the profiler record while the innermost open region is one of the chosen instances, in measured runs.

    Every thread has its own open regions. The profiler records the whole process or nothing: it does while any thread
    is in a chosen instance, so that it may see more than was chosen, each launch in the region of its own thread.

    Args:
        instances: Numbers of the chosen instances by region, from 0, counted over all threads; the empty path is what
            is outside every region, on the thread that runs the workload.
    """

    def __init__(self, instances: Mapping[str, Sequence[int]]) -> None:
        self._instances = {path: frozenset(numbers) for path, numbers in instances.items()}
        self._lock = threading.Lock()
        self._forget()
        self._measured = self._recording = False

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """Look out for the instances, once the device is idle."""
        if not warmup:
            _synchronize()
        with self._lock:
            self._measured = not warmup
            self._forget()
            self._open[threading.get_ident()] = ["" in self._instances]
            self._switch()

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Begin to record, if it is a chosen instance."""
        with self._lock:
            chosen = self._seen[path] in self._instances.get(path, ())
            self._open.setdefault(threading.get_ident(), []).append(chosen)
            self._seen[path] += 1
            self._switch()

    def pop(self, path: str) -> None:
        """Go on with what is around it."""
        with self._lock:
            thread = threading.get_ident()
            opened = self._open.get(thread)
            if opened is None:  # it was opened in the run before
                return
            opened.pop()
            if not opened:  # the thread may end, and its number be another's
                del self._open[thread]
            self._switch()

    def end(self, *, finished: bool) -> None:
        """Record nothing after the run, once its work is done."""
        if self._measured:
            _synchronize()
        with self._lock:
            self._measured = False
            self._switch()

    def _forget(self) -> None:
        self._seen: Counter[str] = Counter()
        self._open: dict[int, list[bool]] = {}

    def _switch(self) -> None:
        wanted = self._measured and any(opened[-1] for opened in self._open.values())
        if wanted == self._recording:
            return
        import torch

        self._recording = wanted
        if wanted:
            torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
        else:
            torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]


def _synchronize() -> None:
    import torch

    torch.cuda.synchronize()
