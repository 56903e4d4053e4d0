"""Carries out a plan: passes, exporters and documents, with an index that says how far the run got."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import perfkit_core
from perfkit_core import rundir
from perfkit_core.assumptions import assumptions
from perfkit_core.environment import environment, worker_environment
from perfkit_core.errors import (
    INTERRUPTED,
    PLUGIN_FAULTS,
    MissingError,
    PerfkitError,
    ToolError,
    message_of,
    one_line,
)
from perfkit_core.interrupts import hasty, one_interrupt
from perfkit_core.options import Options
from perfkit_core.passes import BackendPasses
from perfkit_core.plan import Plan
from perfkit_core.rundir import Run, RunWriter
from perfkit_core.schema.analytic import AnalyticReport
from perfkit_core.schema.run import (
    PassRecord,
    PluginRecord,
    RunIndex,
    RunStage,
    RunStatus,
    RunTotals,
)
from perfkit_core.settings import Settings
from perfkit_core.specs import DeviceSpec, ExporterSpec

_log = logging.getLogger(__name__)


class Failure(NamedTuple):
    """Something that failed while the rest of the run went on.

    Attributes:
        text: What and why, in one line.
        exit_code: The exit code that goes with it.
    """

    text: str
    exit_code: int


@one_interrupt()
def run(plan: Plan, plugins: Sequence[PluginRecord], devices: Sequence[DeviceSpec] = ()) -> Run:
    """Carry out ``plan`` in a new run directory.

    A pass or exporter that fails is recorded in the index and leaves the others' results; the status
    of the returned run is then ``partial`` or ``failed``, and its ``exit_code`` that of everything that
    failed, or 4 when those differ.

    Args:
        plugins: The active plugins, for the index.
        devices: Known GPUs and their peaks.

    Raises:
        UsageError: The run directory cannot be created.
        MissingError: A file cannot be written.
    """
    writer = rundir.create_run(plan.settings.out, _first_index(plan, plugins))
    try:
        _write_inputs(writer, plan, plugins)
        for position in range(len(plan.backends)):
            run_backend(writer, plan, position, devices)
        writer.write_text(rundir.ASSUMPTIONS, assumptions(plan, writer.run()))
        failures = [
            Failure(f"backend {done.backend}: {done.error}", done.exit_code)
            for done in writer.index.passes
            if done.status == "failed"
        ]
        failures += write_reports(writer, plan.settings)
        for spec, options in plan.exporters:
            failures += _export(writer, spec, options)
        writer.update(
            status=_status(writer.index.passes, failures),
            error="; ".join(failure.text for failure in failures),
            exit_code=_exit_code(failures),
        )
    except KeyboardInterrupt:
        close_interrupted(writer, plan.settings)
        raise
    except BaseException as error:
        _record_fault(writer, error)
        raise
    return writer.run()


def _first_index(plan: Plan, plugins: Sequence[PluginRecord]) -> RunIndex:
    subject = plan.subject
    return RunIndex(
        perfkit_version=perfkit_core.__version__,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status="running",
        model=subject.model.name,
        variant=subject.request.variant,
        workload=subject.workload.name,
        plugins=tuple(plugins),
        settings_origins=dict(sorted(plan.origins.items())),
        totals=None,
        stages=(),
        notes=tuple(plan.notes),
        passes=tuple(PassRecord(backend=spec.name, status="pending", seconds=0.0) for spec, _ in plan.backends),
        files=(),
    )


def _write_inputs(writer: RunWriter, plan: Plan, plugins: Sequence[PluginRecord]) -> None:
    values = plan.settings.model_dump(mode="json", exclude={"out"}, exclude_none=True)
    writer.write_yaml(rundir.CONFIG, values)
    executed = len(plan.backends) > 1
    distributions = sorted({plugin.distribution for plugin in plugins})
    variables = worker_environment(plan.measure.device, os.environ) if executed else {}
    writer.write_json(rundir.ENVIRONMENT, environment(distributions, git=executed, variables=variables))


def run_backend(writer: RunWriter, plan: Plan, position: int, devices: Sequence[DeviceSpec]) -> None:
    """Make the passes of one backend of the plan; the index gets totals and stages when they are known."""
    spec, options = plan.backends[position]
    BackendPasses(writer, plan, plan.settings.backends[position], spec, options, devices).run()
    report = writer.records.get(rundir.ANALYTIC_REPORT)
    if isinstance(report, AnalyticReport) and writer.index.totals is None:
        writer.update(totals=_totals(report), stages=_stages(report))


def _totals(report: AnalyticReport) -> RunTotals:
    return RunTotals(**{name: getattr(report.totals, name) for name in RunTotals.model_fields})


def _stages(report: AnalyticReport) -> tuple[RunStage, ...]:
    return tuple(RunStage(**{name: getattr(stage, name) for name in RunStage.model_fields}) for stage in report.stages)


def _attempt(writer: RunWriter, what: str, traceback_file: str, work: Callable[[], None]) -> list[Failure]:
    """Do ``work`` and return why it failed, if it did."""
    try:
        work()
    except PerfkitError as error:
        failure = Failure(f"{what}: {message_of(error)}", error.exit_code)
    except PLUGIN_FAULTS as error:  # the trace is kept with the run
        writer.write_text(traceback_file, traceback.format_exc())
        failure = Failure(f"{what}: {one_line(error)}", ToolError.exit_code)
    else:
        return []
    _log.error("failed: %s", failure.text)
    return [failure]


def export(run: Run, spec: ExporterSpec, options: Options, *, output: Path | None = None) -> tuple[Path, ...]:
    """Write a finished run in another format; by default into its ``exports`` directory, and its index.

    Raises:
        PerfkitError: The exporter refused.
        MissingError: A file cannot be written.
        ToolError: The exporter failed, or names a file that it has not written.
    """
    path = run.path / "exports" / f"{spec.name}{spec.suffix}" if output is None else output
    try:
        files = _exported(spec, run, path, options)
    except PerfkitError:
        raise
    except PLUGIN_FAULTS as error:
        raise ToolError(
            f"exporter {spec.name!r} failed on {run.path}: {one_line(error)}", fix="repeat it with --debug"
        ) from error
    if output is None:
        writer = rundir.open_run(run.path)
        writer.add_files(files)
        writer.update()
    return files


def _export(writer: RunWriter, spec: ExporterSpec, options: Options) -> list[Failure]:
    def work() -> None:
        path = writer.path / "exports" / f"{spec.name}{spec.suffix}"
        writer.add_files(_exported(spec, writer.run(), path, options))

    return _attempt(writer, f"exporter {spec.name}", f"exports/{spec.name}-traceback.txt", work)


def _exported(spec: ExporterSpec, run: Run, path: Path, options: Options) -> tuple[Path, ...]:
    """Export to ``path`` and return the files that the exporter names, all of which exist."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        named: object = spec.export(run, path, options)
    except OSError as error:
        where = path if error.filename is None else error.filename
        raise MissingError(
            f"exporter {spec.name!r} cannot write {where}: {error.strerror or one_line(error)}",
            fix="check that the file can be written",
        ) from error
    entries = (named,) if isinstance(named, str | os.PathLike) else named
    if not isinstance(entries, Iterable):
        raise ToolError(
            f"exporter {spec.name!r} returned {type(named).__name__}, not the files it wrote",
            fix="report it to its author",
        )
    files = tuple(Path(entry) for entry in entries)
    for file in files:
        if not file.exists():
            raise ToolError(
                f"exporter {spec.name!r} names {file}, which it has not written", fix="report it to its author"
            )
    return files


