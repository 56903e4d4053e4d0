"""Cost tree of the mixture-of-experts language model: prefill over the prompt, decode over a growing context.

Decoding attends to one key more at every step. Everything that attention costs is linear in the number of
keys, so its sum over all steps is exactly that of as many steps at the mean context; where the mean lies
between two whole numbers, half of the steps stand at either. No step is sampled, nothing is rounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from perfkit_core import ops
from perfkit_core.costtree import Node
from perfkit_core.ops import DTYPE_BYTES, Op, Tensor
from perfkit_deepseek_ocr.architecture import Decoder
from perfkit_deepseek_ocr.geometry import Geometry
from perfkit_deepseek_ocr.shapes import CallShapes

FP32 = "float32"


@dataclass(frozen=True)
class Forward:
    """One forward pass.

    Attributes:
        batch: Sequences.
        tokens: Tokens of each that go through the network.
        keys: Tokens that the last of them attends to, itself included.
        positions: Tokens of each whose logits are computed.
        dtype: Element type of the model.
    """

    batch: int
    tokens: int
    keys: int
    positions: int
    dtype: str

    @property
    def rows(self) -> int:
        """Tokens of all sequences."""
        return self.batch * self.tokens


Forwards = CallShapes[Forward]


def prefill_forwards(geometries: Sequence[Geometry]) -> Forwards:
    """Return the one pass per batch over the whole prompt."""
    calls = [(_prefill(geometry), geometry.batches) for geometry in geometries]
    return Forwards(tuple(sorted(calls, key=lambda entry: entry[0].tokens)), geometries[0].dtype)


def _prefill(geometry: Geometry) -> Forward:
    positions = geometry.prompt if geometry.all_positions else 1
    return Forward(geometry.batch, geometry.prompt, geometry.prompt, positions, geometry.dtype)


def decode_forwards(geometries: Sequence[Geometry]) -> Forwards:
    """Return the passes over one token each, at the mean of the contexts of each kind of batch."""
    counted: Counter[Forward] = Counter()
    for geometry in geometries:
        for keys, times in _mean_contexts(geometry):
            counted[Forward(geometry.batch, 1, keys, 1, geometry.dtype)] += times * geometry.batches
    ordered = sorted(counted.items(), key=lambda entry: entry[0].keys)
    return Forwards(tuple(ordered), geometries[0].dtype, owner=False)


def _mean_contexts(geometry: Geometry) -> list[tuple[int, int]]:
    """Return numbers of keys and of steps that attend to as many; their sum is that of all steps of one batch."""
    steps, twice_mean = geometry.decode_steps, geometry.first_context + geometry.last_context
    if not steps:
        return []
    if twice_mean % 2:
        return [(twice_mean // 2, steps // 2), (twice_mean // 2 + 1, steps // 2)]
    return [(twice_mean // 2, steps)]


def language_model(config: Decoder, forwards: Forwards) -> Node:
    """Build the tree below ``prefill/language_model`` or ``decode/language_model``."""
    dense = _layer(config, forwards, _feed_forward(forwards, config.width, config.dense_width, "feed-forward"))
    sparse = _layer(config, forwards, _mixture(config, forwards))
    layers = [(f"layers.{index}", dense if index < config.dense_layers else sparse) for index in range(config.layers)]
    lookup = forwards.node(
        "embedding",
        "embedding",
        lambda forward: [ops.embedding(forward.rows, config.width, config.vocabulary, forward.dtype)],
    )
    rotary = forwards.node("rope", "position embedding", lambda forward: _rotary_tables(config, forward))
    return forwards.node(
        "language model",
        "container",
        children=[("embed_tokens", lookup), *layers, ("norm", _norm(config, forwards)), ("rotary_emb", rotary)],
    )


def output_head(config: Decoder, forwards: Forwards) -> Node:
    """Build ``lm_head`` on the last tokens of every sequence."""
    return forwards.node(
        "linear",
        "head",
        lambda forward: [
            ops.linear(forward.batch * forward.positions, config.width, config.vocabulary, forward.dtype, bias=False)
        ],
    )


def _linear(forwards: Forwards, category: str, in_features: int, out_features: int) -> Node:
    """A linear layer without bias."""
    return forwards.node(
        "linear",
        category,
        lambda forward: [ops.linear(forward.rows, in_features, out_features, forward.dtype, bias=False)],
    )


def _rotary_tables(config: Decoder, forward: Forward) -> list[Op]:
    """Sine and cosine of every position, in float32, each scaled by one factor."""
    half = config.head_width // 2
    table = Tensor(forward.tokens * config.head_width, FP32)
    angles, positions = Tensor(forward.tokens * half, FP32), Tensor(forward.tokens, FP32)
    return [
        ops.elementwise("mul", angles, positions, Tensor(half, FP32)),
        ops.elementwise("cos", table, table),
        ops.elementwise("sin", table, table),
        ops.elementwise("mul", table, table, calls=2),
    ]


def _norm(config: Decoder, forwards: Forwards) -> Node:
    return forwards.node("norm", "norm", lambda forward: [ops.rms_norm(forward.rows, config.width, forward.dtype)])


def _layer(config: Decoder, forwards: Forwards, feed_forward: Node) -> Node:
    def residual(forward: Forward) -> list[Op]:
        hidden = Tensor(forward.rows * config.width, forward.dtype)
        return [ops.elementwise("add", hidden, hidden, hidden, calls=2)]

    norm = _norm(config, forwards)
    return forwards.node(
        "block",
        "residual",
        residual,
        children=[
            ("self_attn", _attention(config, forwards)),
            ("mlp", feed_forward),
            ("input_layernorm", norm),
            ("post_attention_layernorm", norm),
        ],
    )


def _attention(config: Decoder, forwards: Forwards) -> Node:
    def core(forward: Forward) -> list[Op]:
        sizes = (forward.batch, config.heads, forward.tokens, forward.keys, config.head_width)
        rotation = ops.of_category("rotary embedding", _rotary(config, forward))
        return [ops.attention(*sizes, forward.dtype), *rotation]

    project = _linear(forwards, "attention projection", config.width, config.width)
    return forwards.node(
        "attention",
        "decoder attention core",
        core,
        children=[(name, project) for name in ("q_proj", "k_proj", "v_proj", "o_proj")],
    )


def _rotary(config: Decoder, forward: Forward) -> list[Op]:
    """Rotation of queries and keys against tables of one row per position."""
    states = Tensor(forward.rows * config.width, forward.dtype)
    half = Tensor(states.elements // 2, forward.dtype)
    table = Tensor(forward.tokens * config.head_width, forward.dtype)
    return [
        ops.elementwise("mul", states, states, table, calls=4),
        ops.elementwise("neg", half, half, calls=2),
        ops.elementwise("add", states, states, states, calls=2),
    ]


def _feed_forward(forwards: Forwards, hidden: int, width: int, category: str) -> Node:
    def inner(forward: Forward) -> Tensor:
        return Tensor(forward.rows * width, forward.dtype)

    up = _linear(forwards, category, hidden, width)
    silu = forwards.node(
        "activation", "activation", lambda forward: [ops.elementwise("silu", inner(forward), inner(forward))]
    )
    return forwards.node(
        "block",
        "activation",
        lambda forward: [ops.elementwise("mul", inner(forward), inner(forward), inner(forward))],
        children=[
            ("gate_proj", up),
            ("up_proj", up),
            ("down_proj", _linear(forwards, category, width, hidden)),
            ("act_fn", silu),
        ],
    )


def _mixture(config: Decoder, forwards: Forwards) -> Node:
    def joined(forward: Forward) -> list[Op]:
        hidden = Tensor(forward.rows * config.width, forward.dtype)
        return [ops.elementwise("add", hidden, hidden, hidden)]

    shared_width = config.shared_experts * config.expert_width
    return forwards.node(
        "mixture of experts",
        "residual",
        joined,
        children=[
            ("experts", _experts(config, forwards)),
            ("gate", _router(config, forwards)),
            ("shared_experts", _feed_forward(forwards, config.width, shared_width, "shared experts")),
        ],
    )


def _router(config: Decoder, forwards: Forwards) -> Node:
    """Scores of all experts in float32; the weights are held in the model's type and cast at every call."""

    def scored(forward: Forward) -> list[Op]:
        scores = ops.linear(forward.rows, config.width, config.experts, FP32, bias=False)
        held = scores._replace(weight_bytes=scores.parameters * DTYPE_BYTES[forward.dtype])
        weights = Tensor(forward.rows * config.experts_per_token, FP32)
        return [held, ops.elementwise("mul", weights, weights)]

    return forwards.node("router", "router", scored)


