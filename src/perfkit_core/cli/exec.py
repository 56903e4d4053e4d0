"""``perfkit exec``."""

from __future__ import annotations

import sys
from typing import IO, Any, TextIO

import click

from perfkit_core.cli.capture_output import show_capture
from perfkit_core.cli.options import json_option, settings_from
from perfkit_core.errors import UsageError, class_of


@click.command("exec", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.argument("argv", metavar="COMMAND ARGUMENTS...", nargs=-1, type=click.UNPROCESSED)
@click.option("--backend", metavar="NAME", help="Profiler that wraps programs, such as nsys.")
@click.option("--set", "parameters", metavar="K=V", multiple=True, help="Parameter of the backend; repeatable.")
@click.option("--max-minutes", metavar="N", help="End the program after so many minutes and keep what was recorded.")
@click.option("--out", metavar="DIR", help="Run directory; a new one below perfkit-runs/ by default.")
@json_option
def command(*, argv: tuple[str, ...], backend: str | None, as_json: bool, **values: Any) -> None:
    """Measure a program of your own under a profiler, by its own NVTX ranges and those of perfkit_core.region.

    The program reads what perfkit reads. What it prints is shown as it comes, on stderr with --json, and kept in the
    run. It gets every environment variable but those whose name or value looks secret, which the run names;
    --set keep_env=A,B passes them on.

    \b
    perfkit exec --backend nsys -- python train.py --steps 10
    perfkit exec --backend nsys --out R -- ./simulate
    """  # noqa: D301 - click wants the backspace character itself
    from perfkit_core.captured import exec_resolved
    from perfkit_core.cli.output import emit
    from perfkit_core.cli.streams import output
    from perfkit_core.programs import Console
    from perfkit_core.settings import parse_assignments
    from perfkit_core.texts import visible

    if not backend:
        raise UsageError("no backend is named", fix="--backend NAME; perfkit list backends shows them")
    resolved = settings_from(dict(values))
    own = resolved.settings.model_copy(update={"set": parse_assignments(values["parameters"])})
    shown = sys.stderr if as_json else output()
    console = Console(stdin=None, output=_bytes(shown), errors=_bytes(sys.stderr))
    run = exec_resolved(argv, backend, own, console=console)
    if as_json:
        for note in run.index.passes[0].notes:
            click.echo(f"note: {visible(note)}", err=True)
    else:
        emit("")
    show_capture(run, as_json=as_json)
    if run.index.status != "done":
        raise class_of(run.index.exit_code)(
            f"run {run.path} is {run.index.status}: {run.index.error}",
            fix=f"what was recorded is kept in {run.path}, the logs in {run.path / run.index.passes[0].directory}",
        )


def _bytes(stream: TextIO) -> IO[bytes] | None:
    """Return what is below a text stream; a stream in memory has nothing there, and is shown nothing."""
    return getattr(stream, "buffer", None)
