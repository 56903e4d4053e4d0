"""Operations that multiply and add: what ``FlopCounterMode`` counts."""

from __future__ import annotations

from perfkit_core.ops.base import DTYPE_BYTES, Op

SOFTMAX_FLOPS = 5
"""Per attention score: scale, subtract the maximum, exponential, sum, divide."""


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


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result = result * size
    return result
