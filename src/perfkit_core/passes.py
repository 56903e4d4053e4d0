"""One backend's passes on the driver's side: a worker where one is needed, then collecting what it left."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace

from perfkit_core import rundir
from perfkit_core.backend import Pass, ProfilerBackend, RunContext
from perfkit_core.errors import INTERRUPTED as INTERRUPTED_CODE
from perfkit_core.errors import PLUGIN_FAULTS, PerfkitError, ToolError, message_of, one_line
from perfkit_core.launch import run_worker
from perfkit_core.options import Options
from perfkit_core.plan import Plan
from perfkit_core.rundir import RunWriter
from perfkit_core.schema.run import Environment, PassRecord, pass_name
from perfkit_core.schema.session import Session
from perfkit_core.schema.worker import MeasurePlan, WorkerPlan
from perfkit_core.specs import BackendSpec, DeviceSpec

INTERRUPTED = "interrupted by the user"
_RESERVE_SECONDS = 5.0
"""What a worker is left at least, of its time limit, to end by itself: one that is cut off fails."""

_log = logging.getLogger(__name__)


class BackendPasses:
    """The passes of one backend; a fault is recorded in the index, not raised.

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
        self._writer, self._plan, self._selector, self._spec = writer, plan, selector, spec
        subject = plan.subject
        self._notes: tuple[str, ...] = ()
        self._found: list[str] = []
        self._position = [record.backend for record in writer.index.passes].index(spec.name)
        self._context = RunContext(
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

    def run(self) -> None:
        """Make one pass after the other until one fails; each is asked for when the one before is collected.

        Raises:
            KeyboardInterrupt: The user ended it; what the pass has measured is collected.
        """
        self._enter("running")
        started = time.perf_counter()
        try:
            backend = self._spec.factory()
            steps = iter(backend.passes(self._context))
            step = next(steps, None)
            while step is not None:
                self._one(backend, step)
                following = next(steps, None)
                self._enter("done", started)
                step, started = following, time.perf_counter()
                if step is not None:
                    self._append()
        except KeyboardInterrupt:
            self._enter("failed", started, INTERRUPTED, INTERRUPTED_CODE)
            raise
        except PerfkitError as error:
            self._fail(started, message_of(error), error.exit_code)
        except PLUGIN_FAULTS as error:  # the trace is kept with the run
            self._writer.write_text(f"{self._directory}/traceback.txt", traceback.format_exc())
            self._fail(started, one_line(error), ToolError.exit_code)

    def _one(self, backend: ProfilerBackend, step: Pass) -> None:
        directory = self._writer.path / self._directory
        context = replace(self._context, step=step, directory=directory, notes=self._found)
        if not backend.in_worker:
            backend.collect(context)
            return
        try:
            self._worker(backend, context)
        except (PerfkitError, KeyboardInterrupt):
            self._salvage(backend, context)
            raise
        finally:
            self._keep(context)
        backend.collect(context)

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
            progress=lambda line: _log.info("%s: %s", self._spec.name, line),
            command=lambda argv: backend.command(argv, context),
            environ=lambda environ: backend.environment(environ, context),
            abort=lambda: backend.abort(context),
        )

    def _how(self, context: RunContext) -> MeasurePlan:
        step, measure = context.step, context.measure
        return MeasurePlan(
            backend=self._selector,
            options=context.options.model_dump(mode="json"),
            name=step.name,
            values=dict(step.values),
            device=measure.device,
            repeats=measure.repeats if step.repeats is None else step.repeats,
            warmup=measure.warmup if step.warmup is None else step.warmup,
            detailed=step.detailed,
            iterations=step.iterations if measure.iterations is None else measure.iterations,
            region_depth=measure.region_depth,
            deadline=None if measure.max_seconds is None else time.time() + _soft_limit(measure.max_seconds),
            seed=measure.seed,
        )

    def _salvage(self, backend: ProfilerBackend, context: RunContext) -> None:
        """Collect what a failed pass left; the error to report is why it failed, not that little is there."""
        try:
            backend.collect(context)
        except PLUGIN_FAULTS:  # a second one, caused by the first
            _log.debug("nothing could be collected from %s", context.directory, exc_info=True)

    def _keep(self, context: RunContext) -> None:
        """Enter the pass's files in the index, and what its worker saw in ``env.json`` and ``inputs.yaml``."""
        writer = self._writer
        writer.add_files(path for path in context.directory.rglob("*") if path.is_file())
        session = read_session(context)
        if session is None:
            return
        known = writer.records.get(rundir.ENVIRONMENT)
        if isinstance(known, Environment) and (known.device is None or session.complete):
            writer.write_json(rundir.ENVIRONMENT, known.model_copy(update={"device": session.device}))
        writer.write_yaml(rundir.INPUTS, {"seed": context.measure.seed, "inputs": list(session.inputs)})
        writer.update(device=session.device.device)
        self._notes = session.notes

    @property
    def _directory(self) -> str:
        return pass_name(self._position, self._spec.name)

    def _fail(self, started: float, error: str, code: int) -> None:
        _log.error("backend %s failed: %s", self._spec.name, error)
        self._enter("failed", started, error, code)

    def _append(self) -> None:
        """Make room in the index for one more pass of this backend."""
        passes = list(self._writer.index.passes)
        self._position += 1
        self._notes, self._found = (), []
        passes.insert(self._position, PassRecord(backend=self._spec.name, status="pending", seconds=0.0))
        self._writer.update(passes=tuple(passes))
        self._enter("running")

    def _enter(self, status: str, started: float | None = None, error: str = "", code: int = 0) -> None:
        seconds = 0.0 if started is None else round(time.perf_counter() - started, 6)
        folder = self._directory if (self._writer.path / self._directory).is_dir() else ""
        record = PassRecord.model_validate(
            {
                "backend": self._spec.name,
                "status": status,
                "seconds": seconds,
                "error": error,
                "exit_code": code,
                "directory": folder,
                "notes": (*self._notes, *self._found),
            }
        )
        passes = list(self._writer.index.passes)
        passes[self._position] = record
        self._writer.update(passes=tuple(passes))


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
