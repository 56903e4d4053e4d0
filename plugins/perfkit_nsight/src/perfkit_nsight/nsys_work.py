"""Names and geometries of device work, told apart in the columns of an export."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from perfkit_nsight.capture import WorkKind, WorkName
from perfkit_nsight.nsys_columns import NULL, Columns, combined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Strings = Callable[..., dict[int, str]]
"""Returns the texts of numbers: of StringIds, or of the table and column that are named."""

_GRID, _BLOCK = ("gridX", "gridY", "gridZ"), ("blockX", "blockY", "blockZ")
_UNKNOWN = "(unknown)"


def work_names(kind: WorkKind, columns: Columns, strings: Strings) -> tuple[NDArray[np.int64], tuple[WorkName, ...]]:
    """Return the number of every row's name, and the names.

    Args:
        kind: What the rows are.
        columns: Their columns.
        strings: Looks up texts.
    """
    naming = {"kernel": _kernels, "copy": _copies, "set": _sets, "graph": _graphs}[kind]
    return naming(columns, strings)


def _kernels(columns: Columns, strings: Strings) -> tuple[NDArray[np.int64], tuple[WorkName, ...]]:
    import numpy as np

    parts = ("demangledName", "shortName", *_GRID, *_BLOCK)
    codes, first = combined([columns[part] for part in parts], len(columns["start"]))
    values = {part: columns[part][first].tolist() for part in parts}
    texts = strings(np.array(values["demangledName"] + values["shortName"], dtype=np.int64))
    names = tuple(
        WorkName(
            name=texts.get(long) or texts.get(short) or _UNKNOWN,
            short=texts.get(short, ""),
            grid=_extent(grid),
            block=_extent(block),
        )
        for long, short, grid, block in zip(
            values["demangledName"],
            values["shortName"],
            zip(*(values[part] for part in _GRID), strict=True),
            zip(*(values[part] for part in _BLOCK), strict=True),
            strict=True,
        )
    )
    return codes, names


def _extent(sizes: tuple[int, ...]) -> str:
    return "" if NULL in sizes else ",".join(str(size) for size in sizes)


def _copies(columns: Columns, strings: Strings) -> tuple[NDArray[np.int64], tuple[WorkName, ...]]:
    codes, first = combined([columns["copyKind"]], len(columns["start"]))
    kinds = columns["copyKind"][first]
    labels = strings(kinds, "ENUM_CUDA_MEMCPY_OPER", "label") or strings(kinds, "ENUM_CUDA_MEMCPY_OPER", "name")
    return codes, tuple(
        WorkName(f"copy {labels[kind]}" if kind in labels else "copy" if kind == NULL else f"copy of kind {kind}")
        for kind in kinds.tolist()
    )


def _sets(columns: Columns, _: Strings) -> tuple[NDArray[np.int64], tuple[WorkName, ...]]:
    import numpy as np

    return np.zeros(len(columns["start"]), dtype=np.int64), (WorkName("set"),)


def _graphs(columns: Columns, _: Strings) -> tuple[NDArray[np.int64], tuple[WorkName, ...]]:
    codes, first = combined([columns["graphId"]], len(columns["start"]))
    return codes, tuple(
        WorkName("CUDA graph" if number == NULL else f"CUDA graph {number}")
        for number in columns["graphId"][first].tolist()
    )
