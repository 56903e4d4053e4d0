"""Backend ``wall_clock``: what a run takes, without any profiler."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from perfkit_core.backend import InstrumentContext, Machine, Pass, ProfilerBackend, RunContext
from perfkit_core.backends.wall_clock_options import WallClockOptions
from perfkit_core.errors import DamagedFileError, ToolError
from perfkit_core.files import write_atomically
from perfkit_core.options import Options
from perfkit_core.rundir import METRICS, SESSION, read_record
from perfkit_core.schema.session import RunSample, Session

OVERHEAD, SAMPLES = "overhead.json", "samples.jsonl"

_log = logging.getLogger(__name__)


class WallClockBackend(ProfilerBackend):
    """Times stages and steps with CUDA events on a GPU and with the host clock on a CPU."""

    in_worker: ClassVar[bool] = True
    perturbs_timing: ClassVar[bool] = False

    def check(self, machine: Machine) -> Sequence[str]:
        """Return that torch is missing, if it is."""
        return torch_problem()

    def passes(self, context: RunContext) -> Iterable[Pass]:
        """Return one pass whose measured runs are as bare as they can be; modules are timed in runs of their own."""
        return (Pass(detailed=_options(context.options).detailed),)

    def instrument(self, context: InstrumentContext) -> AbstractContextManager[object]:
        """Time every region; what a region itself costs is measured first."""
        return _timed(context)

    def collect(self, context: RunContext) -> None:
        """Write ``metrics.json``.

        Raises:
            ToolError: No measured run was finished.
            DamagedFileError: A file of the worker is damaged.
        """
        from perfkit_core.backends.metrics import metrics

        runs = _read_samples(context.directory / SAMPLES)
        if not any(not run.warmup for run in runs):
            raise ToolError("no measured run of the workload was finished", fix=f"its log: {context.directory}")
        found = metrics(
            runs,
            read_record(context.directory / SESSION, Session),
            context,
            source=context.directory.relative_to(context.writer.path).as_posix(),
            overhead=json.loads((context.directory / OVERHEAD).read_text(encoding="utf-8")),
        )
        for warning in found.warnings:
            _log.warning("%s", warning)
        context.writer.write_json(METRICS, found)


def torch_problem() -> Sequence[str]:
    """Return that torch is missing, if it is; torch is not imported."""
    from importlib.util import find_spec

    return () if find_spec("torch") else ("torch is not installed: pip install torch",)


def _options(options: Options) -> WallClockOptions:
    if not isinstance(options, WallClockOptions):
        raise TypeError(f"expected WallClockOptions, got {type(options).__name__}")
    return options


@contextmanager
def _timed(context: InstrumentContext) -> Iterator[None]:
    from perfkit_core.instruments.timing import TimingRecorder, region_overhead

    device = context.measure.device
    cost = region_overhead(lambda: TimingRecorder(device, None))
    write_atomically(context.directory / OVERHEAD, json.dumps(cost) + "\n")
    context.regions.add(TimingRecorder(device, context.directory / SAMPLES))
    yield


def _read_samples(path: Path) -> list[RunSample]:
    """Return the finished runs; a last line that was cut off is a run that was not finished."""
    if not path.exists():
        return []
    *lines, last = path.read_bytes().split(b"\n")
    if last:
        _log.warning("%s ends in the middle of a run, which is left out", path)
    try:
        return [RunSample.model_validate_json(line) for line in lines]
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise DamagedFileError(f"{path} is damaged: {problem}", fix="repeat the run") from None