def _experts(config: Decoder, forwards: Forwards) -> Node:
    """Routed experts: every token through its few, each expert's matrices read once per pass."""

    def silu(forward: Forward) -> list[Op]:
        inner = Tensor(forward.rows * config.experts_per_token * config.expert_width, forward.dtype)
        return [ops.elementwise("silu", inner, inner)]

    return forwards.node(
        "experts",
        "routed experts",
        lambda forward: _routed(config, forward),
        children=[("act_fn", forwards.node("activation", "activation", silu))],
    )


def _routed(config: Decoder, forward: Forward) -> list[Op]:
    """Operations of the routed experts.

    Which experts the tokens of a pass share depends on the data: as many are taken to be read as the pass can
    reach, which is exact for one token.
    """
    rows, dtype = forward.rows * config.experts_per_token, forward.dtype
    reached = min(config.experts, rows)
    inner, outer = Tensor(rows * config.expert_width, dtype), Tensor(rows * config.width, dtype)
    return [
        ops.expert_linear(rows, reached, config.experts, config.width, 2 * config.expert_width, dtype),
        ops.elementwise("mul", inner, inner, inner),
        ops.expert_linear(rows, reached, config.experts, config.expert_width, config.width, dtype),
        ops.elementwise("mul", Tensor(outer.elements, FP32), outer, Tensor(rows, FP32)),
    ]
