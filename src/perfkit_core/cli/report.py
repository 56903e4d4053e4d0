"""``perfkit report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from perfkit_core.cli.options import run_path, settings_from
from perfkit_core.cli.output import emit
from perfkit_core.errors import UsageError

FORMATS = ("md", "html")


@click.command("report")
@click.argument("run_dir", metavar="RUN")
@click.option("--template", metavar="NAME|FILE", help="Template [default: report.md].")
@click.option("--template-dir", metavar="DIR", help="Directory with template overrides.")
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="md", show_default=True, help="Output format.")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE instead of stdout.")
def command(*, run_dir: str, fmt: str, output: str | None, **values: Any) -> None:
    """Render the report of RUN from a template."""
    from perfkit_core import api
    from perfkit_core.files import write_atomically
    from perfkit_core.report import render

    settings = settings_from(values).settings
    run = api.load_run(run_path(run_dir))
    target = output_file(output)
    text = render(run, template=settings.template, template_dir=settings.template_dir, fmt=fmt)
    if target is None:
        emit(text)
    else:
        write_atomically(target, text)
        emit(str(target))


def output_file(text: str | None) -> Path | None:
    """Return the file of ``-o``, or None when none is given.

    Raises:
        UsageError: It is empty, a directory, or in a directory that does not exist.
    """
    if text is None:
        return None
    if not text.strip() or "\0" in text:
        raise UsageError("-o is empty", fix="name a file")
    path = Path(text)
    try:
        if path.is_dir():
            raise UsageError(f"-o {text} is a directory", fix="name a file")
        if not path.parent.is_dir():
            raise UsageError(f"-o {text}: there is no directory {path.parent}", fix="create it first")
    except OSError as error:
        raise UsageError(f"-o {text:.200} cannot be used: {error.strerror}", fix="choose another file") from None
    return path
