"""``perfkit import``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from perfkit_core.cli.capture_output import show_capture
from perfkit_core.cli.options import json_option, settings_from, subject_options
from perfkit_core.errors import UsageError, class_of


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1)
@subject_options
@click.option("--out", metavar="DIR", help="Run directory; a new one below perfkit-runs/ by default.")
@json_option
def command(*, files: tuple[str, ...], as_json: bool, **values: Any) -> None:
    """Make a run out of files that a profiler wrote: NVTX ranges become regions, kernels are added up per region.

    The files are not changed and not copied; the run records their checksums. --model and --workload add the analytic
    view, whose modules have the paths of the ranges that perfkit marked.

    \b
    perfkit import trace.sqlite --out R
    perfkit import kernels.ncu-rep --json
    """  # noqa: D301 - click wants the backspace character itself
    from perfkit_core.captured import import_resolved
    from perfkit_core.settings import parse_assignments

    for text in files:
        if not text.strip():
            raise UsageError("a file name is empty", fix="perfkit import FILE...")
    resolved = settings_from(dict(values))
    # What a project's settings say of its own model is not meant for files from elsewhere.
    named = {name: values[name] for name in ("model", "variant", "workload")}
    checkpoint = Path(values["checkpoint"]) if values["checkpoint"] else None
    own = {**named, "checkpoint": checkpoint, "set": parse_assignments(values["parameters"])}
    settings = resolved.settings.model_copy(update=own)
    run = import_resolved([Path(text) for text in files], replace(resolved, settings=settings))
    show_capture(run, as_json=as_json)
    if run.index.status != "done":
        raise class_of(run.index.exit_code)(
            f"run {run.path} is {run.index.status}: {run.index.error}", fix=f"what was read is kept in {run.path}"
        )
