"""``perfkit list``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from perfkit_core.cli.options import json_option
from perfkit_core.cli.output import emit_json, emit_table
from perfkit_core.errors import UsageError, nearest

if TYPE_CHECKING:
    from perfkit_core.registry import Registered

KINDS = ("models", "workloads", "backends", "exporters", "importers", "devices", "templates")


@click.command("list")
@click.argument("kind", metavar="|".join(KINDS))
@json_option
def command(*, kind: str, as_json: bool) -> None:
    """List what is installed: models, workloads, backends, exporters, importers, devices or templates."""
    if kind not in KINDS:
        raise UsageError(f"there is nothing called {kind!r} to list", fix=nearest(kind, KINDS))
    entries = _templates() if kind == "templates" else _registered(kind)
    if as_json:
        emit_json(entries)
        return
    extra = [name for name in ("model", "variants", "suffixes", "origin") if any(name in entry for entry in entries)]
    columns = ("name", *extra, "summary", "distribution", "version")
    emit_table(columns, [[_cell(entry.get(column, "")) for column in columns] for entry in entries])


def _registered(kind: str) -> list[dict[str, object]]:
    from perfkit_core.registry import registry
    from perfkit_core.specs import ImporterSpec, ModelSpec, WorkloadSpec

    found = registry()
    listings: dict[str, Callable[[], Sequence[Registered[Any]]]] = {
        "models": found.models,
        "workloads": found.workloads,
        "backends": found.backends,
        "exporters": found.exporters,
        "importers": found.importers,
        "devices": found.devices,
    }
    entries: list[dict[str, object]] = []
    for item in listings[kind]():
        entry: dict[str, object] = {
            "name": item.selector,
            "distribution": item.distribution,
            "version": item.version,
            "summary": item.spec.summary,
        }
        if isinstance(item.spec, ModelSpec):
            entry["variants"] = [variant.name for variant in item.spec.variants]
        if isinstance(item.spec, ImporterSpec):
            entry["suffixes"] = list(item.spec.suffixes)
        if isinstance(item.spec, WorkloadSpec):
            entry["model"] = item.spec.model
        entries.append(entry)
    return entries


def _templates() -> list[dict[str, object]]:
    from perfkit_core.template_lookup import list_templates

    return [
        {
            "name": found.name,
            "distribution": found.distribution,
            "version": found.version,
            "summary": found.summary,
            "origin": found.origin,
            "path": str(found.path),
        }
        for found in list_templates()
    ]


def _cell(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
