"""Names and shapes of the tensors in a ``.pth`` file, without torch and without running what it holds.

A file written by ``torch.save`` is a zip archive whose ``data.pkl`` describes the tensors; the numbers lie
beside it. The description is a pickle, which can name any function to call, so only those few that
build tensors and dictionaries are known here, and they are replaced by ones that note the shape.
"""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit_core.errors import DamagedFileError, MissingError

Shape = tuple[int, ...]

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
        raise MissingError(f"checkpoint file {path} is missing", fix="complete the checkpoint directory") from None
    except OSError as error:
        raise MissingError(f"checkpoint file {path} cannot be read: {error.strerror or error}") from None
    except StopIteration:
        raise DamagedFileError(f"checkpoint file {path} is no archive of torch: it has no data.pkl") from None
    except _UNREADABLE as error:
        raise DamagedFileError(
            f"checkpoint file {path} is damaged or no archive of torch: {one_line(error)}",
            fix="copy or download it again",
        ) from None
    shapes = dict(content) if isinstance(content, Mapping) else {}
    if not shapes or not all(isinstance(name, str) and isinstance(part, _TensorShape) for name, part in shapes.items()):
        raise MissingError(f"checkpoint file {path} holds no dictionary of tensors", fix="give the official file")
    return {name: tuple(shape) for name, shape in shapes.items()}


def one_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type when it has none."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
