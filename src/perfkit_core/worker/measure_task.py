"""The measure task: build the real modules and run the workload under one backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from perfkit_core.backend import InstrumentContext, MeasureOptions, Pass
from perfkit_core.errors import MissingError, PerfkitError, ToolError
from perfkit_core.files import write_atomically
from perfkit_core.instruments.nvtx_ranges import NvtxRecorder
from perfkit_core.options import build_options
from perfkit_core.plan import Subject, resolve_subject
from perfkit_core.regions import Regions, activated
from perfkit_core.registry import registry
from perfkit_core.rundir import SESSION
from perfkit_core.schema.session import Session
from perfkit_core.schema.worker import MeasurePlan, WorkerPlan
from perfkit_core.settings import Settings
from perfkit_core.worker.device import check_device, describe, monitor
from perfkit_core.worker.schedule import schedule
from perfkit_core.workload import BuildContext, Workload

Progress = Callable[[str], None]


def measure(plan: WorkerPlan, progress: Progress) -> None:
    """Run the workload as ``plan.measure`` says and write ``session.json`` into ``plan.out``.

    Raises:
        PerfkitError: A name, library, device or checkpoint is missing or does not fit.
        ToolError: The device ran out of memory.
    """
    how = plan.measure
    if how is None:
        raise ToolError("the worker's plan says nothing about how to measure", fix="repeat the run")
    spec = registry().backend(how.backend)
    regions = Regions(depth=how.region_depth, iterations=how.iterations)
    context = InstrumentContext(
        regions=regions,
        measure=_options(how),
        step=Pass(name=how.name, values=how.values),
        options=build_options(spec.options, how.options, owner=f"backend {spec.name!r}"),
        directory=Path(plan.out),
    )
    check_device(how.device)
    backend = spec.factory()
    if backend.reads_nvtx:
        regions.add(NvtxRecorder(context.directory))
    log = _SessionLog(context, describe(how.device))
    with _memory_errors(how.device, regions), _workload(plan, how, log, progress) as workload:
        log.update(units=dict(workload.units()), inputs=tuple(dict(one) for one in workload.inputs()))
        with activated(regions), backend.instrument(context):
            log.update(notes=_run(workload, context, how, log, progress))
        log.finish()
        if not backend.perturbs_timing:  # a profiler around the process would see it, and saving once is enough
            regions.close()
            workload.save(context.directory)


def _options(how: MeasurePlan) -> MeasureOptions:
    return MeasureOptions(
        device=how.device,
        repeats=how.repeats,
        warmup=how.warmup,
        iterations=how.iterations,
        region_depth=how.region_depth,
        seed=how.seed,
    )


@contextmanager
def _workload(plan: WorkerPlan, how: MeasurePlan, log: _SessionLog, progress: Progress) -> Iterator[Workload]:
    import torch

    subject = _subject(plan, how)
    if subject.workload.build is None:
        raise MissingError(
            f"workload {plan.workload!r} of model {plan.model!r} cannot be run: its plugin gives no build",
            fix="--backend analytic",
        )
    torch.manual_seed(how.seed)
    progress(f"building {plan.model} {plan.variant} on {how.device}")
    components = subject.model.load(subject.request)
    if how.device != "cpu":
        log.update(loaded_bytes=torch.cuda.memory_allocated(how.device))
    workload = subject.workload.build(
        BuildContext(
            request=subject.request,
            options=subject.workload_options,
            components=components,
            device=how.device,
            seed=how.seed,
        )
    )
    try:
        with torch.inference_mode():
            workload.prepare()
            yield workload
    finally:
        workload.close()


def _subject(plan: WorkerPlan, how: MeasurePlan) -> Subject:
    settings = Settings(
        model=plan.model,
        variant=plan.variant,
        workload=plan.workload,
        checkpoint=Path(plan.checkpoint) if plan.checkpoint else None,
    )
    subject = resolve_subject(settings, plan.parameters, registry())
    return replace(subject, request=replace(subject.request, device=how.device, seed=how.seed))


def _run(
    workload: Workload, context: InstrumentContext, plan: MeasurePlan, log: _SessionLog, progress: Progress
) -> tuple[str, ...]:
    """Make the scheduled runs; return notes. Runs that would not end in time are left out."""
    longest = 0.0
    for index, run in enumerate(schedule(plan)):
        started = time.monotonic()
        late = plan.deadline is not None and time.time() + longest > plan.deadline
        if late and index > plan.warmup:
            return (run.left_out,)
        context.regions.begin(index, warmup=run.is_warmup, detailed=run.detailed)
        finished = False
        try:
            workload.step(context.regions)
            finished = True
        finally:
            context.regions.end(finished=finished)
        longest = max(longest, time.monotonic() - started)
        progress(f"{run.kind} {run.number} of {run.of}: {time.monotonic() - started:.3g} s")
        log.update(runs=min(max(0, index + 1 - plan.warmup), plan.repeats))
    return ()


class _SessionLog:
    """Keeps ``session.json`` up to date."""

    def __init__(self, context: InstrumentContext, device: object) -> None:
        self._context = context
        self._path = context.directory / SESSION
        self._session = Session.model_validate({"device": device})
        self.update()

    def update(self, **changes: object) -> None:
        changes.setdefault("hidden", dict(self._context.regions.hidden))
        self._session = self._session.model_copy(update=changes)
        write_atomically(self._path, self._session.model_dump_json(indent=1) + "\n")

    def finish(self) -> None:
        device = self._session.device
        watched = monitor(device.device)
        if device.gpu is not None and watched is not None:
            gpu = device.gpu.model_copy(update={"after": watched.state()})
            device = device.model_copy(update={"gpu": gpu})
        self.update(device=device, complete=True)


@contextmanager
def _memory_errors(device: str, regions: Regions) -> Iterator[None]:
    """Turn every way of running out of memory into one clear error."""
    try:
        yield
    except PerfkitError:
        raise
    except (MemoryError, RuntimeError) as error:
        text = " ".join(str(error).split())
        exhausted = type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError)
        if not exhausted and "can't allocate memory" not in text:
            raise
        where = f" in {regions.failed_in}" if regions.failed_in else " while building the model and its inputs"
        raise ToolError(
            f"out of memory on {device}{where}: {text:.300}",
            fix="a smaller workload, a smaller element type, or placement options of the model (--set)",
        ) from error
