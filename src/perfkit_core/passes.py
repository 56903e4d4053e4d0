"""One backend's passes on the driver's side: a worker where one is needed, then collecting what it left."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from perfkit_core import rundir
from perfkit_core.backend import Pass, ProfilerBackend, RunContext
from perfkit_core.environment import known_peaks
from perfkit_core.errors import PerfkitError
from perfkit_core.files import private_directory
from perfkit_core.interrupts import hasty, shielded
from perfkit_core.launch import run_worker
from perfkit_core.options import Options
from perfkit_core.pass_loop import FAULTS_OR_IMPATIENCE, Maker, PassLoop
from perfkit_core.plan import Plan
from perfkit_core.rundir import RunWriter
from perfkit_core.schema.run import Environment
from perfkit_core.schema.session import Session
from perfkit_core.schema.worker import MeasurePlan, WorkerPlan
from perfkit_core.specs import BackendSpec, DeviceSpec

_RESERVE_SECONDS = 5.0
"""What a worker is left at least, of its time limit, to end by itself: one that is cut off fails."""

_log = logging.getLogger(__name__)


class BackendPasses(PassLoop[RunContext]):
    """The passes of one backend of a run, with a worker where one is needed.

    Args:
        selector: How the user named the backend.
        devices: Known GPUs and their peaks.
    """

    def __init__(
        self,
        writer: RunWriter,
        plan: Plan,
        selector: str,
        spec: BackendSpec,
        options: Options,
        devices: Sequence[DeviceSpec],
    ) -> None:
        self._plan, subject = plan, plan.subject
        context = RunContext(
            model=subject.model,
            request=subject.request,
            workload=subject.workload,
            workload_options=subject.workload_options,
            analytic=subject.analytic,
            options=options,
            writer=writer,
            tree=plan.tree,
            measure=plan.measure,
            devices=devices,
        )
        waiting = ((one.backend, one.status) == (spec.name, "pending") for one in writer.index.passes)
        position = next(place for place, found in enumerate(waiting) if found)
        super().__init__(context, Maker(spec=spec, selector=selector, options=options), position)

    def steps(self, backend: ProfilerBackend) -> Iterable[Pass]:
        """Return the passes that the backend wants for this run."""
        return backend.passes(self.context)

    def execute(self, backend: ProfilerBackend, context: RunContext) -> None:
        """Run the workload in a worker where one is needed, and collect."""
        if not backend.in_worker:
            backend.collect(context)
            return
        try:
            with private_directory(context.scratch):
                try:
                    self._worker(backend, context)
                except (PerfkitError, KeyboardInterrupt):
                    self._salvage(backend, context)
                    raise
                backend.collect(context)
        finally:
            self._keep(context)

    def _worker(self, backend: ProfilerBackend, context: RunContext) -> None:
        plan, subject = self._plan, self._plan.subject
        limit = context.measure.max_seconds
        run_worker(
            WorkerPlan(
                task="measure",
                model=plan.settings.model or subject.model.name,
                variant=subject.request.variant,
                workload=subject.workload.name,
                parameters=subject.parameters(),
                checkpoint=str(subject.request.checkpoint) if subject.request.checkpoint else None,
                out=str(context.directory.resolve()),
                measure=self._how(context),
            ),
            context.directory.resolve(),
            timeout=limit,
            progress=lambda line: _log.info("%s: %s", self.maker.spec.name, line),
            command=lambda argv: backend.command(argv, context),
            environ=lambda environ: backend.environment(environ, context),
            abort=lambda: backend.abort(context),
        )

    def _how(self, context: RunContext) -> MeasurePlan:
        step, measure = context.step, context.measure
        return MeasurePlan(
            backend=self.maker.selector,
            options=context.options.model_dump(mode="json"),
            name=step.name,
            values=dict(step.values),
            device=measure.device,
            repeats=measure.repeats if step.repeats is None else step.repeats,
            warmup=measure.warmup if step.warmup is None else step.warmup,
            detailed=step.detailed,
            iterations=step.iterations if measure.iterations is None else measure.iterations,
            region_depth=max(measure.region_depth, step.region_depth or 0),
            deadline=None if measure.max_seconds is None else time.time() + _soft_limit(measure.max_seconds),
            seed=measure.seed,
        )

    def _salvage(self, backend: ProfilerBackend, context: RunContext) -> None:
        """Collect what a failed pass left; the error to report is why it failed, not that little is there."""
        with shielded():
            try:
                with hasty():
                    backend.collect(context)
            except FAULTS_OR_IMPATIENCE:  # a second one, caused by the first, or the user does not wait
                _log.debug("nothing could be collected from %s", context.directory, exc_info=True)

    def _keep(self, context: RunContext) -> None:
        """Enter the pass's files in the index, and what its worker saw in ``env.json`` and ``inputs.yaml``."""
        writer = self.context.writer
        writer.add_files(path for path in context.directory.rglob("*") if path.is_file())
        session = read_session(context)
        if session is None:
            return
        known, gpu = writer.records.get(rundir.ENVIRONMENT), session.device.gpu
        peaks = known_peaks(gpu.name, context.devices) if gpu else None
        if isinstance(known, Environment) and (known.device is None or session.complete):
            writer.write_json(rundir.ENVIRONMENT, known.model_copy(update={"device": session.device, "peaks": peaks}))
        writer.write_yaml(rundir.INPUTS, {"seed": context.measure.seed, "inputs": list(session.inputs)})
        writer.update(device=session.device.device)
        context.notes.extend(session.notes)


def _soft_limit(seconds: float) -> float:
    """Return the part of a time limit in which a worker may begin another run."""
    return seconds - min(seconds / 2, max(seconds / 10, _RESERVE_SECONDS))


def read_session(context: RunContext) -> Session | None:
    """Return what the worker of this pass recorded; None when it did not get that far.

    Raises:
        DamagedFileError: The record is damaged.
    """
    path = context.directory / rundir.SESSION
    return rundir.read_record(path, Session) if path.exists() else None
