"""Operations without matrix products: normalisation, pointwise arithmetic, lookups and resizing."""

from __future__ import annotations

from perfkit_core.ops.base import DTYPE_BYTES, Op, Tensor

LAYER_NORM_FLOPS = 5
"""Per element: sum, centre, square, sum of squares, scale; affine weights add 1 each."""

RMS_NORM_FLOPS = 3
"""Per element: square, sum of squares, scale; an affine weight adds 1."""


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
