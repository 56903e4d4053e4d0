"""Reading persisted records, with an error that says what is wrong with the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.schema.base import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)

_INDEX, _CONFIG = "run.json", "config.yaml"

_PACKED, _LARGEST = ".xz", 2**30
"""What the name of a compressed record ends in, and bytes of the largest that is unpacked."""


def read_record(path: Path, kind: type[AnyRecord], *, check: Callable[[AnyRecord], str] | None = None) -> AnyRecord:
    """Read one persisted record; where it is not there, its compressed copy ``NAME.xz``.

    Args:
        check: Returns what in the record contradicts other files of its run; empty when nothing does.

    Raises:
        DamagedFileError: The file is missing, no regular file, no JSON, of an unknown schema, has wrong fields,
            or its values contradict each other.
        MissingError: The file exists and may not be read.
    """
    from pydantic import ValidationError

    text = _read(path)
    try:
        record = kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _unfit(path, kind, text, error.errors(include_url=False)) from None
    problem = record.problem() or (check(record) if check else "")
    if problem:
        raise _damaged(path, problem)
    return record


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise _damaged(path, "it is a directory" if path.is_dir() else "it is no regular file")
        return path.read_bytes()
    except FileNotFoundError:
        packed = packed_name(path)
        if not packed.is_file():
            raise missing_record(path) from None
        return _unpacked(packed)
    except MemoryError:
        raise _damaged(path, "it is larger than the memory of this machine") from None
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}", fix="check its permissions") from None


def packed_name(path: Path) -> Path:
    """Return where a record is that was compressed when its run was passed on."""
    return path.with_name(f"{path.name}{_PACKED}")


def _unpacked(path: Path) -> bytes:
    import lzma

    unpacker = lzma.LZMADecompressor(memlimit=_LARGEST)
    try:
        data = unpacker.decompress(path.read_bytes(), _LARGEST)
    except lzma.LZMAError as error:
        raise _damaged(path, f"it cannot be unpacked: {error}") from None
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}", fix="check its permissions") from None
    if not unpacker.eof:
        raise _damaged(path, f"it is cut off, or has more than {_LARGEST} bytes")
    return data


def missing_record(path: Path) -> DamagedFileError:
    """Return the error for a record that its run lists and that is not there."""
    return DamagedFileError(f"{path} is missing although the run lists it", fix=_again(path))


def _unfit(path: Path, kind: type[Record], text: bytes, problems: list[Any]) -> DamagedFileError:
    """Return the error for text that is no record of this kind."""
    known = kind.model_fields["schema_"].default
    first: Mapping[str, Any] = problems[0]
    if first["type"] == "json_invalid":
        return _damaged(path, first["msg"])
    content = _object(text)
    found = content.get("schema")
    if found != known:
        return DamagedFileError(
            f"{path} follows schema {found!r:.60}; this version reads {known!r}",
            fix="upgrade perfkit-core" if found is not None else _again(path),
        )
    extra = next((problem for problem in problems if problem["type"] == "extra_forbidden"), None)
    if extra is not None:
        return _newer(path, ".".join(map(str, extra["loc"])), content)
    return _damaged(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']:.100}")


def _newer(path: Path, field: str, content: Mapping[str, Any]) -> DamagedFileError:
    """Return the error for a field that this version does not know."""
    version = content.get("perfkit_version") or _version_of_run(path)
    by = f"; perfkit {version!s:.40} wrote it" if version else ""
    return DamagedFileError(
        f"{path} has a field that this version of perfkit does not know: {field:.80}{by}",
        fix=f"if a newer perfkit wrote it, upgrade perfkit-core; else {_again(path)}",
    )


def _version_of_run(path: Path) -> object:
    """Return the version that the index beside or above the file names; None where there is none."""
    for folder in (path.parent, path.parent.parent):
        index = folder / _INDEX
        if index != path and index.is_file():
            try:
                return _object(index.read_bytes()).get("perfkit_version")
            except OSError:  # not readable: the version is a hint alone
                return None
    return None


def _object(text: bytes) -> Mapping[str, Any]:
    """Return JSON that is an object; an empty one for anything else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # also undecodable bytes and integers of too many digits
        return {}
    return content if isinstance(content, dict) else {}


def _damaged(path: Path, problem: str) -> DamagedFileError:
    return DamagedFileError(f"{path} is damaged: {problem:.300}", fix=_again(path))


def _again(path: Path) -> str:
    """Return how to repeat the run that the file belongs to."""
    for folder in (path.parent, path.parent.parent):
        if (folder / _CONFIG).is_file():
            return f"repeat the run: perfkit run --config {folder / _CONFIG} --out NEW"
    return "repeat the run"
