"""Cost tree of the UMT5 text encoder (``transformers.UMT5EncoderModel``, attention by SDPA)."""

from __future__ import annotations

from perfkit_core import ops
from perfkit_core.costtree import Node
from perfkit_core.ops import Op, Tensor
from perfkit_wan2_1.architecture import TextEncoder
from perfkit_wan2_1.geometry import Geometry

FP32 = "float32"


def kept_in_float32(dtype: str) -> bool:
    """Return whether the feed-forward's second matrix, ``wo``, stays in float32.

    transformers keeps it so in float16 alone (``UMT5PreTrainedModel._keep_in_fp32_modules``), because
    float16 overflows there. Its result is float32, and so is everything that it is added to from then on.
    """
    return dtype == "float16"


def text_encoder(config: TextEncoder, geometry: Geometry) -> Node:
    """Build the tree below ``text_encoder``; one call per prompt, two with guidance."""
    calls, dtype = geometry.passes, geometry.dtype
    rows = geometry.batch * geometry.text_len
    embed = ops.embedding(rows, config.d_model, config.vocab_size, dtype, calls=calls)
    later = FP32 if kept_in_float32(dtype) else dtype
    first = _block(config, geometry, calls, dtype)
    other = first if later == dtype else _block(config, geometry, calls, later)
    encoder = Node(
        "encoder",
        "container",
        calls,
        children=[
            ("embed_tokens", Node("embedding", "embedding", calls, ops=[embed])),
            ("dropout", Node("dropout", "container", 2 * calls)),
            *((f"block.{i}", other if i else first) for i in range(config.num_layers)),
            ("final_layer_norm", _norm(config, rows, later, dtype, calls)),
        ],
    )
    shared = Node("embedding", "embedding", 0)  # the same table as embed_tokens, held under a second name
    return Node("stage", "container", calls, children=[("encoder", encoder), ("shared", shared)])


def _block(config: TextEncoder, geometry: Geometry, calls: int, stream: str) -> Node:
    """One block; ``stream`` is the element type of the hidden states that come in."""
    dtype, rows = geometry.dtype, geometry.batch * geometry.text_len
    hidden = Tensor(rows * config.d_model, stream)
    norm, dropout = _norm(config, rows, stream, dtype, calls), Node("dropout", "container", calls)
    attended = ops.elementwise("add", hidden, hidden, Tensor(hidden.elements, dtype), calls=calls)
    fed = Tensor(hidden.elements, FP32 if kept_in_float32(dtype) else dtype)
    layer_0 = Node(
        "block",
        "residual",
        calls,
        ops=[attended],
        children=[
            ("layer_norm", norm),
            ("SelfAttention", _self_attention(config, geometry, calls)),
            ("dropout", dropout),
        ],
    )
    layer_1 = Node(
        "block",
        "residual",
        calls,
        ops=[ops.elementwise("add", fed, hidden, fed, calls=calls)],
        children=[
            ("layer_norm", norm),
            ("DenseReluDense", _feed_forward(config, rows, dtype, calls, dropout)),
            ("dropout", dropout),
        ],
    )
    # Hidden states in float16, which those after the first feed-forward are not, are clamped.
    clamps = _overflow_clamp(hidden, calls) if stream == "float16" else []
    return Node("block", "residual", calls, ops=clamps, children=[("layer.0", layer_0), ("layer.1", layer_1)])


def _overflow_clamp(hidden: Tensor, calls: int) -> list[Op]:
    """In float16 the reference looks for infinities after each half of a block and clamps."""
    limit = Tensor(1, FP32)
    return [
        ops.elementwise("isinf", Tensor(hidden.elements, "bool"), hidden, calls=calls),
        ops.elementwise("where", limit, Tensor(1, "bool"), limit, limit, calls=calls),
        ops.elementwise("neg", limit, limit, calls=calls),
        ops.elementwise("clamp", hidden, hidden, limit, limit, calls=calls),
    ]


def _norm(config: TextEncoder, rows: int, stream: str, dtype: str, calls: int) -> Node:
    """Norm of hidden states of type ``stream``, with weights and result in ``dtype``."""
    op = ops.rms_norm(rows, config.d_model, dtype, calls=calls)
    if stream != dtype:
        entered = rows * config.d_model * ops.DTYPE_BYTES[stream]
        op = op._replace(dims={**op.dims, "input_bytes": entered}, bytes_read=entered + op.weight_bytes)
    return Node("norm", "norm", calls, ops=[op])


