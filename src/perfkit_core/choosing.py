"""Which backends take part in a run, whether they can, and how they execute the workload."""

from __future__ import annotations

from perfkit_core.backend import Machine, MeasureOptions, ProfilerBackend
from perfkit_core.errors import PLUGIN_FAULTS, MissingError, PerfkitError, ToolError, one_line
from perfkit_core.machine import CPU
from perfkit_core.settings import Settings
from perfkit_core.specs import BackendSpec, WorkloadSpec

MEASURING = "wall_clock"
"""The backend that measures by default where there is a CUDA device."""


def choose_backends(
    settings: Settings, here: Machine, workload: WorkloadSpec
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the backends to use and, where none was named, why these."""
    if settings.backends:
        return settings.backends, ()
    if here.device == CPU:
        return (), (f"Nothing was executed: no CUDA device was found; --backend {MEASURING} measures on the CPU",)
    if workload.build is None:
        return (), (f"Nothing was executed: workload {workload.name} cannot be run, its plugin gives no build",)
    return (MEASURING,), ()


def checked_backend(spec: BackendSpec, distribution: str, here: Machine) -> tuple[ProfilerBackend, list[str]]:
    """Build a backend and return it with what it misses on this machine.

    Args:
        spec: The backend.
        distribution: Where it comes from, for errors.
        here: This machine.

    Raises:
        ToolError: The backend cannot be built or checked, or returns something else than it must.
    """
    owner, fix = f"backend {spec.name!r} of {distribution}", "report it to its author; --debug shows where"
    doing = "its factory"
    try:
        backend: object = spec.factory()
        if not isinstance(backend, ProfilerBackend):
            raise ToolError(f"{owner}: its factory returned {type(backend).__name__}, not a ProfilerBackend", fix=fix)
        doing = "its check"
        problems: object = backend.check(here)
    except PerfkitError:
        raise
    except PLUGIN_FAULTS as error:
        raise ToolError(f"{owner}: {doing} failed: {one_line(error)}", fix=fix) from error
    if not isinstance(problems, list | tuple) or not all(isinstance(line, str) for line in problems):
        raise ToolError(f"{owner}: its check returned {problems!r:.60}, not a list of lines", fix=fix)
    return backend, list(problems)


def check_backend(spec: BackendSpec, distribution: str, here: Machine, workload: WorkloadSpec) -> None:
    """Refuse a backend that this machine or the workload cannot serve.

    Raises:
        MissingError: With what is missing.
        ToolError: The backend itself is at fault.
    """
    backend, problems = checked_backend(spec, distribution, here)
    if problems:
        raise MissingError(f"backend {spec.name!r} cannot run here: {problems[0]}", fix="perfkit doctor")
    if backend.in_worker and workload.build is None:
        raise MissingError(
            f"backend {spec.name!r} cannot run workload {workload.name!r} of model {workload.model!r}: "
            "its plugin gives no build",
            fix="--backend analytic",
        )


def measure_options(settings: Settings, here: Machine) -> MeasureOptions:
    """Return how measuring passes execute the workload."""
    return MeasureOptions(
        device=here.device,
        repeats=settings.repeats,
        warmup=settings.warmup,
        iterations=0 if settings.measure_steps == "all" else settings.measure_steps,
        region_depth=settings.region_depth,
        max_seconds=None if settings.max_minutes is None else 60 * settings.max_minutes,
        seed=settings.seed,
    )
