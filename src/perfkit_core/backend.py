"""The interface of profiler backends: one for profilers inside the worker and for those that wrap its command."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from perfkit_core.costtree import CostTree
from perfkit_core.errors import PerfkitError
from perfkit_core.options import Options
from perfkit_core.specs import AnalyticSpec, DeviceSpec, ModelRequest, ModelSpec, WorkloadSpec

if TYPE_CHECKING:
    from perfkit_core.regions import Regions
    from perfkit_core.rundir import RunWriter


SCRATCH = ".scratch"
"""Private directory in that of a pass; removed when the process has ended, however it did."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as the driver's files or library describe it.

    Attributes:
        index: Number in ``cuda:N``.
        name: Name that the driver reports.
    """

    index: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a backend may look at before anything runs; found without torch.

    Attributes:
        device: Where the run would execute: ``cpu`` or ``cuda:N``.
        gpus: GPUs that this process may use.
        environ: Environment variables.
    """

    device: str
    gpus: Sequence[Gpu] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """How the workload is executed.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        repeats: Measured runs of the workload.
        warmup: Runs before them.
        iterations: Iterations of every loop to measure, 0 for all; None leaves it to each loop.
        region_depth: Levels of watched modules below the stage.
        max_seconds: Seconds after which a pass is ended: what is left to it of the backend's time; None waits.
        seed: Seed of weights and inputs.
    """

    device: str = "cpu"
    repeats: int = 3
    warmup: int = 1
    iterations: int | None = None
    region_depth: int = 2
    max_seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass of a backend; what is None is left to the user's settings.

    Attributes:
        name: What tells the passes of one backend apart; empty when there is one.
        backend: Another backend that makes this pass and has its results; empty for the one that asks.
        options: Options of that other backend; those not named are at their defaults.
        repeats: Measured runs.
        warmup: Runs before them.
        detailed: Runs after them that show modules and what is inside iterations, which the measured ones then do
            not; None shows everything in every run.
        iterations: Iterations of every loop to measure when the user does not say; 0 for all.
        region_depth: Levels of watched modules below the stage at least; None leaves it to the user's settings.
        values: The backend's own, plain values; ``command`` and ``instrument`` find them in their context.
    """

    name: str = ""
    backend: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    repeats: int | None = None
    warmup: int | None = None
    detailed: int | None = None
    iterations: int | None = None
    region_depth: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PassContext:
    """What a backend is given on the driver's side for one pass, whatever runs in it.

    Attributes:
        options: Validated options of the backend itself.
        writer: Where to write artifacts; paths are relative to the run directory.
        measure: Device, repeats and sampling of this run.
        step: The pass at hand.
        directory: Directory of that pass in the run directory; holds logs and what the process left.
        devices: All known GPUs and their peaks.
        notes: What the reader of the pass's results must know and the files it wrote do not say, one line each. The
            backend appends; ``run.json`` keeps them with the pass, also where it fails, and pages show them.
    """

    options: Options
    writer: RunWriter
    measure: MeasureOptions = MeasureOptions()
    step: Pass = Pass()
    directory: Path = Path()
    devices: Sequence[DeviceSpec] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the pass, by which ``run.json`` and pages give the source of a number."""
        return self.directory.resolve().relative_to(self.writer.path.resolve()).as_posix()

    @property
    def scratch(self) -> Path:
        """Directory for temporary files of a tool that nobody else may read; it goes once the pass is collected."""
        return self.directory.resolve() / SCRATCH


@dataclass(frozen=True, kw_only=True)
class RunContext(PassContext):
    """What a backend is given on the driver's side when a workload runs.

    Attributes:
        model: The model's spec.
        request: Variant, options and checkpoint.
        workload: The workload's spec.
        workload_options: Validated workload parameters.
        analytic: The model's analytic spec, or None when no plugin provides one.
        tree: The run's cost tree, which checking the inputs has built; None when building it failed.
    """

    model: ModelSpec
    request: ModelRequest
    workload: WorkloadSpec
    workload_options: Options
    analytic: AnalyticSpec | None
    tree: CostTree | None = None


