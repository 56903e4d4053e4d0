"""``perfkit compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from perfkit_core.cli.options import json_option, ranking_options, run_path, settings_from
from perfkit_core.cli.output import emit, emit_json, emit_table

if TYPE_CHECKING:
    from perfkit_core.schema.analysis import Comparison


@click.command("compare")
@click.argument("base", metavar="BASE")
@click.argument("head", metavar="HEAD")
@ranking_options
@click.option("--fail-above", metavar="PERCENT", help="Exit 1 if HEAD exceeds BASE by more: 5% or 0.05.")
@click.option("--out", metavar="DIR", help="Where to write the comparison; HEAD/compare by default.")
@json_option
def command(*, base: str, head: str, as_json: bool, **values: Any) -> None:
    """Show which modules and categories account for the difference between runs BASE and HEAD."""
    from perfkit_core import api

    resolved = settings_from(values)
    settings, origins = resolved.settings, resolved.origins
    before, after = api.load_run(run_path(base)), api.load_run(run_path(head))
    comparison = api.compare(before, after, by=settings.by, top=settings.top)
    # A directory for runs from a settings file is not where comparisons go.
    out = settings.out if origins["out"] == "command line" else None
    files = api.write_comparison(comparison, before, after, out=out)
    if as_json:
        emit_json(comparison)
    else:
        _show(comparison, files)
    if settings.fail_above is not None:
        api.fail_if_above(comparison, settings.fail_above)


def _show(comparison: Comparison, files: tuple[Path, ...]) -> None:
    from perfkit_core.units import format_quantity, format_share

    by = comparison.by
    emit(comparison.verdict)
    for note in comparison.notes:
        emit(f"note: {note}")
    for name, change in comparison.workload_changes.items():
        emit(f"  {name}: {change.base} -> {change.head}")
    for title, rows in (
        ("module", [(one.path, one) for one in comparison.contributors]),
        ("category", [(one.name, one) for one in comparison.categories]),
    ):
        if rows:
            emit("")
            cells = [
                (
                    name,
                    format_quantity(one.base, by),
                    format_quantity(one.head, by),
                    format_quantity(one.delta, by),
                    format_share(one.share),
                )
                for name, one in rows
            ]
            emit_table((title, "base", "head", "change", "share of change"), cells, right=range(1, 5))
    emit("")
    for path in files:
        emit(f"written: {path}")
