"""``perfkit import``: runs out of files that other tools wrote."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import perfkit_core
from perfkit_core import driver, rundir
from perfkit_core.captures import write_regions
from perfkit_core.counters import write_counters
from perfkit_core.environment import environment
from perfkit_core.errors import (
    PLUGIN_FAULTS,
    PerfkitError,
    ToolError,
    UsageError,
    one_line,
)
from perfkit_core.importer import ImportContext, Imported
from perfkit_core.options import Options, build_options
from perfkit_core.plan import Plan
from perfkit_core.recognising import choose_importer, importer_fault
from perfkit_core.registry import Registered
from perfkit_core.rundir import Run, RunWriter
from perfkit_core.schema.run import PassRecord, PluginRecord, RunIndex, SourceRecord, pass_name
from perfkit_core.settings import Settings
from perfkit_core.specs import DeviceSpec, ImporterSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file to import.

    Attributes:
        path: The file.
        importer: What reads it.
        options: Validated options of the importer.
    """

    path: Path
    importer: ImporterSpec
    options: Options


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    source: Source
    record: SourceRecord
    found: Imported
    seconds: float


def choose_sources(
    files: Sequence[Path], importers: Sequence[Registered[ImporterSpec]], values: Mapping[str, Mapping[str, Any]]
) -> tuple[Source, ...]:
    """Find the importer of every file; a run has one file of each importer at most.

    Args:
        files: The files.
        importers: All importers.
        values: Options by importer.

    Raises:
        UsageError: No file is named, two are of one importer, or an option does not fit.
        MissingError: A file is not there, or no importer reads it.
        DamagedFileError: A file is empty or is not what its suffix says.
    """
    if not files:
        raise UsageError("no file is named", fix="perfkit import FILE...")
    chosen: dict[str, Path] = {}
    sources: list[Source] = []
    for path in files:
        spec = choose_importer(path, importers)
        if spec.name in chosen:
            raise UsageError(
                f"{chosen[spec.name]} and {path} are both read by importer {spec.name!r}: a run has one of each kind",
                fix="import each on its own; perfkit compare --by time compares the runs",
            )
        chosen[spec.name] = path
        options = build_options(spec.options, values.get(spec.name, {}), owner=f"importer {spec.name!r}")
        sources.append(Source(path=path, importer=spec, options=options))
    for name in sorted(values.keys() - chosen.keys()):
        raise UsageError(f"no file of importer {name!r} is imported", fix="leave its parameters out")
    return tuple(sources)


def import_sources(
    sources: Sequence[Source],
    settings: Settings,
    plan: Plan | None,
    plugins: Sequence[PluginRecord],
    devices: Sequence[DeviceSpec],
) -> Run:
    """Read every file, then write the run.

    ``regions.json`` is of the first file that has regions; those of the others are beside their other files.

    Args:
        sources: What to import.
        settings: Run directory and templates.
        plan: The model and workload that the files are of; None when they are of none.
        plugins: The active plugins, for the index.
        devices: Known GPUs.

    Raises:
        PerfkitError: A file is damaged or cannot be read, or the run cannot be written.
    """
    if settings.out is not None:
        rundir.check_out(settings.out)
    loaded = [_load(source) for source in sources]
    writer = rundir.create_run(settings.out, _index(loaded, plan, plugins))
    try:
        writer.write_json(rundir.ENVIRONMENT, environment(sorted({plugin.distribution for plugin in plugins})))
        if plan is not None:
            driver.run_backend(writer, plan, 0, devices)
        for position, one in enumerate(loaded, start=len(writer.index.passes) - len(loaded)):
            _write(writer, one, position)
        _write_counters(writer, loaded, devices)
        failed = [f"backend {done.backend}: {done.error}" for done in writer.index.passes if done.status == "failed"]
        failed += [failure.text for failure in driver.write_reports(writer, settings)]
        code = ToolError.exit_code if failed else 0
        writer.update(status="partial" if failed else "done", error="; ".join(failed), exit_code=code)
    except BaseException as error:
        writer.update(status="failed", error=one_line(error))
        raise
    return writer.run()


