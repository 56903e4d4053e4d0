"""``perfkit exec``: a program of the user's under a profiler that wraps it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import perfkit_core
from perfkit_core import driver, rundir
from perfkit_core.backend import Machine, MeasureOptions, Pass, PassContext, ProfilerBackend, WrappingBackend
from perfkit_core.choosing import checked_backend
from perfkit_core.emitted import collect_emitted
from perfkit_core.environment import environment
from perfkit_core.errors import MissingError, PerfkitError, ToolError, UsageError
from perfkit_core.files import private_directory
from perfkit_core.interrupts import hasty, one_interrupt, shielded
from perfkit_core.marking import MARK
from perfkit_core.options import Options
from perfkit_core.pass_loop import FAULTS_OR_IMPATIENCE, Maker, PassLoop
from perfkit_core.programs import Console, NotStartedError, check_program, run_program
from perfkit_core.rundir import Run, RunWriter
from perfkit_core.schema.run import PassRecord, PluginRecord, RunIndex
from perfkit_core.settings import Settings
from perfkit_core.specs import BackendSpec, DeviceSpec

KEEP = "keep_env"
"""Parameter of a backend that names environment variables to pass on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to measure, and with what.

    Attributes:
        argv: Command line of the program.
        spec: The backend.
        backend: The backend itself, which was checked.
        options: Validated options of the backend.
        machine: Where it runs.
    """

    argv: tuple[str, ...]
    spec: BackendSpec
    backend: WrappingBackend
    options: Options
    machine: Machine


def prepare(argv: Sequence[str], spec: BackendSpec, distribution: str, options: Options, here: Machine) -> Program:
    """Check that the backend can measure the program.

    Raises:
        UsageError: There is no command, or the backend measures workloads of models alone.
        MissingError: The program is not there or cannot be executed, or the machine lacks what the backend needs.
        ToolError: The backend itself is at fault.
    """
    if not argv:
        raise UsageError("no command is given", fix="perfkit exec --backend NAME -- COMMAND ARGUMENTS...")
    backend, problems = checked_backend(spec, distribution, here)
    if not isinstance(backend, WrappingBackend):
        raise UsageError(
            f"backend {spec.name!r} works inside perfkit's own worker and cannot measure a program",
            fix="perfkit run --backend takes it; perfkit exec takes profilers that wrap a program, such as nsys",
        )
    if problems:
        raise MissingError(f"backend {spec.name!r} cannot run here: {problems[0]}", fix="perfkit doctor")
    check_program(argv[0])
    return Program(argv=tuple(argv), spec=spec, backend=backend, options=options, machine=here)


@one_interrupt()
def execute(
    program: Program,
    settings: Settings,
    plugins: Sequence[PluginRecord],
    devices: Sequence[DeviceSpec],
    console: Console | None = None,
) -> Run:
    """Run the program under the backend and write what was recorded.

    A failure is recorded in the index, with what could be collected.

    Args:
        program: What ``prepare`` returned.
        settings: Run directory, templates and time limit.
        plugins: The active plugins, for the index.
        devices: Known GPUs.
        console: What the program reads, and where its output is shown besides being kept.

    Raises:
        UsageError: The run directory cannot be created.
        MissingError: A file cannot be written.
        KeyboardInterrupt: The user ended it; what was recorded is collected.
    """
    writer = rundir.create_run(settings.out, _index(program, plugins))
    distributions = sorted({plugin.distribution for plugin in plugins})
    writer.write_json(rundir.ENVIRONMENT, environment(distributions, git=True, variables=os.environ))
    try:
        _ProgramPasses(program, _context(program, writer, settings, devices), console).run()
    except KeyboardInterrupt:
        driver.close_interrupted(writer, settings)
        raise
    _finish(writer, settings)
    return writer.run()


class _ProgramPasses(PassLoop[PassContext]):
    """The passes of a backend that wraps a program; each runs the program once.

    Args:
        program: What to measure, and with what.
        context: What every pass is given.
        console: What the program reads, and where its output is shown.
    """

    def __init__(self, program: Program, context: PassContext, console: Console | None) -> None:
        super().__init__(context, Maker(spec=program.spec, selector=program.spec.name, options=program.options), 0)
        self._program, self._console = program, console

    def built(self) -> WrappingBackend:
        """Return the backend, which was checked."""
        return self._program.backend

    def steps(self, backend: ProfilerBackend) -> Iterable[Pass]:
        """Return the passes that the backend wants for a program."""
        return _wrapping(backend).passes(self.context)

    def execute(self, backend: ProfilerBackend, context: PassContext) -> None:
        """Run the program and capture; where the program failed, that is the error, whatever was captured.

        Raises:
            ToolError: The program failed, or the backend did.
            MissingError: The program cannot be started.
        """
        wrapping, program = _wrapping(backend), self._program
        context.directory.mkdir(parents=True, exist_ok=True)
        context = replace(context, directory=context.directory.resolve())
        marks = {MARK: str(context.directory)} if wrapping.reads_nvtx else {}
        environ: Mapping[str, str] = {**wrapping.environment(dict(os.environ), context), **marks}
        context.notes.extend(_withheld(program, environ))
        try:
            with private_directory(context.scratch):
                self._run(wrapping, environ, context)
        finally:
            context.writer.add_files(path for path in context.directory.rglob("*") if path.is_file())

    def _run(self, wrapping: WrappingBackend, environ: Mapping[str, str], context: PassContext) -> None:
        program = self._program
        try:
            status = self._status(wrapping, environ, context)
            context.notes.extend(collect_emitted(context.directory))
            if status:
                raise ToolError(
                    f"{program.argv[0]} ended with {_described(status)}", fix=f"its log: {context.directory}"
                )
        except (PerfkitError, KeyboardInterrupt):
            _salvage(wrapping, context)
            raise
        else:
            wrapping.capture(context)

    def _status(self, wrapping: WrappingBackend, environ: Mapping[str, str], context: PassContext) -> int:
        """Return the program's exit status; a tool that ends before it starts the program gets a second chance.

        On a busy machine the parts of a profiler may not reach each other in time; nothing of the program has run then.
        """

        def run() -> int:
            return run_program(
                self._program.argv,
                lambda argv: wrapping.command(argv, context),
                environ,
                context.directory,
                timeout=context.measure.max_seconds,
                console=self._console,
                abort=lambda: wrapping.abort(context),
            )

        try:
            return run()
        except NotStartedError as error:
            context.notes.append(f"{error.message}; it was tried once more")
            wrapping.abort(context)
            return run()


def _wrapping(backend: ProfilerBackend) -> WrappingBackend:
    if not isinstance(backend, WrappingBackend):
        raise ToolError(f"{type(backend).__name__} cannot wrap a program", fix="report it to the backend's author")
    return backend


def _withheld(program: Program, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the names of variables that the program does not get, and how to pass them on; never a value."""
    names = sorted(name for name in os.environ if name not in environ)
    if names:
        listed = ",".join(names)
        option = f"; --set keep_env={listed} passes them on" if KEEP in program.spec.options.model_fields else ""
        yield f"The program did not get these environment variables, which the profiler may store: {listed}{option}"


