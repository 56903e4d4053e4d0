"""Reading checkpoints: which tensors there are, their shapes, and their numbers when they are asked for.

Nothing is read before it is asked for, one tensor at a time and in the type it is stored in, so a
checkpoint larger than the host's memory can be put on a device. Whatever is wrong with a file is an error
that names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit_core.errors import DamagedFileError, MissingError

Shape = tuple[int, ...]

FLOATING = frozenset({"F64", "F32", "F16", "BF16"})
"""Plain floating-point types, as safetensors names them."""

COMPLETE = "complete the checkpoint directory"
"""What to do when a file is missing."""

_LONGEST_REASON = 200


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


def json_object(path: Path) -> Mapping[str, Any]:
    """Parse one JSON file of a checkpoint, such as ``config.json``.

    Raises:
        MissingError: The file is missing or unreadable.
        DamagedFileError: It is not a JSON object.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"checkpoint file {path} is missing", fix=COMPLETE) from None
    except OSError as error:
        raise MissingError(f"checkpoint file {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"checkpoint file {path} is not valid JSON: {reason(error)}") from None
    if not isinstance(content, dict):
        raise DamagedFileError(f"checkpoint file {path} holds no JSON object")
    return content


def safetensors(directory: Path, stem: str, *, types: Collection[str] = FLOATING) -> Mapping[str, StoredTensor]:
    """Return the tensors of ``<stem>.safetensors``, or of the shards that its index names.

    Args:
        types: Element types that are expected, as safetensors names them; quantised weights are refused so.

    Raises:
        MissingError: The file, its index or one of its shards is missing or unreadable, a tensor is of another
            type, or the package safetensors is not installed.
        DamagedFileError: A file is truncated or cannot be parsed.
    """
    whole, index = directory / f"{stem}.safetensors", directory / f"{stem}.safetensors.index.json"
    if whole.is_file():
        return _file(whole, types)
    if index.is_file():
        return _shards(index, types)
    if any(directory.glob(f"{stem}-*-of-*.safetensors")):
        raise MissingError(f"checkpoint file {index} is missing: it says which shard holds what", fix=COMPLETE)
    raise MissingError(f"checkpoint has neither {whole} nor {index.name} beside it", fix=COMPLETE)


def _shards(index: Path, types: Collection[str]) -> Mapping[str, StoredTensor]:
    places = _weight_map(index)
    shards = {name: index.parent / name for name in sorted(set(places.values()))}
    absent = [name for name, path in shards.items() if not path.is_file()]
    if absent:
        raise MissingError(f"checkpoint {index.parent} lacks {some(absent, 'shard')} of {index.name}", fix=COMPLETE)
    tensors: dict[str, StoredTensor] = {}
    for path in shards.values():
        found = _file(path, types)
        promised = [name for name, shard in places.items() if shard == path.name and name not in found]
        if promised:
            raise MissingError(f"checkpoint file {path} lacks {some(promised)} that {index.name} promises")
        tensors |= found
    return tensors


def _weight_map(index: Path) -> Mapping[str, str]:
    places = json_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise DamagedFileError(f"checkpoint file {index} has no weight_map")
    for shard in places.values():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise DamagedFileError(f"checkpoint file {index} names {shard!r}, which is no file beside it")
    return places


def _file(path: Path, types: Collection[str]) -> Mapping[str, StoredTensor]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingError(f"reading {path} needs safetensors: {error}", fix="pip install safetensors") from None
    try:
        opened: Any = safe_open(path, framework="pt", device="cpu")
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        described = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except OSError as error:
        raise MissingError(f"checkpoint file {path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise damaged(path, error) from None
    refuse_types(path, {name: dtype for name, (dtype, _) in described.items() if dtype not in types})

    def reader(name: str) -> Callable[[], Any]:
        return lambda: opened.get_tensor(name)

    return {name: StoredTensor(path, shape, reader(name)) for name, (_, shape) in described.items()}


def refuse_types(path: Path, strange: Mapping[str, object]) -> None:
    """Refuse a file for the tensors named in ``strange``, with their types.

    Raises:
        MissingError: There are some.
    """
    if strange:
        listed = some([f"{name} ({dtype})" for name, dtype in strange.items()])
        raise MissingError(f"checkpoint file {path} holds {listed} that are no plain floating point")


def damaged(path: Path, error: BaseException) -> DamagedFileError:
    """Return the error of a file that ``error`` says cannot be read to its end."""
    return DamagedFileError(
        f"checkpoint file {path} is damaged or truncated: {reason(error)}", fix="copy or download it again"
    )


def reason(error: BaseException) -> str:
    """Return the first line of an error's text, or its type when it has none."""
    text = str(error).strip()
    return text.splitlines()[0][:_LONGEST_REASON] if text else type(error).__name__


def some(names: Collection[str], what: str = "tensor") -> str:
    """Return how many there are and the first few names: ``"2 tensors (a, b)"``."""
    shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({shown})"
