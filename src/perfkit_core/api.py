"""The public Python API: what the command line does, as functions for notebooks and scripts.

Arguments are explicit: unlike the command line, nothing is read from the environment or from settings
files. Tables come as plain records, or as a data frame where pandas is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfkit_core import rundir
from perfkit_core.captured import exec_program, import_files, scrub
from perfkit_core.comparing import fail_if_above, write_comparison
from perfkit_core.estimation import Estimate
from perfkit_core.plan import ANALYTIC, resolve_plan, resolve_subject
from perfkit_core.rundir import Run
from perfkit_core.schema.analysis import Comparison, Hotspots, Measure
from perfkit_core.settings import ResolvedSettings, load_settings

if TYPE_CHECKING:
    from perfkit_core.registry import Registry
    from perfkit_core.schema.verify import VerifyReport

__all__ = [
    "Comparison",
    "Estimate",
    "Hotspots",
    "Run",
    "compare",
    "estimate",
    "exec_program",
    "export",
    "fail_if_above",
    "hotspots",
    "import_files",
    "load_run",
    "run",
    "scrub",
    "verify",
    "write_comparison",
]

StrPath = str | os.PathLike[str]


def estimate(
    model: str,
    *,
    variant: str | None = None,
    workload: str | None = None,
    checkpoint: StrPath | None = None,
    options: Mapping[str, Any] | None = None,
) -> Estimate:
    """Estimate what a run should cost; nothing is written.

    Args:
        model: Model name.
        variant: Variant; the model's first by default.
        workload: Workload; the variant's own by default.
        checkpoint: Directory to read the architecture from instead of bundled metadata.
        options: Overrides of model and workload parameters.

    Raises:
        UsageError: A name or value is unknown or does not fit.
        MissingError: A plugin or a file of the checkpoint is missing.
    """
    settings = _settings(model=model, variant=variant, workload=workload, checkpoint=checkpoint)
    return Estimate(resolve_subject(settings.settings, dict(options or {}), _registry()))


def run(
    model: str | None = None,
    *,
    variant: str | None = None,
    workload: str | None = None,
    checkpoint: StrPath | None = None,
    options: Mapping[str, Any] | None = None,
    backends: Sequence[str] = (),
    device: str | None = None,
    repeats: int | None = None,
    warmup: int | None = None,
    measure_steps: int | Literal["all"] | None = None,
    region_depth: int | None = None,
    max_minutes: float | None = None,
    seed: int | None = None,
    exporters: Sequence[str] = (),
    out: StrPath | None = None,
    config: StrPath | None = None,
    template: str | None = None,
    template_dir: StrPath | None = None,
) -> Run:
    """Analyse a model on a workload and write a run directory, as ``perfkit run`` does.

    A pass that fails does not raise: look at ``index.status``, ``index.error`` and ``index.exit_code`` of the result.

    Args:
        model: Model name; may be left out when ``config`` has it.
        variant: Variant; the model's first by default.
        workload: Workload; the variant's own by default.
        checkpoint: Directory to read the architecture from instead of bundled metadata.
        options: Overrides of model and workload parameters; ``backend.name`` for those of backends.
        backends: Backends besides ``analytic``; without any, ``wall_clock`` where there is a CUDA device.
        device: Where to measure: ``auto``, ``cpu`` or ``cuda:N``; ``auto`` by default.
        repeats: Measured runs of the workload per pass; 3 by default.
        warmup: Runs before them; 1 by default.
        measure_steps: Iterations of every long loop to measure, or ``all``; each loop's own number by default.
        region_depth: Levels of modules below the stage to measure; 2 by default.
        max_minutes: Minutes after which a backend's passes are ended, and what they have is kept; no limit by default.
        seed: Seed of random weights and inputs; 0 by default.
        exporters: Exporters to run after the passes.
        out: Run directory; a new one below ``perfkit-runs/`` by default.
        config: Settings file, for example ``config.yaml`` of a run to repeat; other arguments go before it.
        template: Template of the report.
        template_dir: Directory with template overrides.

    Raises:
        UsageError: A name or value is unknown or does not fit, or ``out`` cannot be used.
        MissingError: A plugin, device or file is missing, or a file cannot be written.
    """
    return run_resolved(
        _settings(
            config=config,
            model=model,
            variant=variant,
            workload=workload,
            checkpoint=checkpoint,
            set=dict(options or {}),
            backends=tuple(backends),
            device=device,
            repeats=repeats,
            warmup=warmup,
            measure_steps=measure_steps,
            region_depth=region_depth,
            max_minutes=max_minutes,
            seed=seed,
            exporters=tuple(exporters),
            out=out,
            template=template,
            template_dir=template_dir,
        )
    )


def run_resolved(resolved: ResolvedSettings) -> Run:
    """Do what ``run`` does, with settings that are merged already."""
    from perfkit_core import driver
    from perfkit_core.registry import active_plugins

    registry = _registry()
    devices = [item.spec for item in registry.devices()]
    return driver.run(resolve_plan(resolved, registry), active_plugins(registry), devices)


def verify(
    model: str,
    *,
    variant: str | None = None,
    workload: str | None = None,
    checkpoint: StrPath | None = None,
    options: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    out: StrPath | None = None,
) -> VerifyReport:
    """Compare the cost tree with what torch counts on the real implementation, in a worker process.

    Look at ``passed`` of the result: a difference past the tolerance does not raise.

    Args:
        model: Model name.
        variant: Variant; the model's first by default.
        workload: Workload; the variant's own by default.
        checkpoint: Directory to read the architecture from instead of bundled metadata.
        options: Overrides of model and workload parameters.
        tolerance: Largest relative difference to accept; 0.05 by default.
        out: Run directory, which may hold a run of the same subject; a new one by default.

    Raises:
        UsageError: A name or value is unknown or does not fit, or ``out`` cannot be used.
        MissingError: torch, a plugin or a file is missing.
        CheckFailed: The reference cannot be trusted.
        ToolError: The worker failed.
    """
    _, report = verify_resolved(
        _settings(
            model=model,
            variant=variant,
            workload=workload,
            checkpoint=checkpoint,
            set=dict(options or {}),
            tolerance=tolerance,
            out=out,
        )
    )
    return report


def verify_resolved(resolved: ResolvedSettings) -> tuple[Run, VerifyReport]:
    """Do what ``verify`` does, with settings that are merged already; also return the run."""
    from perfkit_core import verifying
    from perfkit_core.registry import active_plugins
    from perfkit_core.schema.verify import VerifyReport

    registry = _registry()
    settings = resolved.settings.model_copy(update={"backends": resolved.settings.backends or (ANALYTIC,)})
    plan = resolve_plan(replace(resolved, settings=settings), registry)
    run = verifying.verify(plan, active_plugins(registry))
    return run, rundir.read_record(run.path / rundir.VERIFY_LAYERS, VerifyReport)


def load_run(path: StrPath) -> Run:
    """Read a run directory.

    Raises:
        MissingError: There is no run.
        DamagedFileError: Its index is damaged or of an unknown schema.
    """
    return rundir.load_run(Path(path))


def hotspots(run: Run, *, by: Measure = "flops", top: int = 10, top_categories: int = 5) -> Hotspots:
    """Return the modules and categories with the largest own values.

    Raises:
        UsageError: The measure is unknown, or a count is below 1.
        MissingError: The run does not hold the measure.
        DamagedFileError: A file of the run is damaged.
    """
    from perfkit_core.hotspots import hotspots as rank

    return rank(run, by=by, top=top, top_categories=top_categories)


def compare(base: Run, head: Run, *, by: Measure = "flops", top: int = 10) -> Comparison:
    """Return what accounts for the difference between two runs of one model.

    Raises:
        UsageError: The runs are of different models, or an argument is not accepted.
        MissingError: A run does not hold the measure.
        DamagedFileError: A file of a run is damaged.
    """
    from perfkit_core.compare import compare_runs

    return compare_runs(base, head, by=by, top=top)


def export(
    run: Run, exporter: str, *, output: StrPath | None = None, options: Mapping[str, Any] | None = None
) -> tuple[Path, ...]:
    """Write a run in another format and return the files written.

    Args:
        run: The run.
        exporter: Exporter name.
        output: Output file; ``exports/<exporter><suffix>`` in the run directory by default.
        options: Parameters of the exporter; a prefix ``<exporter>.`` is accepted.

    Raises:
        UsageError: The exporter or a parameter is unknown.
        MissingError: A file cannot be written, or the run lacks what the exporter needs.
        ToolError: The exporter failed.
    """
    from perfkit_core import driver
    from perfkit_core.options import build_options

    spec = _registry().exporter(exporter)
    values = {name.removeprefix(f"{spec.name}."): value for name, value in (options or {}).items()}
    checked = build_options(spec.options, values, owner=f"exporter {spec.name!r}")
    return driver.export(run, spec, checked, output=Path(output) if output is not None else None)


def _registry() -> Registry:
    from perfkit_core.registry import registry

    return registry()


def _settings(*, config: StrPath | None = None, **values: Any) -> ResolvedSettings:
    given = {name: value for name, value in values.items() if value is not None}
    file = None if config is None else Path(config)
    return load_settings(given, config=file, environ={}, directory=Path("/"))
