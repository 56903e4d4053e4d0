"""What the demo should cost: a matrix product in each of its three ranges."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from perfkit_core import ops
from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.errors import UsageError
from perfkit_core.ops import DTYPE_BYTES
from perfkit_core.options import Options
from perfkit_core.specs import ModelRequest


class ThreeRangesOptions(Options):
    """How the demo is held."""

    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16", description="element type: bfloat16|float16|float32"
    )


class ThreeRangesWorkload(Options):
    """Square matrix products."""

    width: int = Field(default=2048, ge=1, le=65536, description="rows and columns of every matrix")


def estimate(request: ModelRequest, workload: ThreeRangesWorkload) -> CostTree:
    """Return the costs of ranges ``A``, ``A/A1`` and ``B``: 2 x width^3 FLOPs in each.

    Raises:
        UsageError: A checkpoint was given; the demo has none to read.
    """
    if request.checkpoint is not None:
        raise UsageError(f"three_ranges cannot read checkpoint {request.checkpoint}", fix="leave out --checkpoint")
    width, dtype = workload.width, dtype_of(request)
    product = ops.linear(width, width, width, dtype, calls=1, bias=False)
    inner = Node("product", "matmul", 1, ops=[product])
    first = Node("stage", "matmul", 1, ops=[product], children=[("A1", inner)])
    second = Node("stage", "matmul", 1, ops=[product])
    matrix = width * width * DTYPE_BYTES[dtype]
    weights = 3 * matrix
    return CostTree(
        stages=[("A", first), ("B", second)],
        memory=MemoryEstimate(
            weight_bytes=weights,
            kv_cache_bytes=0,
            activation_bytes={"A": 3 * matrix, "B": 3 * matrix},
            peak_bytes=weights + 3 * matrix,
        ),
        geometry={"width": width},
        not_modelled=("element-wise work before, between and after the ranges: it is outside every range",),
        architecture=f"bundled:{request.variant}",
    )


def dtype_of(request: ModelRequest) -> str:
    """Return the element type asked for."""
    if not isinstance(request.options, ThreeRangesOptions):
        raise TypeError(f"expected ThreeRangesOptions, got {type(request.options).__name__}")
    return request.options.dtype
