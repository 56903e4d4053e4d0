"""``perfkit verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from perfkit_core.cli.options import json_option, settings_from, subject_options
from perfkit_core.cli.output import emit, emit_json, emit_table
from perfkit_core.errors import CheckFailed

if TYPE_CHECKING:
    from perfkit_core.rundir import Run
    from perfkit_core.schema.verify import LayerRecord, VerifyReport

SHOWN = 10


@click.command("verify")
@subject_options
@click.option("--tolerance", metavar="FRACTION", help="Largest relative difference to accept [default: 0.05].")
@click.option("--out", metavar="DIR", help="Run directory, new or of the same subject; a new one by default.")
@json_option
def command(*, as_json: bool, **values: Any) -> None:
    """Compare every module with what torch counts on the real implementation; exit 1 if one differs.

    Needs torch and the libraries of the model's reference, but no GPU and no weights.
    """
    from perfkit_core.api import verify_resolved

    run, report = verify_resolved(settings_from(values))
    if as_json:
        emit_json({"run_dir": str(run.path), **report.as_dict()})
    else:
        _show(run, report)
    if not report.passed:
        raise CheckFailed(
            f"{report.model} differs from its reference: largest relative difference "
            f"{report.max_relative_difference:.3g} (traced bytes {report.max_bytes_difference:.3g}), "
            f"tolerance {report.tolerance:g}, {len(report.unmatched)} unmatched name(s)",
            fix=f"every module is in {run.path / 'verify' / 'layers.json'}",
        )


def _show(run: Run, report: VerifyReport) -> None:
    from perfkit_core.rundir import VERIFY_LAYERS
    from perfkit_core.units import format_count, format_flops

    whole = report.end_to_end
    emit(f"{report.model} {report.variant}, workload {report.workload}: {'passed' if report.passed else 'FAILED'}")
    emit(
        f"modules {report.modules}, with counted work {report.counted_modules}, "
        f"with any difference {report.mismatched}, unmatched names {len(report.unmatched)}"
    )
    emit(
        f"largest relative difference {report.max_relative_difference:.3g} (tolerance {report.tolerance:g}), "
        f"of traced bytes {report.max_bytes_difference:.3g}"
    )
    emit("")
    rows = [
        ("FLOPs", format_flops(whole.expected), format_flops(whole.counted), str(whole.expected - whole.counted)),
        (
            "parameters",
            format_count(whole.parameters_expected),
            format_count(whole.parameters_counted),
            str(whole.parameters_expected - whole.parameters_counted),
        ),
    ]
    emit_table(("whole run", "expected", "counted", "difference"), rows, right=(1, 2, 3))
    differing = [layer for layer in report.layers if layer.verdict in {"over", "unmatched"}]
    if differing:
        emit("")
        cells = [(one.path, *line, one.verdict) for one in differing[:SHOWN] for line in _differences(one)]
        emit_table(("module", "what differs", "expected", "counted", "verdict"), cells, right=(2, 3))
    for name in report.unmatched[:SHOWN]:
        emit(f"only {name.side}: {name.path} ({format_flops(name.flops)})")
    emit("")
    emit(f"every module: {run.path / VERIFY_LAYERS}")


def _differences(layer: LayerRecord) -> list[tuple[str, str, str]]:
    """Return what differs in one module: its name, what was expected and what was counted."""
    values = [
        ("FLOPs", layer.expected, layer.counted),
        ("parameters", layer.parameters_expected, layer.parameters_counted),
        ("calls", layer.calls_expected, layer.calls),
        *((f"bytes, {one.kind}", one.expected, one.counted) for one in layer.bytes),
    ]
    found = [(name, str(expected), str(counted)) for name, expected, counted in values if expected != counted]
    return found or [("no counterpart", str(layer.expected), str(layer.counted))]
