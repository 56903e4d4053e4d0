"""Every kind of operation against values worked out by hand."""

from __future__ import annotations

import pytest

from perfkit_core import ops
from perfkit_core.ops import Op, Tensor


def values(op: Op) -> dict[str, int]:
    """Everything that an operation costs."""
    return {name: value for name, value in op._asdict().items() if isinstance(value, int) and name != "calls"}


def costs(
    flops: int = 0,
    elementwise: int = 0,
    read: int = 0,
    written: int = 0,
    weights_read: int = 0,
    parameters: int = 0,
    weights: int = 0,
) -> dict[str, int]:
    return {
        "flops": flops,
        "elementwise_flops": elementwise,
        "bytes_read": read,
        "bytes_written": written,
        "weight_bytes_read": weights_read,
        "parameters": parameters,
        "weight_bytes": weights,
    }


CASES = {
    # 2*3*4*5; x 3*4 and weights 4*5+5 at 2 bytes; y 3*5 at 2 bytes
    "linear": (
        ops.linear(3, 4, 5, "bfloat16"),
        costs(120, 15, read=24 + 50, written=30, weights_read=50, parameters=25, weights=50),
    ),
    "linear without bias": (
        ops.linear(3, 4, 5, "float32", bias=False),
        costs(120, read=48 + 80, written=60, weights_read=80, parameters=20, weights=80),
    ),
    # 6 rows reach 2 of 8 experts: 2*6*4*5; the matrices of 2 are read, those of 8 are owned
    "expert_linear": (
        ops.expert_linear(6, 2, 8, 4, 5, "float16"),
        costs(240, read=48 + 80, written=60, weights_read=80, parameters=160, weights=320),
    ),
    # 2*(2*3*4*5); (3*5 + 5*4) twice in, 3*4 twice out
    "matmul": (ops.matmul(2, 3, 4, 5, "float32"), costs(240, read=2 * 35 * 4, written=2 * 12 * 4)),
    # scores 2*3*4*5 = 120, products 2*120*6 each, softmax 5 per score; Q 144, K and V 180 each, O 144 elements
    "attention": (
        ops.attention(2, 3, 4, 5, 6, "bfloat16"),
        costs(2880, 600, read=(144 + 180 + 180) * 2, written=288),
    ),
    "attention with a bias": (
        ops.attention(2, 3, 4, 5, 6, "bfloat16", bias_elements=20),
        costs(2880, 600, read=(144 + 180 + 180 + 20) * 2, written=288),
    ),
    # 3x3, stride 2, on an 8x8 image padded to 10x10 gives 4x4: 4*16 outputs per image, 2*3*9 FLOPs each
    "convolution, strided and padded": (
        ops.conv(2, 3, 4, (3, 3), (10, 10), (4, 4), "float32"),
        costs(
            128 * 54, 128, read=600 * 4 + 112 * 4, written=128 * 4, weights_read=448, parameters=108 + 4, weights=448
        ),
    ),
    # one axis without padding: 7 -> 5
    "convolution of rank 1": (
        ops.conv(1, 2, 3, (3,), (7,), (5,), "bfloat16", bias=False),
        costs(15 * 12, read=28 + 36, written=30, weights_read=36, parameters=18, weights=36),
    ),
    # 2x1x1 over time: 3 -> 2 frames of 2x2
    "convolution of rank 3": (
        ops.conv(1, 1, 2, (2, 1, 1), (3, 2, 2), (2, 2, 2), "float32", bias=False),
        costs(16 * 4, read=48 + 16, written=64, weights_read=16, parameters=4, weights=16),
    ),
    # 5 per element, and 2 with weight and bias; 12 elements
    "layer_norm": (ops.layer_norm(3, 4, "bfloat16"), costs(elementwise=60, read=24, written=24)),
    "layer_norm with weights": (
        ops.layer_norm(3, 4, "bfloat16", affine=True),
        costs(elementwise=84, read=24 + 16, written=24, weights_read=16, parameters=8, weights=16),
    ),
    # 3 per element and 1 with the weight
    "rms_norm": (
        ops.rms_norm(3, 4, "float32"),
        costs(elementwise=48, read=48 + 16, written=48, weights_read=16, parameters=4, weights=16),
    ),
    # a [3, 4] bfloat16 plus a row of 4 float32, written as float32
    "elementwise": (
        ops.elementwise("add", Tensor(12, "float32"), Tensor(12, "bfloat16"), Tensor(4, "float32")),
        costs(elementwise=12, read=24 + 16, written=48),
    ),
    # 3 indices of 8 bytes and 3 rows of 4; the table has 10 rows
    "embedding": (
        ops.embedding(3, 4, 10, "bfloat16"),
        costs(read=24 + 24, written=24, weights_read=24, parameters=40, weights=80),
    ),
    "resample": (ops.resample(10, 40, "float16"), costs(read=20, written=80)),
}


@pytest.mark.parametrize("name", CASES)
def test_worked_out_by_hand(name: str) -> None:
    op, expected = CASES[name]
    assert values(op) == expected


def test_every_kind_is_among_the_cases() -> None:
    kinds = {
        "linear", "expert_linear", "matmul", "attention", "conv", "norm", "elementwise", "embedding", "resample"
    }  # fmt: skip
    assert {op.kind for op, _ in CASES.values()} == kinds
    assert {op.name for op, _ in CASES.values() if op.kind == "norm"} == {"layer_norm", "rms_norm"}


def test_the_arithmetic_that_no_counter_sees() -> None:
    assert (ops.LAYER_NORM_FLOPS, ops.RMS_NORM_FLOPS, ops.SOFTMAX_FLOPS) == (5, 3, 5)


def test_calls_change_nothing_else() -> None:
    once, often = ops.linear(3, 4, 5, "bfloat16"), ops.linear(3, 4, 5, "bfloat16", calls=7)
    assert (once.calls, often.calls) == (1, 7)
    assert once == often._replace(calls=1)


def test_a_second_shape_owns_no_weights_but_reads_them() -> None:
    op = ops.conv(1, 2, 3, (3,), (7,), (5,), "bfloat16")
    shared = ops.sharing_weights(op)
    assert (shared.parameters, shared.weight_bytes) == (0, 0)
    assert shared == op._replace(parameters=0, weight_bytes=0)
    assert shared.weight_bytes_read == 42


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float64", 8), ("float32", 4), ("bfloat16", 2), ("float16", 2), ("float8_e4m3fn", 1), ("float8_e5m2", 1),
        ("int64", 8), ("int32", 4), ("int8", 1), ("uint8", 1), ("bool", 1),
    ],
)  # fmt: skip
def test_element_sizes(dtype: str, size: int) -> None:
    assert Tensor(3, dtype).nbytes == 3 * size


def test_an_unknown_element_type_is_named() -> None:
    with pytest.raises(ValueError, match="unknown element type 'bf16'; known: float64, float32"):
        ops.linear(1, 1, 1, "bf16")


def test_the_sizes_of_an_operation_are_kept() -> None:
    op = ops.conv(2, 3, 4, (3, 5), (10, 12), (4, 6), "float32")
    assert op.dims == {
        "batch": 2, "in_channels": 3, "out_channels": 4, "bias": 1,
        "kernel_0": 3, "in_0": 10, "out_0": 4, "kernel_1": 5, "in_1": 12, "out_1": 6,
    }  # fmt: skip
    with pytest.raises(ValueError, match="zip"):
        ops.conv(2, 3, 4, (3, 5), (10,), (4, 6), "float32")
