"""Carries out a plan: passes, exporters and documents, with an index that says how far the run got."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import perfkit_core
from perfkit_core import rundir
from perfkit_core.assumptions import assumptions
from perfkit_core.environment import environment
from perfkit_core.errors import PLUGIN_FAULTS, MissingError, PerfkitError, ToolError, message_of, one_line
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
from perfkit_core.specs import DeviceSpec, ExporterSpec

_log = logging.getLogger(__name__)


def run(plan: Plan, plugins: Sequence[PluginRecord], devices: Sequence[DeviceSpec] = ()) -> Run:
    """Carry out ``plan`` in a new run directory.

    A pass or exporter that fails is recorded in the index and leaves the others' results; the status
    of the returned run is then ``partial`` or ``failed``.

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
            _run_backend(writer, plan, position, devices)
        writer.write_text(rundir.ASSUMPTIONS, assumptions(plan, writer.run()))
        errors = [f"backend {done.backend}: {done.error}" for done in writer.index.passes if done.error]
        errors += write_reports(writer, plan)
        for spec, options in plan.exporters:
            errors += _export(writer, spec, options)
        writer.update(status=_status(writer.index.passes, errors), error="; ".join(errors))
    except KeyboardInterrupt:
        write_reports(writer, plan)
        writer.update(status="interrupted", error="interrupted by the user")
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
    writer.write_json(
        rundir.ENVIRONMENT, environment(sorted({plugin.distribution for plugin in plugins}), git=len(plan.backends) > 1)
    )


def _run_backend(writer: RunWriter, plan: Plan, position: int, devices: Sequence[DeviceSpec]) -> None:
    spec, options = plan.backends[position]
    BackendPasses(writer, plan, plan.settings.backends[position], spec, options, devices).run()
    report = writer.records.get(rundir.ANALYTIC_REPORT)
    if isinstance(report, AnalyticReport) and writer.index.totals is None:
        writer.update(totals=_totals(report), stages=_stages(report))


def _totals(report: AnalyticReport) -> RunTotals:
    return RunTotals(**{name: getattr(report.totals, name) for name in RunTotals.model_fields})


def _stages(report: AnalyticReport) -> tuple[RunStage, ...]:
    return tuple(RunStage(**{name: getattr(stage, name) for name in RunStage.model_fields}) for stage in report.stages)


def _attempt(writer: RunWriter, traceback_file: str, work: Callable[[], None]) -> str:
    """Do ``work`` and return in one line why it failed, or an empty text."""
    try:
        work()
    except PerfkitError as error:
        return message_of(error)
    except PLUGIN_FAULTS as error:  # the trace is kept with the run
        writer.write_text(traceback_file, traceback.format_exc())
        return one_line(error)
    return ""


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


def _export(writer: RunWriter, spec: ExporterSpec, options: Options) -> list[str]:
    def work() -> None:
        path = writer.path / "exports" / f"{spec.name}{spec.suffix}"
        writer.add_files(_exported(spec, writer.run(), path, options))

    return _failure(f"exporter {spec.name}", _attempt(writer, f"exports/{spec.name}-traceback.txt", work))


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


def write_reports(writer: RunWriter, plan: Plan) -> list[str]:
    """Render ``analytic/summary.md`` and ``report.md`` from what the run holds; return why that failed, if it did."""

    def work() -> None:
        from perfkit_core.report import SUMMARY, render

        finished, folder = writer.run(), plan.settings.template_dir
        if finished.report is not None:
            writer.write_text(rundir.ANALYTIC_SUMMARY, render(finished, template=SUMMARY, template_dir=folder))
            writer.write_text(rundir.REPORT, render(finished, template=plan.settings.template, template_dir=folder))

    return _failure("report", _attempt(writer, "report-traceback.txt", work))


def _failure(what: str, error: str) -> list[str]:
    if not error:
        return []
    _log.error("%s failed: %s", what, error)
    return [f"{what}: {error}"]


def _status(passes: Sequence[PassRecord], errors: Sequence[str]) -> RunStatus:
    if not errors:
        return "done"
    return "partial" if any(done.status == "done" for done in passes) else "failed"


def _record_fault(writer: RunWriter, error: BaseException) -> None:
    """Note in the index why the run ended early; when even that cannot be written, say so."""
    try:
        writer.update(status="failed", error=one_line(error))
    except PerfkitError as second:
        _log.error("the index could not be updated: %s", second)
