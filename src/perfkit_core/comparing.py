"""Files and verdict of a comparison between two runs."""

from __future__ import annotations

from pathlib import Path

from perfkit_core import rundir
from perfkit_core.errors import CheckFailed
from perfkit_core.files import write_atomically
from perfkit_core.rundir import Run
from perfkit_core.schema.analysis import Comparison


def write_comparison(comparison: Comparison, base: Run, head: Run, *, out: Path | None = None) -> tuple[Path, ...]:
    """Write a comparison as ``<base name>.json`` and ``.md`` and return both files.

    Args:
        comparison: What ``compare`` returned for the two runs.
        base: Its base run.
        head: Its head run, whose ``compare`` directory is the default place.
        out: Directory to write to instead; created when missing.

    Raises:
        MissingError: A file cannot be written.
    """
    from perfkit_core.report import render_comparison

    name = base.path.resolve().name
    texts = {".json": comparison.model_dump_json(indent=1) + "\n", ".md": render_comparison(comparison)}
    if out is None:
        writer = rundir.open_run(head.path)
        files = tuple(writer.write_text(f"compare/{name}{suffix}", text) for suffix, text in texts.items())
        writer.update()
        return files
    for suffix, text in texts.items():
        write_atomically(out / f"{name}{suffix}", text)
    return tuple(out / f"{name}{suffix}" for suffix in texts)


def fail_if_above(comparison: Comparison, limit: float) -> None:
    """Raise if the head run exceeds the base run by more than ``limit`` (0.05 is 5 %).

    Raises:
        CheckFailed: It does. From a base of 0, any increase does.
    """
    change = comparison.relative_change
    if comparison.total.delta <= 0 or (change is not None and change <= limit):
        return
    grown = "from 0" if change is None else f"by {100 * change:.4g} %"
    raise CheckFailed(
        f"{comparison.by} grew {grown}, more than the {100 * limit:.4g} % that --fail-above allows",
        fix=f"perfkit compare {comparison.base} {comparison.head} names what accounts for it",
    )