def write_reports(writer: RunWriter, settings: Settings) -> list[Failure]:
    """Render ``analytic/summary.md``, ``report.md`` and ``stakeholder_summary.md`` from what the run holds.

    Returns why that failed, if it did.
    """

    def work() -> None:
        from perfkit_core.report import STAKEHOLDER, SUMMARY, render

        folder, has_costs = settings.template_dir, writer.run().report is not None
        pages = [(rundir.ANALYTIC_SUMMARY, SUMMARY)] if has_costs else []
        if has_costs or writer.index.kind != "model":
            pages += [(rundir.STAKEHOLDER_SUMMARY, STAKEHOLDER), (rundir.REPORT, settings.template)]
        for file, template in pages:
            writer.update()  # pages link the files that the index has, the pages before them too
            writer.write_text(file, render(writer.run(), template=template, template_dir=folder))

    return _attempt(writer, "report", "report-traceback.txt", work)


def close_interrupted(writer: RunWriter, settings: Settings) -> None:
    """Bring a run to its end that the user interrupted; who does so again does not wait for its pages."""
    with suppress(KeyboardInterrupt), hasty():
        write_reports(writer, settings)
    writer.update(status="interrupted", error="interrupted by the user", exit_code=INTERRUPTED)


def _status(passes: Sequence[PassRecord], failures: Sequence[Failure]) -> RunStatus:
    if not failures:
        return "done"
    return "partial" if any(done.status == "done" for done in passes) else "failed"


def _exit_code(failures: Sequence[Failure]) -> int:
    """Return the code that all failures share: a cause of its own. Different ones have none: some passes failed."""
    codes = {failure.exit_code for failure in failures}
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 else ToolError.exit_code


def _record_fault(writer: RunWriter, error: BaseException) -> None:
    """Note in the index why the run ended early; when even that cannot be written, say so."""
    try:
        known = isinstance(error, PerfkitError)
        writer.update(
            status="failed",
            error=message_of(error) if known else one_line(error),
            exit_code=error.exit_code if isinstance(error, PerfkitError) else PerfkitError.exit_code,
        )
    except PerfkitError as second:
        _log.error("the index could not be updated: %s", second)
