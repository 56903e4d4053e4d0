"""Backend ``torch``: operators and kernels by torch.profiler, attributed to regions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

from perfkit_core.backend import InstrumentContext, Machine, Pass, ProfilerBackend, RunContext
from perfkit_core.backends.torch_options import TorchOptions
from perfkit_core.backends.wall_clock import torch_problem
from perfkit_core.captures import write_capture
from perfkit_core.errors import ToolError
from perfkit_core.options import Options
from perfkit_core.regions import ALL
from perfkit_core.rundir import SESSION, read_record
from perfkit_core.schema.regions import RegionsReport
from perfkit_core.schema.session import Session
from perfkit_core.units import format_iterations

EVENTS = "attribution.json"


class TorchBackend(ProfilerBackend):
    """Profiles one run of the workload; its times include the profiler's own cost and are no latencies."""

    in_worker: ClassVar[bool] = True
    perturbs_timing: ClassVar[bool] = True

    def check(self, machine: Machine) -> Sequence[str]:
        """Return that torch is missing, if it is."""
        return torch_problem()

    def passes(self, context: RunContext) -> Iterable[Pass]:
        """Return one pass of one run, with few iterations of every loop: traces grow quickly."""
        return (Pass(repeats=1, iterations=_options(context.options).steps),)

    def instrument(self, context: InstrumentContext) -> AbstractContextManager[object]:
        """Profile the measured run."""
        return _profiled(context)

    def collect(self, context: RunContext) -> None:
        """Write ``regions.json``, ``regions.md``, ``operators.md``, ``kernels.md`` and ``kernels.parquet``.

        Raises:
            ToolError: The worker left no profile.
            DamagedFileError: Its file is damaged.
        """
        path = context.directory / EVENTS
        if not path.exists():
            raise ToolError("the profiler recorded nothing", fix=f"its log: {context.directory}")
        session = read_record(context.directory / SESSION, Session)
        report = read_record(path, RegionsReport).model_copy(update={"limits": tuple(_limits(context, session))})
        write_capture(context, report)


def _options(options: Options) -> TorchOptions:
    if not isinstance(options, TorchOptions):
        raise TypeError(f"expected TorchOptions, got {type(options).__name__}")
    return options


@contextmanager
def _profiled(context: InstrumentContext) -> Iterator[None]:
    from perfkit_core.instruments.torch_profiler import profiled

    memory = _options(context.options).memory
    with profiled(context.regions, context.directory, device=context.measure.device, memory=memory):
        yield


def _limits(context: RunContext, session: Session) -> Iterator[str]:
    # Another backend that turns to this one for a pass says how many itself.
    steps = context.step.iterations if context.measure.iterations is None else context.measure.iterations
    if steps != ALL:
        yield (
            f"One run was profiled, with {format_iterations(steps)} of every longer loop besides its warm-up; "
            "values are of the run as profiled, not scaled (--measure-steps N|all changes that)"
        )
    else:
        yield "One run was profiled, with every iteration of every loop"
    if session.device.gpu is None:
        yield "The run was on the CPU: there are no kernels, and times are self CPU time"
    if not session.complete:
        yield "The pass ended early"
    for path, reason in session.hidden.items():
        yield f"Nothing is visible inside {path}: {reason}"
