"""Reading persisted records, with an error that says what is wrong with the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from perfkit_core.errors import DamagedFileError, MissingError
from perfkit_core.schema.base import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    """Read one persisted record.

    Raises:
        DamagedFileError: The file is missing, no JSON, of an unknown schema, or has wrong fields.
        MissingError: The file exists and cannot be read.
    """
    from pydantic import ValidationError

    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise DamagedFileError(f"{path} is missing although the run lists it", fix="repeat the run") from None
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}", fix="check its permissions") from None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(path, kind, text, error.errors(include_url=False)[0]) from None


def _damaged(path: Path, kind: type[Record], text: bytes, problem: Mapping[str, Any]) -> DamagedFileError:
    known = kind.model_fields["schema_"].default
    try:
        content = json.loads(text)
    except ValueError as error:  # also undecodable bytes
        return DamagedFileError(f"{path} is damaged: {error!s:.120}", fix="repeat the run")
    found = content.get("schema") if isinstance(content, dict) else None
    if found != known:
        return DamagedFileError(
            f"{path} follows schema {found!r:.60}; this version reads {known!r}",
            fix="upgrade perfkit-core" if found is not None else "repeat the run",
        )
    where = ".".join(str(part) for part in problem["loc"])
    return DamagedFileError(f"{path} is damaged: {where}: {problem['msg']!s:.120}", fix="repeat the run")
