"""Cost tree of the diffusion transformer (``diffusers.WanTransformer3DModel``, attention by SDPA).

Element types follow a model loaded with ``from_pretrained(torch_dtype=…)``: the time embedder, the
modulation tables, the norms of the blocks and the rotary tables stay in float32.
"""

from __future__ import annotations

from perfkit_core import ops
from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import Op, Tensor
from perfkit_wan2_1.architecture import Transformer
from perfkit_wan2_1.geometry import Geometry

FP32 = "float32"


def transformer(config: Transformer, geometry: Geometry) -> Node:
    """Build the tree below ``denoise/step/transformer``: ``steps * passes`` calls of the denoiser."""
    calls, dtype, width = geometry.steps * geometry.passes, geometry.dtype, config.width
    batch, rows = geometry.batch, geometry.batch * geometry.tokens
    hidden, row = Tensor(rows * width, FP32), Tensor(batch * width, FP32)
    both = Tensor(2 * batch * width, FP32)
    table = Tensor(2 * width, FP32)
    block = _block(config, geometry, calls)
    patches = ops.conv(
        batch,
        config.in_channels,
        width,
        config.patch_size,
        (geometry.latent_frames, geometry.latent_height, geometry.latent_width),
        geometry.grid,
        dtype,
        calls=calls,
    )
    head = ops.linear(rows, width, config.out_channels * _volume(config.patch_size), dtype, calls=calls)
    return Node(
        "transformer",
        "modulation",
        calls,
        ops=[
            ops.elementwise("add", both, table, Tensor(batch * width, dtype), calls=calls),
            *_modulate(hidden, row, calls),
        ],
        parameters=[Parameter(2 * width, FP32)],
        children=[
            ("rope", Node("rope", "container", calls)),
            ("patch_embedding", Node("conv", "patch embedding", calls, ops=[patches])),
            ("condition_embedder", _condition_embedder(config, geometry, calls)),
            *((f"blocks.{i}", block) for i in range(config.num_layers)),
            ("norm_out", _norm(rows, width, calls)),
            ("proj_out", Node("linear", "head", calls, ops=[head])),
        ],
    )


def _condition_embedder(config: Transformer, geometry: Geometry, calls: int) -> Node:
    dtype, width, batch = geometry.dtype, config.width, geometry.batch
    text_rows, category = geometry.batch * geometry.text_len, "condition embedding"

    def linear(rows: int, inputs: int, outputs: int, kind: str) -> Node:
        return Node("linear", category, calls, ops=[ops.linear(rows, inputs, outputs, kind, calls=calls)])

    def pointwise(name: str, operand: Tensor) -> Node:
        return Node("activation", category, calls, ops=[ops.elementwise(name, operand, operand, calls=calls)])

    time_embedder = [
        ("linear_1", linear(batch, config.freq_dim, width, FP32)),
        ("act", pointwise("silu", Tensor(batch * width, FP32))),
        ("linear_2", linear(batch, width, width, FP32)),
    ]
    text_embedder = [
        ("linear_1", linear(text_rows, config.text_dim, width, dtype)),
        ("act_1", pointwise("gelu", Tensor(text_rows * width, dtype))),
        ("linear_2", linear(text_rows, width, width, dtype)),
    ]
    return Node(
        "block",
        "container",
        calls,
        children=[
            ("timesteps_proj", Node("embedding", category, calls, ops=_sinusoid(config.freq_dim, batch, calls))),
            ("time_embedder", Node("block", "container", calls, children=time_embedder)),
            ("act_fn", pointwise("silu", Tensor(batch * width, dtype))),
            ("time_proj", linear(batch, width, 6 * width, dtype)),
            ("text_embedder", Node("block", "container", calls, children=text_embedder)),
        ],
    )


def _sinusoid(freq_dim: int, batch: int, calls: int) -> list[Op]:
    """Sine and cosine of ``freq_dim/2`` frequencies per timestep."""
    half = freq_dim // 2
    frequencies, angles = Tensor(half, FP32), Tensor(batch * half, FP32)
    return [
        ops.elementwise("mul", frequencies, frequencies, calls=calls),
        ops.elementwise("div", frequencies, frequencies, calls=calls),
        ops.elementwise("exp", frequencies, frequencies, calls=calls),
        ops.elementwise("mul", angles, Tensor(batch, FP32), frequencies, calls=calls),
        ops.elementwise("mul", angles, angles, calls=calls),
        ops.elementwise("sin", angles, angles, calls=calls),
        ops.elementwise("cos", angles, angles, calls=calls),
    ]


