"""What the perceptron should cost: a tree with a node for every module that the real one calls."""

from __future__ import annotations

from typing import NamedTuple

from perfkit_core import ops
from perfkit_core.costtree import CostTree, MemoryEstimate, Node
from perfkit_core.errors import UsageError
from perfkit_core.ops import DTYPE_BYTES, Tensor
from perfkit_core.specs import ModelRequest
from perfkit_example_plugin.options import MlpOptions, MlpWorkload


class Size(NamedTuple):
    """Architecture of one variant: features of input and output, and of the hidden layer."""

    width: int
    hidden: int


SIZES = {"small": Size(256, 1024), "wide": Size(4096, 16384)}
"""Sizes by variant name."""


def estimate(request: ModelRequest, workload: MlpWorkload) -> CostTree:
    """Return the costs of all forward passes; paths start with the stage, here ``forward/mlp``.

    Raises:
        UsageError: A checkpoint was given; the example has none to read.
    """
    size, dtype, rows, calls = size_of(request), dtype_of(request), workload.batch_size, workload.passes
    hidden = Tensor(rows * size.hidden, dtype)
    # Children carry the names that the real module gives them, in call order: that is how results are joined.
    fc1 = ops.linear(rows, size.width, size.hidden, dtype, calls=calls)
    act = ops.elementwise("gelu", hidden, hidden, calls=calls)
    fc2 = ops.linear(rows, size.hidden, size.width, dtype, calls=calls)
    mlp = Node(
        "block",
        "container",
        calls,
        children=[
            ("fc1", Node("linear", "linear", calls, ops=[fc1])),
            ("act", Node("activation", "activation", calls, ops=[act])),
            ("fc2", Node("linear", "linear", calls, ops=[fc2])),
        ],
    )
    stage = Node("stage", "container", calls, children=[("mlp", mlp)])
    return CostTree(
        stages=[("forward", stage)],
        memory=_memory(stage.inclusive.weight_bytes, size, rows, dtype),
        geometry={"rows": rows},
        not_modelled=("moving the input to the device and the output back",),
        architecture=f"bundled:{request.variant}",
    )


def size_of(request: ModelRequest) -> Size:
    """Return the size of the variant asked for.

    Raises:
        UsageError: A checkpoint was given; the example has none to read.
    """
    if request.checkpoint is not None:
        raise UsageError(f"example_mlp cannot read checkpoint {request.checkpoint}", fix="leave out --checkpoint")
    return SIZES[request.variant]


def dtype_of(request: ModelRequest) -> str:
    """Return the element type asked for."""
    if not isinstance(request.options, MlpOptions):
        raise TypeError(f"expected MlpOptions, got {type(request.options).__name__}")
    return request.options.dtype


def _memory(weight_bytes: int, size: Size, rows: int, dtype: str) -> MemoryEstimate:
    """The caller's input lives throughout, beside the activation's input and output or fc2's."""
    alive = size.width + max(2 * size.hidden, size.hidden + size.width)
    activations = rows * alive * DTYPE_BYTES[dtype]
    return MemoryEstimate(
        weight_bytes=weight_bytes,
        kv_cache_bytes=0,
        activation_bytes={"forward": activations},
        peak_bytes=weight_bytes + activations,
    )
