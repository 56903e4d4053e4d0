"""``perfkit plugins``."""

from __future__ import annotations

import click

from perfkit_core.cli.options import json_option
from perfkit_core.cli.output import emit, emit_json, emit_table


@click.command("plugins")
@click.option("--verbose", is_flag=True, help="Show the traceback of every plugin that failed.")
@json_option
def command(*, verbose: bool, as_json: bool) -> None:
    """Show installed plugins, what each provides, and why one is not active."""
    from perfkit_core.registry import registry

    plugins = registry().plugins
    if as_json:
        fields = ["name", "distribution", "version", "status", "provides", "error", *(["traceback"] if verbose else [])]
        emit_json([{name: getattr(plugin, name) for name in fields} for plugin in plugins])
        return
    emit_table(
        ("name", "distribution", "version", "status", "provides"),
        [(one.name, one.distribution, one.version, one.status, ", ".join(one.provides)) for one in plugins],
    )
    for plugin in plugins:
        if plugin.error:
            emit(f"{plugin.name} ({plugin.distribution} {plugin.version}): {plugin.error}")
        if verbose and plugin.traceback:
            emit(plugin.traceback)