def _block(config: Transformer, geometry: Geometry, calls: int) -> Node:
    dtype, width, batch = geometry.dtype, config.width, geometry.batch
    rows = batch * geometry.tokens
    hidden, row = Tensor(rows * width, FP32), Tensor(batch * width, FP32)
    stored = Tensor(rows * width, dtype)
    table, six = Tensor(6 * width, FP32), Tensor(6 * batch * width, FP32)
    norm = _norm(rows, width, calls)
    cross_norm = _norm(rows, width, calls, affine=True) if config.cross_attn_norm else Node("identity", "norm", calls)
    return Node(
        "block",
        "modulation",
        calls,
        ops=[
            ops.elementwise("add", six, table, six, calls=calls),
            *_modulate(hidden, row, 2 * calls),
            ops.elementwise("mul", hidden, stored, row, calls=calls),
            ops.elementwise("mul", hidden, hidden, row, calls=calls),
            ops.elementwise("add", hidden, hidden, hidden, calls=2 * calls),
            ops.elementwise("add", stored, stored, stored, calls=calls),
        ],
        parameters=[Parameter(6 * width, FP32)],
        children=[
            ("norm1", norm),
            ("attn1", _attention(config, geometry, geometry.tokens, calls, rotary=True)),
            ("norm2", cross_norm),
            ("attn2", _attention(config, geometry, geometry.text_len, calls, rotary=False)),
            ("norm3", norm),
            ("ffn", _feed_forward(config, rows, dtype, calls)),
        ],
    )


def _modulate(hidden: Tensor, row: Tensor, calls: int) -> list[Op]:
    """``hidden * (1 + scale) + shift`` in float32, scale and shift one row per video."""
    return [
        ops.elementwise("add", row, row, calls=calls),
        ops.elementwise("mul", hidden, hidden, row, calls=calls),
        ops.elementwise("add", hidden, hidden, row, calls=calls),
    ]


def _norm(rows: int, width: int, calls: int, *, affine: bool = False) -> Node:
    return Node("norm", "norm", calls, ops=[ops.layer_norm(rows, width, FP32, affine=affine, calls=calls)])


def _attention(config: Transformer, geometry: Geometry, kv_len: int, calls: int, *, rotary: bool) -> Node:
    dtype, width, batch, heads = geometry.dtype, config.width, geometry.batch, config.num_attention_heads
    q_rows, kv_rows = batch * geometry.tokens, batch * kv_len

    def linear(rows: int) -> Node:
        return Node("linear", "attention projection", calls, ops=[ops.linear(rows, width, width, dtype, calls=calls)])

    def norm(rows: int) -> Node:
        return Node("norm", "norm", calls, ops=[ops.rms_norm(rows, width, dtype, calls=calls)])

    core = ops.attention(batch, heads, geometry.tokens, kv_len, config.attention_head_dim, dtype, calls=calls)
    project, project_kv = linear(q_rows), linear(kv_rows)
    return Node(
        "attention",
        "self-attention core" if rotary else "cross-attention core",
        calls,
        ops=[core, *_rotary(config, geometry, calls)] if rotary else [core],
        children=[
            ("to_q", project),
            ("to_k", project_kv),
            ("to_v", project_kv),
            ("norm_q", norm(q_rows)),
            ("norm_k", norm(kv_rows)),
            ("to_out.0", project),
            ("to_out.1", Node("dropout", "container", calls)),
        ],
    )


def _rotary(config: Transformer, geometry: Geometry, calls: int) -> list[Op]:
    """Rotation of queries and keys, two halves each, against float32 tables of one row per token."""
    pairs = config.attention_head_dim // 2
    half = geometry.batch * geometry.tokens * config.num_attention_heads * pairs
    rotated, table = Tensor(half, FP32), Tensor(geometry.tokens * pairs, FP32)
    rotation = [
        ops.elementwise("mul", rotated, Tensor(half, geometry.dtype), table, calls=8 * calls),
        ops.elementwise("sub", rotated, rotated, rotated, calls=2 * calls),
        ops.elementwise("add", rotated, rotated, rotated, calls=2 * calls),
    ]
    return ops.of_category("rotary embedding", rotation)


def _feed_forward(config: Transformer, rows: int, dtype: str, calls: int) -> Node:
    inner = Tensor(rows * config.ffn_dim, dtype)
    up = ops.linear(rows, config.width, config.ffn_dim, dtype, calls=calls)
    down = ops.linear(rows, config.ffn_dim, config.width, dtype, calls=calls)
    gelu = Node(
        "activation",
        "activation",
        calls,
        ops=[ops.elementwise("gelu", inner, inner, calls=calls)],
        children=[("proj", Node("linear", "feed-forward", calls, ops=[up]))],
    )
    return Node(
        "block",
        "container",
        calls,
        children=[
            ("net.0", gelu),
            ("net.1", Node("dropout", "container", calls)),
            ("net.2", Node("linear", "feed-forward", calls, ops=[down])),
        ],
    )


def _volume(patch: tuple[int, int, int]) -> int:
    return patch[0] * patch[1] * patch[2]
