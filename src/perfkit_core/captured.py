"""``import``, ``exec`` and ``scrub``, for Python and for the command line: names become what they stand for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfkit_core.errors import UsageError, nearest
from perfkit_core.machine import CPU, machine
from perfkit_core.plan import ANALYTIC, resolve_plan
from perfkit_core.registry import active_plugins, registry
from perfkit_core.rundir import REGIONS, Run
from perfkit_core.schema.base import REGIONS_SCHEMA
from perfkit_core.settings import ResolvedSettings, Settings, load_settings

if TYPE_CHECKING:
    from perfkit_core.programs import Console

StrPath = str | os.PathLike[str]


def import_files(
    files: Sequence[StrPath],
    *,
    model: str | None = None,
    variant: str | None = None,
    workload: str | None = None,
    checkpoint: StrPath | None = None,
    options: Mapping[str, Any] | None = None,
    out: StrPath | None = None,
) -> Run:
    """Make a run out of files that a profiler wrote, as ``perfkit import`` does; its ``profile`` has the regions.

    Args:
        files: The files, one of each kind at most; they are not changed and not copied.
        model: Model that they are of, for the analytic view.
        variant: Variant; the model's first by default.
        workload: Workload; the variant's own by default.
        checkpoint: Directory to read the architecture from instead of bundled metadata.
        options: Parameters of model and workload, and ``importer.name`` for those of importers.
        out: Run directory; a new one below ``perfkit-runs/`` by default.

    Raises:
        UsageError: A name or value is unknown or does not fit, or ``out`` cannot be used.
        MissingError: A file is not there, or no importer reads it.
        DamagedFileError: A file is damaged or not what it seems.
    """
    named = {"model": model, "variant": variant, "workload": workload, "checkpoint": checkpoint, "out": out}
    return import_resolved([Path(file) for file in files], _settings(**named, set=dict(options or {})))


def exec_program(
    argv: Sequence[str],
    *,
    backend: str,
    options: Mapping[str, Any] | None = None,
    max_minutes: float | None = None,
    out: StrPath | None = None,
) -> Run:
    """Measure a program under a profiler that wraps it, as ``perfkit exec`` does.

    The program reads nothing, and its output is kept in the run.

    A program or profiler that fails does not raise: look at ``index.status``, ``index.error`` and ``index.exit_code``.

    Args:
        argv: Command line.
        backend: Backend, such as ``nsys``.
        options: Parameters of the backend.
        max_minutes: Minutes after which the program is ended, and what was recorded kept; no limit by default.
        out: Run directory; a new one below ``perfkit-runs/`` by default.

    Raises:
        UsageError: A name or value is unknown or does not fit, or ``out`` cannot be used.
        MissingError: The program or what the backend needs is not there.
    """
    resolved = _settings(max_minutes=max_minutes, out=out, set=dict(options or {}))
    return exec_resolved(argv, backend, resolved.settings)


def scrub(file: StrPath, *, output: StrPath | None = None) -> tuple[Path, list[str]]:
    """Write a copy of a profiler's file that is safe to share, and return it with what was done, one line each.

    Args:
        file: The file; it is not changed.
        output: The copy; ``NAME.scrubbed.SUFFIX`` beside the file by default.

    Raises:
        UsageError: The copy would replace the file.
        MissingError: The file cannot be read, or files of its kind cannot be scrubbed.
        DamagedFileError: The file is damaged or not what it seems.
    """
    from perfkit_core.scrubbing import scrub_file

    return scrub_file(Path(file), registry().importers(), None if output is None else Path(output))


def import_resolved(files: Sequence[Path], resolved: ResolvedSettings) -> Run:
    """Do what ``import_files`` does, with settings that are merged already; ``model`` is that of the files."""
    from perfkit_core import importing

    found = registry()
    importers = found.importers()
    values, rest = _of_importers(resolved.settings.set, [item.spec.name for item in importers])
    sources = importing.choose_sources(files, importers, values)
    settings = resolved.settings.model_copy(update={"set": rest, "backends": (ANALYTIC,), "exporters": ()})
    if settings.model is None:
        _refuse_alone(
            settings, [f"{one.spec.name}.{name}" for one in importers for name in one.spec.options.model_fields]
        )
    plan = resolve_plan(replace(resolved, settings=settings), found) if settings.model else None
    devices = [item.spec for item in found.devices()]
    return importing.import_sources(sources, settings, plan, active_plugins(found), devices)


def exec_resolved(
    argv: Sequence[str],
    backend: str,
    settings: Settings,
    *,
    console: Console | None = None,
) -> Run:
    """Do what ``exec_program`` does, with settings that are merged already.

    Args:
        console: What the program reads, and where its output is shown; by default it reads and shows nothing.
    """
    from perfkit_core import executing, rundir
    from perfkit_core.options import build_options

    found = registry()
    spec = found.backend(backend)
    values = {name.removeprefix(f"{spec.name}."): value for name, value in settings.set.items()}
    options = build_options(spec.options, values, owner=f"backend {spec.name!r}")
    here = machine(CPU)
    # The program brings its own CUDA: whether torch is here, and how it was built, is of no concern.
    here = replace(here, device="cuda:0") if here.gpus else here
    program = executing.prepare(argv, spec, found.distribution_of(spec), options, here)
    if settings.out is not None:
        rundir.check_out(settings.out)
    devices = [item.spec for item in found.devices()]
    return executing.execute(program, settings, active_plugins(found), devices, console)


def summary(run: Run) -> dict[str, Any]:
    """Return what ``--json`` prints of a capture: ``regions.json``, the pass it is from, and how far the run got."""
    source = run.index.pass_of(REGIONS)
    profile = {"regions": [], "totals": None} if run.profile is None else run.profile.as_dict()
    return {
        **profile,
        "schema": REGIONS_SCHEMA,
        "run_dir": str(run.path),
        "status": run.index.status,
        "error": run.index.error,
        "source_pass": run.index.file_passes.get(REGIONS),
        "notes": [] if source is None else list(source.notes),
        "command": list(run.index.command),
        "sources": [source.as_dict() for source in run.index.sources],
    }


def _refuse_alone(settings: Settings, known: Sequence[str]) -> None:
    """Refuse what says something of a model when none is named."""
    for name in ("variant", "workload", "checkpoint"):
        if getattr(settings, name) is not None:
            raise UsageError(f"--{name} without a model", fix="add --model, or leave it out")
    for name in settings.set:
        fix = nearest(name, known) if known else "add --model, or leave it out"
        raise UsageError(f"unknown parameter {name!r}: no model is named, so --set is for importers", fix=fix)


def _settings(**values: Any) -> ResolvedSettings:
    given = {name: value for name, value in values.items() if value is not None}
    return load_settings(given, environ={}, directory=Path("/"))


def _of_importers(values: Mapping[str, Any], names: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Separate ``importer.name`` values from the others."""
    found: dict[str, dict[str, Any]] = {}
    rest: dict[str, Any] = {}
    for name, value in values.items():
        owner, dot, own = name.partition(".")
        if dot and owner in names:
            found.setdefault(owner, {})[own] = value
        else:
            rest[name] = value
    return found, rest
