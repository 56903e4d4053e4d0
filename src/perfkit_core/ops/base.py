"""What every kind of operation is made of: element types, operands and the operation itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class _DtypeBytes(dict[str, int]):
    def __missing__(self, dtype: str) -> int:
        raise ValueError(f"unknown element type {dtype!r}; known: {', '.join(self)}")


DTYPE_BYTES: Mapping[str, int] = _DtypeBytes(
    {
        "float64": 8,
        "float32": 4,
        "bfloat16": 2,
        "float16": 2,
        "float8_e4m3fn": 1,
        "float8_e5m2": 1,
        "int64": 8,
        "int32": 4,
        "int8": 1,
        "uint8": 1,
        "bool": 1,
    }
)
"""Bytes of one element, by torch dtype name (torch documentation, "Tensor Attributes")."""


class Op(NamedTuple):
    """One distinct call shape of one operation.

    Attributes:
        kind: ``linear``, ``expert_linear``, ``matmul``, ``attention``, ``conv``, ``norm``, ``elementwise``,
            ``embedding`` or ``resample``.
        name: The operator, where the kind has several: ``add``, ``gelu``, ``layer_norm``; else the kind.
        dims: Named sizes, enough to compute every other field again.
        dtype: Element type of the activations.
        calls: How often the whole run makes this call.
        flops: Counted FLOPs per call.
        elementwise_flops: Other arithmetic per call.
        bytes_read: Least bytes read per call, weights included.
        bytes_written: Least bytes written per call.
        weight_bytes_read: The part of ``bytes_read`` that is weights.
        parameters: Parameters this operation owns (0 when another operation of the module owns them).
        weight_bytes: Bytes that those parameters take in memory.
        category: Category that it counts in; empty for that of its module.
    """

    kind: str
    name: str
    dims: Mapping[str, int]
    dtype: str
    calls: int
    flops: int
    elementwise_flops: int
    bytes_read: int
    bytes_written: int
    weight_bytes_read: int
    parameters: int
    weight_bytes: int
    category: str = ""


class Tensor(NamedTuple):
    """Size of one operand.

    Attributes:
        elements: Distinct elements.
        dtype: Their element type.
    """

    elements: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the operand."""
        return self.elements * DTYPE_BYTES[self.dtype]


def of_category(category: str, ops: Iterable[Op]) -> list[Op]:
    """Return ``ops`` as work that counts in a category of its own, such as what an attention module does besides."""
    return [op._replace(category=category) for op in ops]


def sharing_weights(op: Op) -> Op:
    """Return ``op`` as a further call shape of a module whose weights another operation already owns."""
    return op._replace(parameters=0, weight_bytes=0)
