"""``perfkit run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perfkit_core.cli.options import json_option, settings_from, subject_options
from perfkit_core.cli.output import emit, emit_json, emit_table
from perfkit_core.errors import class_of

if TYPE_CHECKING:
    from perfkit_core.rundir import Run

HOTSPOTS = 10


@click.command("run")
@subject_options
@click.option("--backend", "backends", metavar="NAME", multiple=True, help="Backend besides analytic; repeatable.")
@click.option("--device", metavar="D", help="Where to measure: auto, cpu or cuda:N [default: auto].")
@click.option("--repeats", metavar="N", help="Measured runs of the workload [default: 3].")
@click.option("--warmup", metavar="N", help="Runs before the measured ones [default: 1].")
@click.option("--measure-steps", metavar="N|all", help="Iterations of every long loop to measure, or all.")
@click.option("--region-depth", metavar="N", help="Levels of modules below the stage to measure [default: 2].")
@click.option("--max-minutes", metavar="N", help="End a backend's passes after N minutes and keep what they have.")
@click.option("--seed", metavar="N", help="Seed of random weights and inputs [default: 0].")
@click.option("--exporter", "exporters", metavar="NAME", multiple=True, help="Exporter to run; repeatable.")
@click.option("--out", metavar="DIR", help="Run directory; a new one below perfkit-runs/ by default.")
@click.option("--config", metavar="FILE", help="Settings file: config.yaml of a run repeats that run.")
@json_option
def command(*, config: str | None, as_json: bool, **values: Any) -> None:
    """Analyse a model on a workload and write a run directory.

    \b
    perfkit run --model wan2_1
    perfkit run --model wan2_1 --workload p512 --set num_inference_steps=30 --out R
    """  # noqa: D301 - click wants the backspace character itself
    from perfkit_core.api import run_resolved

    run = run_resolved(settings_from(values, config=config))
    if as_json:
        emit_json(run_summary(run))
    else:
        show_run(run)
    if run.index.status != "done":
        raise class_of(run.index.exit_code)(
            f"run {run.path} is {run.index.status}: {run.index.error}", fix=_where_to_look(run)
        )


def _where_to_look(run: Run) -> str:
    kept = f"what was collected is kept in {run.path}"
    logs = [str(run.path / done.directory) for done in run.index.passes if done.status == "failed" and done.directory]
    return f"{kept}, the logs in {' and '.join(logs)}" if logs else kept


def run_summary(run: Run) -> dict[str, Any]:
    """Return what ``--json`` prints: the index and where the run is."""
    return {"run_dir": str(run.path), **run.index.as_dict()}


def show_run(run: Run) -> None:
    """Print totals per stage, the whole, the memory, the hotspots and where the report is."""
    from perfkit_core.hotspots import hotspots
    from perfkit_core.rundir import REPORT
    from perfkit_core.units import format_bytes, format_count, format_flops, format_share

    index = run.index
    emit(f"{index.model} {index.variant}, workload {index.workload}: {index.status}")
    if run.report is None or index.totals is None:
        return
    stages = [
        (
            stage.path,
            format_count(stage.calls),
            format_flops(stage.flops),
            format_bytes(stage.bytes_read),
            format_bytes(stage.bytes_written),
            format_count(stage.parameters),
        )
        for stage in index.stages
    ]
    totals = run.report.totals
    whole = (
        "whole run",
        "",
        format_flops(totals.flops),
        format_bytes(totals.bytes_read),
        format_bytes(totals.bytes_written),
        format_count(totals.parameters),
    )
    emit("")
    emit_table(("stage", "calls", "FLOPs", "read", "written", "parameters"), [*stages, whole], right=range(1, 6))
    emit("")
    emit(
        f"weights {format_bytes(totals.weight_bytes)}, peak memory {format_bytes(totals.peak_memory_bytes)} (estimate)"
    )
    ranked = hotspots(run, top=HOTSPOTS)
    emit("")
    emit_table(
        ("largest own FLOPs", "FLOPs", "share"),
        [(layer.path, format_flops(layer.value), format_share(layer.share)) for layer in ranked.layers],
        right=(1, 2),
    )
    emit("")
    emit_table(
        ("category", "FLOPs", "share"),
        [(group.name, format_flops(group.value), format_share(group.share)) for group in ranked.categories],
        right=(1, 2),
    )
    _show_measured(run)
    emit("")
    for note in (*index.notes, *run.report.notes):
        emit(f"note: {note}")
    emit(f"report: {run.path / REPORT}")


def _show_measured(run: Run) -> None:
    """Print the table of measured stages, when there is one."""
    from perfkit_core.stage_table import measured_rows
    from perfkit_core.units import format_ms, format_share

    if run.metrics is None or run.report is None:
        return
    whole = run.metrics.aggregates.run_ms
    rows = [
        (
            row.time.path + ("" if row.time.runs == "plain" else " ¹"),
            row.time.per,
            format_ms(row.time.mean),
            format_ms(row.time.std),
            format_share(row.share),
            format_share(row.use.mfu) if row.use else "-",
        )
        for row in measured_rows(run.metrics, run.profile, run.report)
    ]
    emit("")
    emit_table(
        (f"measured on {run.metrics.device_name}", "per", "mean", "std", "share", "MFU"),
        [*rows, ("whole run", "run", format_ms(whole.mean), format_ms(whole.std), "", "")],
        right=range(2, 6),
    )
    if any(time.runs == "detailed" for time in run.metrics.aggregates.stage_ms.values()):
        emit("¹ of another run, with a region around every module, which makes it longer")
    for name, rate in run.metrics.aggregates.throughput.items():
        emit(f"{name}: {rate.mean:.4g}")
    if run.metrics.mfu_missing:
        emit(f"no MFU: {run.metrics.mfu_missing}")
