"""``perfkit hotspots``."""

from __future__ import annotations

from typing import Any

import click

from perfkit_core.cli.options import json_option, ranking_options, run_path, settings_from
from perfkit_core.cli.output import emit, emit_json, emit_table


@click.command("hotspots")
@click.argument("run_dir", metavar="RUN")
@ranking_options
@json_option
def command(*, run_dir: str, as_json: bool, **values: Any) -> None:
    """Show the modules and categories where RUN spends most, by their own work."""
    from perfkit_core import api
    from perfkit_core.units import format_quantity, format_share

    settings = settings_from(values).settings
    ranked = api.hotspots(api.load_run(run_path(run_dir)), by=settings.by, top=settings.top)
    if as_json:
        emit_json(ranked)
        return
    total = format_quantity(ranked.total, ranked.by)
    emit(f"own {ranked.by} of {run_dir}: {total} in all")
    rows = [(layer.path, format_quantity(layer.value, ranked.by), format_share(layer.share)) for layer in ranked.layers]
    emit("")
    emit_table(("module", ranked.by, "share"), rows, right=(1, 2))
    groups = [(one.name, format_quantity(one.value, ranked.by), format_share(one.share)) for one in ranked.categories]
    emit("")
    emit_table(("category", ranked.by, "share"), groups, right=(1, 2))
