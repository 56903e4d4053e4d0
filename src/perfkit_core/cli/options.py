"""Command-line options that several commands share, and the settings they become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from perfkit_core.errors import UsageError

if TYPE_CHECKING:
    from perfkit_core.settings import ResolvedSettings

AnyCallable = TypeVar("AnyCallable", bound=Callable[..., Any])

MEASURES = ("flops", "bytes", "time")


def subject_options(function: AnyCallable) -> AnyCallable:
    """Add ``--model``, ``--variant``, ``--workload``, ``--checkpoint`` and ``--set``."""
    for option in reversed(
        (
            click.option("--model", metavar="NAME", help="Model; see: perfkit list models."),
            click.option("--variant", metavar="NAME", help="Variant of the model; its first by default."),
            click.option("--workload", metavar="NAME", help="Workload; the variant's own by default."),
            click.option("--checkpoint", metavar="DIR", help="Read the architecture from this checkpoint."),
            click.option("--set", "parameters", metavar="K=V", multiple=True, help="Override a parameter; repeatable."),
        )
    ):
        function = option(function)
    return function


def json_option(function: AnyCallable) -> AnyCallable:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there.")(
        function
    )


def ranking_options(function: AnyCallable) -> AnyCallable:
    """Add ``--top`` and ``--by``."""
    top = click.option("--top", metavar="N", help="Modules to list [default: 10].")
    by = click.option("--by", metavar="|".join(MEASURES), help="What to rank [default: flops].")
    return top(by(function))


def settings_from(values: dict[str, Any], *, config: str | None = None) -> ResolvedSettings:
    """Merge what the command line gave (None: nothing) with the lower layers.

    ``parameters`` holds the texts of ``--set``.

    Raises:
        UsageError: A value is empty, unknown or does not fit.
    """
    from perfkit_core.settings import load_settings, parse_assignments

    given = dict(values)
    for name, value in given.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not text.strip():
                flag = {"parameters": "set", "backends": "backend", "exporters": "exporter"}.get(name, name)
                raise UsageError(f"--{flag.replace('_', '-')} is empty", fix="give a value, or leave the option out")
    given["set"] = parse_assignments(given.pop("parameters", ()))
    return load_settings(given, config=Path(config) if config is not None else None)


def run_path(text: str) -> Path:
    """Return the run directory named on the command line.

    Raises:
        UsageError: The name is empty or cannot be a path.
    """
    if not text.strip():
        raise UsageError("the run directory is empty", fix="name the directory of a run")
    if any("\ud800" <= char <= "\udfff" for char in text):  # how Python holds bytes that are no UTF-8
        raise UsageError(f"the name of run {text!a} is not UTF-8 text", fix="rename the directory")
    return Path(text)
