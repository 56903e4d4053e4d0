"""``perfkit scrub``: copies of profilers' files that are safe to share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from perfkit_core.errors import PLUGIN_FAULTS, MissingError, PerfkitError, UsageError
from perfkit_core.recognising import choose_importer, importer_fault
from perfkit_core.registry import Registered
from perfkit_core.specs import ImporterSpec


def scrub_file(
    path: Path, importers: Sequence[Registered[ImporterSpec]], output: Path | None
) -> tuple[Path, list[str]]:
    """Write a copy of a file that is safe to share.

    Args:
        path: The file; it is not changed.
        importers: All importers; the one that reads the file scrubs it.
        output: The copy; ``NAME.scrubbed.SUFFIX`` beside the file by default.

    Returns:
        The copy, and what was done, one line each.

    Raises:
        UsageError: The copy would replace the file.
        MissingError: The file cannot be read, or files of its kind cannot be scrubbed.
        DamagedFileError: The file is damaged.
    """
    spec = choose_importer(path, importers)
    target = path.with_name(f"{path.stem}.scrubbed{path.suffix}") if output is None else output
    if target.exists() and target.resolve() == path.resolve():
        raise UsageError(f"the copy would replace {path}", fix="name another file with -o")
    if spec.scrub is None:
        raise MissingError(
            f"files of importer {spec.name!r} cannot be scrubbed", fix="perfkit import FILE, and share the run's files"
        )
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        done = list(spec.scrub(path, temporary))
        temporary.replace(target)
    except PerfkitError:
        raise
    except OSError as error:
        raise MissingError(f"cannot write {target}: {error.strerror}", fix="choose another file with -o") from None
    except PLUGIN_FAULTS as error:
        raise importer_fault(spec, path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target, done
