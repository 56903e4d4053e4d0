"""``perfkit export``."""

from __future__ import annotations

import click

from perfkit_core.cli.options import run_path
from perfkit_core.cli.output import emit
from perfkit_core.cli.report import output_file
from perfkit_core.errors import UsageError


@click.command("export")
@click.argument("run_dir", metavar="RUN")
@click.option("--exporter", metavar="NAME", help="Exporter; see: perfkit list exporters.")
@click.option("-o", "--output", metavar="FILE", help="Output file; RUN/exports/<exporter><suffix> by default.")
@click.option("--set", "parameters", metavar="K=V", multiple=True, help="Parameter of the exporter; repeatable.")
def command(*, run_dir: str, exporter: str | None, output: str | None, parameters: tuple[str, ...]) -> None:
    """Write RUN in another format and print the files written."""
    from perfkit_core import api
    from perfkit_core.settings import parse_assignments

    if not exporter:
        raise UsageError("no exporter is named", fix="--exporter NAME; perfkit list exporters shows them")
    run = api.load_run(run_path(run_dir))
    for path in api.export(run, exporter, output=output_file(output), options=parse_assignments(parameters)):
        emit(str(path))
