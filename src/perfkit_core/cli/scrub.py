"""``perfkit scrub``."""

from __future__ import annotations

from pathlib import Path

import click

from perfkit_core.cli.output import emit
from perfkit_core.cli.report import output_file
from perfkit_core.errors import UsageError


@click.command("scrub")
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", metavar="FILE", help="The copy; NAME.scrubbed.SUFFIX beside the file by default.")
def command(*, file: str, output: str | None) -> None:
    """Copy a profiler's file without environment, host and user names, process lists and paths, every number kept.

    Names of kernels and of NVTX ranges stay: look at them before you share the copy. Its first line on stdout is the
    copy's name; the others say what was removed.
    """
    from perfkit_core import api

    if not file.strip():
        raise UsageError("the file name is empty", fix="perfkit scrub FILE")
    target, done = api.scrub(Path(file), output=output_file(output))
    emit(str(target))
    for line in done:
        emit(line)
