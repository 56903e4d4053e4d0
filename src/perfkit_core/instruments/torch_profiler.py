"""torch.profiler around the measured runs, with a range for every region. Runs in the worker."""

from __future__ import annotations

import errno
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perfkit_core.errors import ToolError
from perfkit_core.files import write_atomically
from perfkit_core.instruments.attribution import PREFIX, Attribution
from perfkit_core.regions import Iteration, Recorder, Regions

TRACE = "trace.json.gz"
EVENTS = "attribution.json"


class ProfilerRecorder(Recorder):
    """Starts the profiler with the first measured run and opens a range for every region.

    Args:
        profiler: A ``torch.profiler.profile`` that was not started.
    """

    def __init__(self, profiler: Any) -> None:
        from torch.profiler import record_function

        self._range = record_function
        self._profiler = profiler
        self._open = threading.local()
        self.started = False

    def begin(self, index: int, *, warmup: bool, detailed: bool) -> None:
        """Start the profiler, once."""
        if not warmup and not self.started:
            self.started = True
            self._profiler.start()

    def push(self, path: str, iteration: Iteration | None, *, named: bool) -> None:
        """Open a range."""
        if self.started:
            opened: Any = self._range(PREFIX + path)
            opened.__enter__()
            self._ranges().append(opened)

    def pop(self, path: str) -> None:
        """Close it."""
        if self._ranges():
            self._ranges().pop().__exit__(None, None, None)

    def _ranges(self) -> list[Any]:
        ranges: list[Any] | None = getattr(self._open, "ranges", None)
        if ranges is None:
            ranges = self._open.ranges = []
        return ranges


@contextmanager
def profiled(regions: Regions, directory: Path, *, device: str, memory: bool) -> Iterator[None]:
    """Profile the measured runs; leave the trace and the attribution in ``directory``, also after an error."""
    profiler = _profiler(device, memory=memory)
    recorder = ProfilerRecorder(profiler)
    regions.add(recorder)
    try:
        yield
    finally:
        if recorder.started:
            _stop(profiler, device)
            _write(profiler, directory, memory=memory)


def _profiler(device: str, *, memory: bool) -> Any:
    import torch
    from torch._C._profiler import _ExperimentalConfig
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device != "cpu" else [])
    if device != "cpu":
        torch.cuda.synchronize()
    # Without this the profiler sees the thread that started it and no other.
    everywhere = _ExperimentalConfig(profile_all_threads=True)
    return profile(activities=activities, profile_memory=memory, acc_events=True, experimental_config=everywhere)


def _stop(profiler: Any, device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()
    profiler.stop()


def _write(profiler: Any, directory: Path, *, memory: bool) -> None:
    """Write trace and attribution.

    Raises:
        ToolError: The trace cannot be written; what could be is kept.
    """
    plain = directory / "trace.json"
    try:
        try:
            profiler.export_chrome_trace(str(plain))
            text = plain.read_bytes()
            if not text.rstrip().endswith(b"}"):  # the profiler does not say when its file could not be written whole
                raise OSError(errno.ENOSPC, "it was cut off, as on a full disk")
            with gzip.open(directory / TRACE, "wb", compresslevel=6) as file:
                file.write(text)
        finally:
            plain.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        (directory / TRACE).unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ToolError(f"the trace of torch.profiler cannot be written: {reason}", fix="free some space") from None
    found = Attribution(profiler, text, memory=memory).result()
    write_atomically(directory / EVENTS, found.model_dump_json() + "\n")