@dataclass(frozen=True, kw_only=True)
class InstrumentContext:
    """What a backend is given in the worker.

    Attributes:
        regions: The run's regions; ``add`` a recorder to see them.
        measure: Device, repeats and sampling of this pass.
        step: The pass at hand.
        options: Validated options of the backend itself.
        directory: Directory of the pass, for artifacts.
    """

    regions: Regions
    measure: MeasureOptions
    step: Pass
    options: Options
    directory: Path


class ProfilerBackend(ABC):
    """One way to learn what a run costs.

    Attributes:
        in_worker: Whether its passes run the workload in a worker process. One that does not is only asked
            to ``collect``.
        perturbs_timing: Whether profiling slows the workload down, so that its times are no latencies.
        reads_nvtx: Whether the worker is to mark regions as NVTX push/pop ranges in domain ``perfkit``, one path
            segment each; how many it closed, by path, is left in the pass's ``nvtx.json``.
    """

    in_worker: ClassVar[bool] = False
    perturbs_timing: ClassVar[bool] = True
    reads_nvtx: ClassVar[bool] = False

    def check(self, machine: Machine) -> Sequence[str]:
        """Return what is missing on this machine, one line each; asked before a run and by ``perfkit doctor``."""
        return ()

    def passes(self, context: RunContext) -> Iterable[Pass]:
        """Return the passes to make; a generator is asked for the next one when the last was collected."""
        return (Pass(),)

    def command(self, argv: Sequence[str], context: PassContext) -> Sequence[str]:
        """Return the command line to start; a profiler that wraps processes puts itself in front of it."""
        return argv

    def environment(self, environ: Mapping[str, str], context: PassContext) -> Mapping[str, str]:
        """Return the environment of that command; a tool that stores it should be given no more than it needs."""
        return environ

    def instrument(self, context: InstrumentContext) -> AbstractContextManager[object]:
        """Return what to hold open, in the worker, around all runs of the workload, warm-up included.

        Recorders added to ``context.regions`` are told when each run begins and ends.
        """
        return nullcontext()

    def abort(self, context: PassContext) -> None:  # noqa: B027
        """Clean up after the process was ended by a timeout or Ctrl-C; its process group is gone by then."""

    def failed(self, error: PerfkitError, context: PassContext) -> PerfkitError | None:
        """Return the error to report for a pass that failed, after what it left was collected.

        Another one than ``error`` where the tool itself says what went wrong; None where the pass was an attempt and
        the next one takes its place, which ``context.notes`` should say.
        """
        return error

    @abstractmethod
    def collect(self, context: RunContext) -> None:
        """Read the pass's artifacts and write results through ``context.writer``.

        Also asked when a worker has failed: what was measured until then must not be lost.
        """


class WrappingBackend(ProfilerBackend):
    """A profiler that wraps a process, and so can measure any program: ``perfkit exec`` accepts it."""

    in_worker: ClassVar[bool] = True
    perturbs_timing: ClassVar[bool] = True
    reads_nvtx: ClassVar[bool] = True

    def passes(self, context: PassContext) -> Iterable[Pass]:
        """Return the passes to make; a program of the user's is run once in each."""
        return (Pass(),)

    def collect(self, context: RunContext) -> None:
        """Read the artifacts; a workload's are those of any other program."""
        self.capture(context)

    @abstractmethod
    def capture(self, context: PassContext) -> None:
        """Read what the tool left in ``context.directory`` and write results, regions by ``captures.write_capture``.

        What only this pass knows of them is appended to ``context.notes``.

        Where the process marked regions itself, ``nvtx.json`` or, of a program, ``nvtx-PID.json`` beside it says how
        many of each.
        """
