"""The tensors in a ``.pth`` file: names and shapes without torch, and nothing that it holds is run.

A file written by ``torch.save`` is a zip archive whose ``data.pkl`` describes the tensors; the numbers lie
beside it. The description is a pickle, which can name any function to call, so only those few that
build tensors and dictionaries are known here, and they are replaced by ones that note the shape.
"""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perfkit_core.checkpoints import COMPLETE, Shape, StoredTensor, damaged, reason, refuse_types
from perfkit_core.errors import DamagedFileError, MissingError

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a damaged zip archive or pickle raises."""


class _TensorShape(tuple[int, ...]):
    """The shape of a tensor, told apart from any other tuple in the file."""

    __slots__ = ()


class _Shapes(pickle.Unpickler):
    """Reads the description of tensors; a tensor becomes its shape."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for the few names that tensors need."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _shape_of
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _first
        if module in {"torch", "torch.storage"}:
            return name  # a storage or element type, only ever an argument
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> None:
        """Leave the numbers where they are."""


def _shape_of(_storage: object, _offset: object, size: Any, *_rest: object) -> _TensorShape:
    return _TensorShape(int(length) for length in size)


def _first(value: Any, *_rest: object) -> Any:
    return value


def tensor_shapes(path: Path) -> Mapping[str, Shape]:
    """Return the shape of every tensor of the dictionary in ``path``, by name.

    Raises:
        MissingError: The file is missing, unreadable, or holds something else than named tensors.
        DamagedFileError: The file is truncated or no archive of torch.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl")
            with archive.open(member) as stream:
                content = _Shapes(stream).load()
    except FileNotFoundError:
        raise MissingError(f"checkpoint file {path} is missing", fix=COMPLETE) from None
    except OSError as error:
        raise MissingError(f"checkpoint file {path} cannot be read: {error.strerror or error}") from None
    except StopIteration:
        raise DamagedFileError(f"checkpoint file {path} is no archive of torch: it has no data.pkl") from None
    except _UNREADABLE as error:
        raise DamagedFileError(
            f"checkpoint file {path} is damaged or no archive of torch: {reason(error)}",
            fix="copy or download it again",
        ) from None
    shapes = dict(content) if isinstance(content, Mapping) else {}
    if not shapes or not all(isinstance(name, str) and isinstance(part, _TensorShape) for name, part in shapes.items()):
        raise MissingError(f"checkpoint file {path} holds no dictionary of tensors", fix="give the official file")
    return {name: tuple(shape) for name, shape in shapes.items()}


def torch_file(path: Path) -> Mapping[str, StoredTensor]:
    """Return the tensors of a ``.pth`` file; nothing that the file asks to be called is called.

    Raises:
        MissingError: The file is missing, unreadable or holds no named tensors.
        DamagedFileError: The file is truncated or no archive of torch.
    """
    import torch

    shapes = tensor_shapes(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise MissingError(f"checkpoint file {path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # noqa: BLE001 - torch raises many types for a damaged file, all mean the same here
        raise damaged(path, error) from None
    refuse_types(path, {name: tensor.dtype for name, tensor in content.items() if not tensor.is_floating_point()})

    def reader(name: str) -> Callable[[], Any]:
        return lambda: content[name]

    return {name: StoredTensor(path, shape, reader(name)) for name, shape in shapes.items()}