def _self_attention(config: TextEncoder, geometry: Geometry, calls: int) -> Node:
    batch, length, dtype = geometry.batch, geometry.text_len, geometry.dtype
    inner, rows = config.num_heads * config.d_kv, batch * length
    inward = ops.linear(rows, config.d_model, inner, dtype, bias=False, calls=calls)
    outward = ops.linear(rows, inner, config.d_model, dtype, bias=False, calls=calls)
    project = Node("linear", "attention projection", calls, ops=[inward])
    core = ops.attention(
        batch,
        config.num_heads,
        length,
        length,
        config.d_kv,
        dtype,
        bias_elements=config.num_heads * length * length,
        calls=calls,
    )
    bias = ops.embedding(length * length, config.num_heads, config.relative_attention_num_buckets, dtype, calls=calls)
    return Node(
        "attention",
        "text attention core",
        calls,
        ops=[core, *ops.of_category("relative positions", _position_buckets(length, calls))],
        children=[
            ("q", project),
            ("k", project),
            ("v", project),
            ("relative_attention_bias", Node("embedding", "embedding", calls, ops=[bias])),
            ("o", Node("linear", "attention projection", calls, ops=[outward])),
        ],
    )


def _position_buckets(length: int, calls: int) -> list[Op]:
    """Arithmetic that maps each of ``length**2`` distances to a bucket, done anew in every layer."""
    pairs = length * length
    positions, integer, boolean = Tensor(length, "int64"), Tensor(pairs, "int64"), Tensor(pairs, "bool")
    real = Tensor(pairs, "float32")
    return [
        ops.elementwise("add", positions, positions, calls=calls),
        ops.elementwise("sub", integer, positions, positions, calls=calls),
        ops.elementwise("gt", boolean, integer, calls=calls),
        ops.elementwise("mul", integer, integer, calls=calls),
        ops.elementwise("add", integer, integer, calls=2 * calls),
        ops.elementwise("abs", integer, integer, calls=calls),
        ops.elementwise("lt", boolean, integer, calls=calls),
        ops.elementwise("div", real, real, calls=2 * calls),
        ops.elementwise("log", real, real, calls=calls),
        ops.elementwise("mul", real, real, calls=calls),
        ops.elementwise("minimum", integer, integer, integer, calls=calls),
        ops.elementwise("where", integer, boolean, integer, integer, calls=calls),
        ops.elementwise("add_", integer, integer, integer, calls=calls),
    ]


def _feed_forward(config: TextEncoder, rows: int, dtype: str, calls: int, dropout: Node) -> Node:
    inner, result = Tensor(rows * config.d_ff, dtype), FP32 if kept_in_float32(dtype) else dtype
    up = Node(
        "linear",
        "feed-forward",
        calls,
        ops=[ops.linear(rows, config.d_model, config.d_ff, dtype, bias=False, calls=calls)],
    )
    down = Node(
        "linear",
        "feed-forward",
        calls,
        ops=[ops.linear(rows, config.d_ff, config.d_model, result, bias=False, calls=calls)],
    )
    return Node(
        "block",
        "activation",
        calls,
        ops=[ops.elementwise("mul", inner, inner, inner, calls=calls)],
        children=[
            ("wi_0", up),
            ("act", Node("activation", "activation", calls, ops=_activation(config.dense_act_fn, inner, calls))),
            ("wi_1", up),
            ("dropout", dropout),
            ("wo", down),
        ],
    )


def _activation(name: str, inner: Tensor, calls: int) -> list[Op]:
    """The gate's activation; ``gelu_new`` is written out in eight operators by transformers."""
    if name != "gelu_new":
        return [ops.elementwise(name, inner, inner, calls=calls)]
    return [
        ops.elementwise("mul", inner, inner, calls=3 * calls),
        ops.elementwise("pow", inner, inner, calls=calls),
        ops.elementwise("add", inner, inner, inner, calls=calls),
        ops.elementwise("tanh", inner, inner, calls=calls),
        ops.elementwise("add", inner, inner, calls=calls),
        ops.elementwise("mul", inner, inner, inner, calls=calls),
    ]
