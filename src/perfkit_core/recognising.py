"""Which importer reads a file: by its suffix and by how it begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfkit_core.errors import PLUGIN_FAULTS, DamagedFileError, MissingError, ToolError, one_line
from perfkit_core.registry import Registered
from perfkit_core.specs import ImporterSpec

HEAD = 1 << 16
"""Bytes of a file that importers look at to recognise it."""


def choose_importer(path: Path, importers: Sequence[Registered[ImporterSpec]]) -> ImporterSpec:
    """Return the importer of a file: one that knows its suffix and recognises its beginning, else that recognises it.

    Raises:
        MissingError: The file is not there or not readable, or no importer reads such files.
        DamagedFileError: It is empty, or is not what its suffix says.
    """
    head = _head(path)
    if not head:
        raise DamagedFileError(f"{path} is empty", fix="record or export it again")
    fitting = [item for item in importers if _recognises(item, path, head)]
    named = [item for item in importers if path.name.lower().endswith(tuple(item.spec.suffixes))]
    best = [item for item in fitting if item in named] or fitting
    if len(best) == 1:
        return best[0].spec
    if best:
        names = ", ".join(item.selector for item in best)
        raise MissingError(
            f"{path} is refused: importers {names} all recognise it", fix="PERFKIT_DISABLE turns a plugin off"
        )
    if named:
        kinds = " or ".join(item.spec.summary for item in named)
        raise DamagedFileError(
            f"{path} is not what its suffix says: {kinds}", fix="record or export it again, or check the file"
        )
    accepted = ", ".join(sorted({suffix for item in importers for suffix in item.spec.suffixes}))
    raise MissingError(
        f"no importer reads {path}",
        fix=f"files accepted are {accepted}" if accepted else "pip install perfkit-nsight brings importers",
    )


def importer_fault(spec: ImporterSpec, path: Path, error: BaseException) -> ToolError:
    """Return the error for an importer that failed in a way of its own."""
    return ToolError(f"importer {spec.name!r} failed on {path}: {one_line(error)}", fix="repeat it with --debug")


def _head(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise MissingError(f"{path} is no file", fix="name the file itself")
        with path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise MissingError(f"cannot read {path!s:.200}: {reason}", fix="check the path") from None


def _recognises(item: Registered[ImporterSpec], path: Path, head: bytes) -> bool:
    try:
        return bool(item.spec.sniff(path, head))
    except PLUGIN_FAULTS as error:
        raise importer_fault(item.spec, path, error) from error
