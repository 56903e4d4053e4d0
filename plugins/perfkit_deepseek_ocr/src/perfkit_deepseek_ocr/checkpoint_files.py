"""The tensors of a checkpoint: where each one lies, its shape, and its numbers when they are asked for.

Nothing is read before it is asked for, one tensor at a time and in the type it is stored in, so a
checkpoint larger than the host's memory can be put on a device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core.errors import DamagedFileError, MissingError

Shape = tuple[int, ...]

_FLOATING = frozenset({"F64", "F32", "F16", "BF16"})
_WHOLE = frozenset({"I64"})
"""Type of the position numbers that a checkpoint may hold; they are never read."""

_COMPLETE = "complete the checkpoint directory"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a checkpoint.

    Attributes:
        path: File that holds it.
        shape: Its shape.
        read: Reads its numbers into host memory.
    """

    path: Path
    shape: Shape
    read: Callable[[], Any]


def safetensors(directory: Path, stem: str) -> Mapping[str, StoredTensor]:
    """Return the tensors of ``<stem>.safetensors``, or of the shards that its index names.

    Raises:
        MissingError: The file, its index or one of its shards is missing or unreadable.
        DamagedFileError: A file is truncated or cannot be parsed.
    """
    whole, index = directory / f"{stem}.safetensors", directory / f"{stem}.safetensors.index.json"
    if whole.is_file():
        return _safetensors_file(whole)
    if index.is_file():
        return _shards(index)
    if any(directory.glob(f"{stem}-*-of-*.safetensors")):
        raise MissingError(f"checkpoint file {index} is missing: it says which shard holds what", fix=_COMPLETE)
    raise MissingError(f"checkpoint has neither {whole} nor {index.name} beside it", fix=_COMPLETE)


def _shards(index: Path) -> Mapping[str, StoredTensor]:
    places = _weight_map(index)
    shards = {name: index.parent / name for name in sorted(set(places.values()))}
    absent = [name for name, path in shards.items() if not path.is_file()]
    if absent:
        raise MissingError(f"checkpoint {index.parent} lacks {_some(absent, 'shard')} of {index.name}", fix=_COMPLETE)
    tensors: dict[str, StoredTensor] = {}
    for path in shards.values():
        found = _safetensors_file(path)
        promised = [name for name, shard in places.items() if shard == path.name and name not in found]
        if promised:
            raise MissingError(f"checkpoint file {path} lacks {_some(promised, 'tensor')} that {index.name} promises")
        tensors |= found
    return tensors


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        content: Any = json.loads(index.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingError(f"checkpoint file {index} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"checkpoint file {index} is not valid JSON: {one_line(error)}") from None
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise DamagedFileError(f"checkpoint file {index} has no weight_map")
    for shard in places.values():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise DamagedFileError(f"checkpoint file {index} names {shard!r}, which is no file beside it")
    return places


def _safetensors_file(path: Path) -> Mapping[str, StoredTensor]:
    from safetensors import SafetensorError, safe_open

    try:
        opened: Any = safe_open(path, framework="pt", device="cpu")
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        described = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except OSError as error:
        raise MissingError(f"checkpoint file {path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise _damaged(path, error) from None
    strange = [f"{name} ({dtype})" for name, (dtype, _) in described.items() if dtype not in _FLOATING | _WHOLE]
    if strange:
        raise MissingError(f"checkpoint file {path} holds {_some(strange, 'tensor')} that are no plain floating point")

    def reader(name: str) -> Callable[[], Any]:
        return lambda: opened.get_tensor(name)

    return {name: StoredTensor(path, shape, reader(name)) for name, (_, shape) in described.items()}


def _damaged(path: Path, error: BaseException) -> DamagedFileError:
    return DamagedFileError(
        f"checkpoint file {path} is damaged or truncated: {one_line(error)}", fix="copy or download it again"
    )


def one_line(error: BaseException) -> str:
    """Return the first line of an error, or its type when it says nothing."""
    return str(error).splitlines()[0] if str(error).strip() else type(error).__name__


def _some(names: list[str], what: str) -> str:
    """Return ``"2 tensors (a, b)"``, the first few names of many."""
    shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({shown})"


def some_tensors(names: list[str]) -> str:
    """Return how many tensors are meant and the first few of their names."""
    return _some(names, "tensor")