def _salvage(backend: WrappingBackend, context: PassContext) -> None:
    with shielded():
        try:
            with hasty():
                context.notes.extend(collect_emitted(context.directory))
                backend.capture(context)
        except FAULTS_OR_IMPATIENCE:  # a second fault, caused by the first, or the user does not wait
            _log.debug("nothing could be collected from %s", context.directory, exc_info=True)


def _described(status: int) -> str:
    """Return how a process ended; a wrapper passes a signal on as 128 and its number."""
    number = -status if status < 0 else status - 128
    try:
        return f"signal {signal.Signals(number).name}" if number > 0 else f"exit status {status}"
    except ValueError:
        return f"exit status {status}"


def _index(program: Program, plugins: Sequence[PluginRecord]) -> RunIndex:
    return RunIndex(
        perfkit_version=perfkit_core.__version__,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status="running",
        kind="command",
        model="",
        variant="",
        workload="",
        command=program.argv,
        plugins=tuple(plugins),
        settings_origins={},
        totals=None,
        stages=(),
        device=program.machine.device,
        passes=(PassRecord(backend=program.spec.name, status="pending", seconds=0.0),),
        files=(),
    )


def _context(program: Program, writer: RunWriter, settings: Settings, devices: Sequence[DeviceSpec]) -> PassContext:
    minutes = settings.max_minutes
    measure = MeasureOptions(device=program.machine.device)
    return PassContext(
        options=program.options,
        writer=writer,
        measure=replace(measure, max_seconds=None if minutes is None else 60 * minutes),
        devices=devices,
    )


def _finish(writer: RunWriter, settings: Settings) -> None:
    passes = writer.index.passes
    failures = [
        driver.Failure(f"backend {done.backend}: {done.error}", done.exit_code) for done in passes if done.error
    ]
    failures += driver.write_reports(writer, settings)
    codes = {failure.exit_code for failure in failures}
    writer.update(
        status="done" if not failures else "failed" if rundir.REGIONS not in writer.run().index.files else "partial",
        error="; ".join(failure.text for failure in failures),
        exit_code=0 if not codes else codes.pop() if len(codes) == 1 else ToolError.exit_code,
    )
