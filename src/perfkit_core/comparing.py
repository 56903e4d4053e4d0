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

    Where a comparison with another run of that name is already there, it is ``<base name>-2`` and so on.

    Args:
        comparison: What ``compare`` returned for the two runs.
        base: Its base run.
        head: Its head run, whose ``compare`` directory is the default place.
        out: Directory to write to instead; created when missing.

    Raises:
        MissingError: A file cannot be written.
    """
    from perfkit_core.report import render_comparison

    name = _name(base, head.path / "compare" if out is None else out)
    texts = {".json": comparison.model_dump_json(indent=1) + "\n", ".md": render_comparison(comparison)}
    if out is None:
        writer = rundir.open_run(head.path)
        files = tuple(writer.write_text(f"compare/{name}{suffix}", text) for suffix, text in texts.items())
        writer.update()
        return files
    for suffix, text in texts.items():
        write_atomically(out / f"{name}{suffix}", text)
    return tuple(out / f"{name}{suffix}" for suffix in texts)


def _name(base: Run, directory: Path) -> str:
    """Return the base run's name; with a number where a comparison with another run of that name is there."""
    own = base.path.resolve()
    name, number = own.name, 1
    while _written_base(directory / f"{name}.json") not in (None, own):
        number += 1
        name = f"{own.name}-{number}"
    return name


def _written_base(path: Path) -> Path | None:
    """Return the base run of a comparison written before; None where nothing worth keeping is."""
    from pydantic import ValidationError

    try:
        return Path(Comparison.model_validate_json(path.read_bytes()).base).resolve()
    except (OSError, ValidationError):  # none, or no comparison of this version
        return None


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
