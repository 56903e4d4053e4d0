"""What one operation costs: FLOPs, least bytes moved and parameters, per kind of operation.

Every formula of the cost models lives in this package, so that a number in a report can be traced to one line.
An *operation* is one call of a tensor operator as the reference implementation issues it.

Conventions
    * A multiply-add is 2 FLOPs. ``flops`` holds matrix products, convolutions and attention only: what
      ``torch.utils.flop_counter.FlopCounterMode`` counts. Everything else is ``elementwise_flops``.
    * Bytes are the least an ideal kernel of that one operation moves: each input and weight once, each
      output once. Attention is Q + K + V + bias + O; the score matrix never leaves the chip.
    * All values of an ``Op`` are *per call*; ``calls`` says how often the whole run makes that call.

Dimensions are plain integers, so nothing overflows. The formulas use only ``+`` and ``*``: they accept
symbols (the generated formula page) and object arrays (sweeps) as well.
"""

from __future__ import annotations

from perfkit_core.ops.base import DTYPE_BYTES, Op, Tensor, of_category, sharing_weights
from perfkit_core.ops.elementary import (
    LAYER_NORM_FLOPS,
    RMS_NORM_FLOPS,
    elementwise,
    embedding,
    layer_norm,
    resample,
    rms_norm,
)
from perfkit_core.ops.products import SOFTMAX_FLOPS, attention, conv, expert_linear, linear, matmul

__all__ = [
    "DTYPE_BYTES",
    "LAYER_NORM_FLOPS",
    "RMS_NORM_FLOPS",
    "SOFTMAX_FLOPS",
    "Op",
    "Tensor",
    "attention",
    "conv",
    "elementwise",
    "embedding",
    "expert_linear",
    "layer_norm",
    "linear",
    "matmul",
    "of_category",
    "resample",
    "rms_norm",
    "sharing_weights",
]
