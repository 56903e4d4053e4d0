"""What one operation costs: FLOPs, least bytes moved and parameters, per kind of operation.

Every formula of the cost models lives here, so that a number in a report can be traced to one line.
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

from collections.abc import Mapping
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

LAYER_NORM_FLOPS = 5
"""Per element: sum, centre, square, sum of squares, scale; affine weights add 1 each."""

RMS_NORM_FLOPS = 3
"""Per element: square, sum of squares, scale; an affine weight adds 1."""

SOFTMAX_FLOPS = 5
"""Per attention score: scale, subtract the maximum, exponential, sum, divide."""


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


def sharing_weights(op: Op) -> Op:
    """Return ``op`` as a further call shape of a module whose weights another operation already owns."""
    return op._replace(parameters=0, weight_bytes=0)


def linear(
    rows: int,
    in_features: int,
    out_features: int,
    dtype: str,
    *,
    bias: bool = True,
    calls: int = 1,
) -> Op:
    """``y[rows, out] = x[rows, in] @ W[in, out] (+ b)``; FLOPs ``2*rows*in*out``, weights in ``dtype``."""
    size = DTYPE_BYTES[dtype]
    parameters = in_features * out_features + (out_features if bias else 0)
    weight_bytes = parameters * size
    return Op(
        "linear",
        "linear",
        {"rows": rows, "in_features": in_features, "out_features": out_features, "bias": int(bias)},
        dtype,
        calls,
        2 * rows * in_features * out_features,
        rows * out_features if bias else 0,
        rows * in_features * size + weight_bytes,
        rows * out_features * size,
        weight_bytes,
        parameters,
        weight_bytes,
    )


def expert_linear(
    rows: int, read: int, experts: int, in_features: int, out_features: int, dtype: str, *, calls: int = 1
) -> Op:
    """``rows`` pairs of token and expert, each through its expert's ``[in, out]`` matrix, without bias.

    FLOPs ``2*rows*in*out``. A grouped kernel (MegaBlocks, Gale et al. 2022) reads an expert's matrix once.

    Args:
        read: Experts that the rows reach, at most ``experts``; all of them are parameters.
    """
    size = DTYPE_BYTES[dtype]
    weight_read = read * in_features * out_features * size
    parameters = experts * in_features * out_features
    return Op(
        "expert_linear",
        "expert_linear",
        {"rows": rows, "read": read, "experts": experts, "in_features": in_features, "out_features": out_features},
        dtype,
        calls,
        2 * rows * in_features * out_features,
        0,
        rows * in_features * size + weight_read,
        rows * out_features * size,
        weight_read,
        parameters,
        parameters * size,
    )


def matmul(batch: int, m: int, n: int, k: int, dtype: str, *, calls: int = 1) -> Op:
    """``batch`` products ``[m, k] @ [k, n]`` of two activations; FLOPs ``2*batch*m*n*k``."""
    size = DTYPE_BYTES[dtype]
    return Op(
        "matmul",
        "matmul",
        {"batch": batch, "m": m, "n": n, "k": k},
        dtype,
        calls,
        2 * batch * m * n * k,
        0,
        batch * (m * k + k * n) * size,
        batch * m * n * size,
        0,
        0,
        0,
    )


def attention(
    batch: int,
    heads: int,
    q: int,
    kv: int,
    d: int,
    dtype: str,
    *,
    bias_elements: int = 0,
    calls: int = 1,
) -> Op:
    """``softmax(Q K^T + bias) V`` over full (not causal-halved) scores.

    Q and O are ``[batch, heads, q, d]``, K and V ``[batch, heads, kv, d]``. FLOPs are the two products,
    ``2*batch*heads*q*kv*d`` each; bytes are Q + K + V + bias + O (as in FlashAttention, Dao et al. 2022).

    Args:
        bias_elements: Elements of an additive bias or mask that the operation reads.
    """
    size = DTYPE_BYTES[dtype]
    scores = batch * heads * q * kv
    return Op(
        "attention",
        "attention",
        {"batch": batch, "heads": heads, "q": q, "kv": kv, "d": d, "bias_elements": bias_elements},
        dtype,
        calls,
        4 * scores * d,
        SOFTMAX_FLOPS * scores,
        (batch * heads * (q + 2 * kv) * d + bias_elements) * size,
        batch * heads * q * d * size,
        0,
        0,
        0,
    )


def conv(
    batch: int,
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, ...],
    in_size: tuple[int, ...],
    out_size: tuple[int, ...],
    dtype: str,
    *,
    bias: bool = True,
    calls: int = 1,
) -> Op:
    """Dense convolution of any rank; FLOPs ``2*batch*out_channels*prod(out_size)*in_channels*prod(kernel)``.

    Args:
        kernel: Kernel size per spatial (or temporal) axis.
        in_size: Size of the input that the operation is given, explicit padding included.
        out_size: Size of the output.
    """
    size = DTYPE_BYTES[dtype]
    taps, pixels_in, pixels_out = _product(kernel), _product(in_size), _product(out_size)
    parameters = in_channels * out_channels * taps + (out_channels if bias else 0)
    weight_bytes = parameters * size
    dims = {"batch": batch, "in_channels": in_channels, "out_channels": out_channels, "bias": int(bias)}
    for axis, (k, before, after) in enumerate(zip(kernel, in_size, out_size, strict=True)):
        dims |= {f"kernel_{axis}": k, f"in_{axis}": before, f"out_{axis}": after}
    outputs = batch * out_channels * pixels_out
    return Op(
        "conv",
        "conv",
        dims,
        dtype,
        calls,
        2 * outputs * in_channels * taps,
        outputs if bias else 0,
        batch * in_channels * pixels_in * size + weight_bytes,
        outputs * size,
        weight_bytes,
        parameters,
        weight_bytes,
    )


def layer_norm(rows: int, width: int, dtype: str, *, affine: bool = False, calls: int = 1) -> Op:
    """LayerNorm over ``width``: reads x (and weight, bias) once, writes y once."""
    return _norm(
        "layer_norm", rows, width, dtype, 2 * width if affine else 0, LAYER_NORM_FLOPS + 2 * affine, dtype, calls
    )


def rms_norm(rows: int, width: int, dtype: str, *, calls: int = 1) -> Op:
    """RMSNorm with a weight over ``width``: reads x and weight once, writes y once."""
    return _norm("rms_norm", rows, width, dtype, width, RMS_NORM_FLOPS + 1, dtype, calls)


def _norm(
    name: str, rows: int, width: int, dtype: str, parameters: int, flops: int, weight_dtype: str, calls: int
) -> Op:
    nbytes = rows * width * DTYPE_BYTES[dtype]
    weight_bytes = parameters * DTYPE_BYTES[weight_dtype]
    return Op(
        "norm",
        name,
        {"rows": rows, "width": width, "parameters": parameters},
        dtype,
        calls,
        0,
        flops * rows * width,
        nbytes + weight_bytes,
        nbytes,
        weight_bytes,
        parameters,
        weight_bytes,
    )


def elementwise(name: str, output: Tensor, *inputs: Tensor, calls: int = 1) -> Op:
    """One pointwise operator: each input (before broadcasting) is read once, the output written once.

    Counts one elementwise FLOP per output element.
    """
    read = sum(operand.elements * DTYPE_BYTES[operand.dtype] for operand in inputs)
    written = output.elements * DTYPE_BYTES[output.dtype]
    return Op(
        "elementwise",
        name,
        {"elements": output.elements, "bytes_read": read, "bytes_written": written},
        output.dtype,
        calls,
        0,
        output.elements,
        read,
        written,
        0,
        0,
        0,
    )


def embedding(tokens: int, width: int, vocabulary: int, dtype: str, *, calls: int = 1) -> Op:
    """Table lookup: reads ``tokens`` int64 indices and as many rows of ``width``, writes those rows."""
    rows = tokens * width * DTYPE_BYTES[dtype]
    parameters = vocabulary * width
    return Op(
        "embedding",
        "embedding",
        {"tokens": tokens, "width": width, "vocabulary": vocabulary},
        dtype,
        calls,
        0,
        0,
        tokens * DTYPE_BYTES["int64"] + rows,
        rows,
        rows,
        parameters,
        parameters * DTYPE_BYTES[dtype],
    )


def resample(elements_in: int, elements_out: int, dtype: str, *, calls: int = 1) -> Op:
    """Nearest-neighbour resizing: reads the input once, writes the output once, computes nothing."""
    size = DTYPE_BYTES[dtype]
    return Op(
        "resample",
        "resample",
        {"elements_in": elements_in, "elements_out": elements_out},
        dtype,
        calls,
        0,
        0,
        elements_in * size,
        elements_out * size,
        0,
        0,
        0,
    )


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result = result * size
    return result