def _load(source: Source) -> _Loaded:
    spec, started = source.importer, time.perf_counter()
    try:
        size, digest = _measured(source.path)
        found: object = spec.load(ImportContext(path=source.path, options=source.options))
    except PerfkitError:
        raise
    except PLUGIN_FAULTS as error:
        raise importer_fault(spec, source.path, error) from error
    if not isinstance(found, Imported):
        raise ToolError(
            f"importer {spec.name!r} returned {type(found).__name__}, not Imported", fix="report it to its author"
        )
    record = SourceRecord(
        name=source.path.name,
        bytes=size,
        sha256=digest,
        importer=spec.name,
        tool=f"{found.tool} {found.version}".strip(),
    )
    return _Loaded(source=source, record=record, found=found, seconds=time.perf_counter() - started)


def _measured(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _index(loaded: Sequence[_Loaded], plan: Plan | None, plugins: Sequence[PluginRecord]) -> RunIndex:
    analytic = () if plan is None else tuple(spec.name for spec, _ in plan.backends)
    names = (*analytic, *(one.source.importer.name for one in loaded))
    return RunIndex(
        perfkit_version=perfkit_core.__version__,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status="running",
        kind="import",
        model=plan.subject.model.name if plan else "",
        variant=plan.subject.request.variant if plan else "",
        workload=plan.subject.workload.name if plan else "",
        sources=tuple(one.record for one in loaded),
        plugins=tuple(plugins),
        settings_origins=dict(sorted(plan.origins.items())) if plan else {},
        totals=None,
        stages=(),
        passes=tuple(PassRecord(backend=name, status="pending", seconds=0.0) for name in names),
        files=(),
    )


def _write(writer: RunWriter, one: _Loaded, position: int) -> None:
    """Write what one file held, and enter it in the index as a pass of its importer."""
    name = one.source.importer.name
    directory, notes = pass_name(position, name), list(one.found.notes)
    for file, content in one.found.files.items():
        if isinstance(content, str):
            writer.write_text(f"{directory}/{file}", content)
        else:
            writer.write_json(f"{directory}/{file}", content)
    report = one.found.report
    if report is not None:
        if rundir.REGIONS in writer.index.files or rundir.REGIONS in writer.records:
            file = f"{directory}/{rundir.REGIONS}"
            writer.write_json(file, report)
            writer.update(file_passes={**writer.index.file_passes, file: directory})
            notes.append(f"Regions of {one.record.name} are in {file}")
        else:
            write_regions(writer, report, source=directory, notes=notes)
    record = PassRecord(
        backend=name,
        status="done",
        seconds=round(one.seconds, 6),
        directory=directory if (writer.path / directory).is_dir() else "",
        notes=tuple(notes),
    )
    passes = list(writer.index.passes)
    passes[position] = record
    writer.update(passes=tuple(passes))


def _write_counters(writer: RunWriter, loaded: Sequence[_Loaded], devices: Sequence[DeviceSpec]) -> None:
    """Write hardware counters of the first file that has some, by the regions of a timeline or else its own.

    Raises:
        ToolError: The importer failed.
    """
    counting = [one for one in loaded if one.found.counters is not None]
    first = counting[0] if counting else None
    if first is None or first.found.counters is None:
        return
    if len(counting) > 1:
        left = ", ".join(one.record.name for one in counting[1:])
        note = f"Counters by region are of {first.record.name} alone, not of {left}: import that by itself"
        writer.update(notes=(*writer.index.notes, note))
    timelines = [one.found.report for one in loaded if one.found.counters is None] + [first.found.report]
    profile = next((report for report in timelines if report is not None), None)
    if profile is None:
        return
    try:
        report = first.found.counters(profile, devices)
    except PerfkitError:
        raise
    except PLUGIN_FAULTS as error:
        raise importer_fault(first.source.importer, first.source.path, error) from error
    position = len(writer.index.passes) - len(loaded) + loaded.index(first)
    write_counters(writer, report, source=pass_name(position, first.source.importer.name))
