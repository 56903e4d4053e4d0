"""Cost tree of the mixture-of-experts language model: prefill over the prompt, decode over a growing context.

Decoding attends to one key more at every step. Everything that attention costs is linear in the number of
keys, so its sum over all steps is exactly that of as many steps at the mean context; where the mean lies
between two whole numbers, half of the steps stand at either. No step is sampled, nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit_core import ops
from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import DTYPE_BYTES, Op, Tensor, sharing_weights
from perfkit_deepseek_ocr.architecture import Decoder
from perfkit_deepseek_ocr.geometry import Geometry

FP32 = "float32"


@dataclass(frozen=True)
class Forward:
    """The forward passes of one stage.

    Attributes:
        batch: Sequences.
        tokens: Tokens of each that go through the network in one pass.
        contexts: Number of keys to number of passes that attend to as many; fewest keys first.
        dtype: Element type of the model.
        owner: Whether this stage's nodes hold the parameters; the other stage runs the same modules.
    """

    batch: int
    tokens: int
    contexts: tuple[tuple[int, int], ...]
    dtype: str
    owner: bool

    @property
    def calls(self) -> int:
        """Passes of the whole run."""
        return sum(times for _, times in self.contexts)

    @property
    def rows(self) -> int:
        """Tokens of all sequences in one pass."""
        return self.batch * self.tokens

    def node(
        self,
        kind: str,
        category: str,
        listed: Sequence[Op] = (),
        *,
        parameters: Sequence[Parameter] = (),
        children: Sequence[tuple[str, Node]] = (),
        shapes: int | Sequence[int] = 1,
    ) -> Node:
        """Return a module that every pass calls once, without its parameters where another stage holds them."""
        return Node(
            kind,
            category,
            self.calls,
            ops=listed if self.owner else [sharing_weights(op) for op in listed],
            parameters=parameters if self.owner else (),
            children=children,
            shapes=shapes,
        )

    def linear(self, category: str, in_features: int, out_features: int) -> Node:
        """Return a linear layer without bias."""
        op = ops.linear(self.rows, in_features, out_features, self.dtype, bias=False, calls=self.calls)
        return self.node("linear", category, [op])


def prefill_forward(geometry: Geometry) -> Forward:
    """Return the one pass per batch over the whole prompt."""
    contexts = ((geometry.prompt, geometry.batches),)
    return Forward(geometry.batch, geometry.prompt, contexts, geometry.dtype, owner=True)


def decode_forward(geometry: Geometry) -> Forward:
    """Return the passes over one token each, at the mean of their contexts."""
    steps, twice_mean = geometry.decode_steps, geometry.first_context + geometry.last_context
    if not steps:
        contexts: tuple[tuple[int, int], ...] = ()
    elif twice_mean % 2:
        half = steps // 2 * geometry.batches
        contexts = ((twice_mean // 2, half), (twice_mean // 2 + 1, half))
    else:
        contexts = ((twice_mean // 2, steps * geometry.batches),)
    return Forward(geometry.batch, 1, contexts, geometry.dtype, owner=False)


def language_model(config: Decoder, forward: Forward) -> Node:
    """Build the tree below ``prefill/language_model`` or ``decode/language_model``."""
    dense = _layer(config, forward, _feed_forward(config, forward, config.dense_width, "feed-forward"))
    sparse = _layer(config, forward, _mixture(config, forward))
    layers = [(f"layers.{index}", dense if index < config.dense_layers else sparse) for index in range(config.layers)]
    lookup = ops.embedding(forward.rows, config.width, config.vocabulary, forward.dtype, calls=forward.calls)
    return forward.node(
        "language model",
        "container",
        children=[
            ("embed_tokens", forward.node("embedding", "embedding", [lookup])),
            *layers,
            ("norm", _norm(config, forward)),
            ("rotary_emb", forward.node("rope", "position embedding", _rotary_tables(config, forward))),
        ],
    )


def output_head(config: Decoder, forward: Forward, positions: int) -> Node:
    """Build ``lm_head`` on ``positions`` tokens of every sequence."""
    rows = forward.batch * positions
    op = ops.linear(rows, config.width, config.vocabulary, forward.dtype, bias=False, calls=forward.calls)
    return forward.node("linear", "head", [op])


def _rotary_tables(config: Decoder, forward: Forward) -> list[Op]:
    """Sine and cosine of every position, in float32, each scaled by one factor."""
    half = config.head_width // 2
    table = Tensor(forward.tokens * config.head_width, FP32)
    angles, positions = Tensor(forward.tokens * half, FP32), Tensor(forward.tokens, FP32)
    return [
        ops.elementwise("mul", angles, positions, Tensor(half, FP32), calls=forward.calls),
        ops.elementwise("cos", table, table, calls=forward.calls),
        ops.elementwise("sin", table, table, calls=forward.calls),
        ops.elementwise("mul", table, table, calls=2 * forward.calls),
    ]


def _norm(config: Decoder, forward: Forward) -> Node:
    return forward.node("norm", "norm", [ops.rms_norm(forward.rows, config.width, forward.dtype, calls=forward.calls)])


def _layer(config: Decoder, forward: Forward, feed_forward: Node) -> Node:
    hidden, norm = Tensor(forward.rows * config.width, forward.dtype), _norm(config, forward)
    return forward.node(
        "block",
        "residual",
        [ops.elementwise("add", hidden, hidden, hidden, calls=2 * forward.calls)],
        children=[
            ("self_attn", _attention(config, forward)),
            ("mlp", feed_forward),
            ("input_layernorm", norm),
            ("post_attention_layernorm", norm),
        ],
    )


def _attention(config: Decoder, forward: Forward) -> Node:
    batch, heads, tokens, width = forward.batch, config.heads, forward.tokens, config.head_width
    cores = [
        ops.attention(batch, heads, tokens, keys, width, forward.dtype, calls=times) for keys, times in forward.contexts
    ]
    rotary = _rotary(config, forward)
    project = forward.linear("attention projection", config.width, config.width)
    return forward.node(
        "attention",
        "decoder attention core",
        [*cores, *rotary],
        children=[(name, project) for name in ("q_proj", "k_proj", "v_proj", "o_proj")],
        shapes=[*([len(cores)] if cores else []), *(1 for _ in rotary)],
    )


def _rotary(config: Decoder, forward: Forward) -> list[Op]:
    """Rotation of queries and keys against tables of one row per position."""
    states = Tensor(forward.rows * config.width, forward.dtype)
    half = Tensor(states.elements // 2, forward.dtype)
    table = Tensor(forward.tokens * config.head_width, forward.dtype)
    return [
        ops.elementwise("mul", states, states, table, calls=4 * forward.calls),
        ops.elementwise("neg", half, half, calls=2 * forward.calls),
        ops.elementwise("add", states, states, states, calls=2 * forward.calls),
    ]


def _feed_forward(config: Decoder, forward: Forward, width: int, category: str) -> Node:
    inner = Tensor(forward.rows * width, forward.dtype)
    silu = ops.elementwise("silu", inner, inner, calls=forward.calls)
    up = forward.linear(category, config.width, width)
    return forward.node(
        "block",
        "activation",
        [ops.elementwise("mul", inner, inner, inner, calls=forward.calls)],
        children=[
            ("gate_proj", up),
            ("up_proj", up),
            ("down_proj", forward.linear(category, width, config.width)),
            ("act_fn", forward.node("activation", "activation", [silu])),
        ],
    )


def _mixture(config: Decoder, forward: Forward) -> Node:
    hidden = Tensor(forward.rows * config.width, forward.dtype)
    shared = _feed_forward(config, forward, config.shared_experts * config.expert_width, "shared experts")
    return forward.node(
        "mixture of experts",
        "residual",
        [ops.elementwise("add", hidden, hidden, hidden, calls=forward.calls)],
        children=[
            ("experts", _experts(config, forward)),
            ("gate", _router(config, forward)),
            ("shared_experts", shared),
        ],
    )


def _router(config: Decoder, forward: Forward) -> Node:
    """Scores of all experts in float32; the weights are held in the model's type and cast at every call."""
    scores = ops.linear(forward.rows, config.width, config.experts, FP32, bias=False, calls=forward.calls)
    held = scores._replace(weight_bytes=scores.parameters * DTYPE_BYTES[forward.dtype])
    weights = Tensor(forward.rows * config.experts_per_token, FP32)
    return forward.node("router", "router", [held, ops.elementwise("mul", weights, weights, calls=forward.calls)])


def _experts(config: Decoder, forward: Forward) -> Node:
    """Routed experts: every token through its few, each expert's matrices read once per pass.

    Which experts the tokens of a pass share depends on the data: as many are taken to be read as the pass can
    reach, which is exact for one token.
    """
    rows, dtype, calls = forward.rows * config.experts_per_token, forward.dtype, forward.calls
    reached = min(config.experts, rows)
    inner, outer = Tensor(rows * config.expert_width, dtype), Tensor(rows * config.width, dtype)

    def matrices(in_features: int, out_features: int) -> Op:
        return ops.expert_linear(rows, reached, config.experts, in_features, out_features, dtype, calls=calls)

    silu = ops.elementwise("silu", inner, inner, calls=calls)
    weighted = ops.elementwise("mul", Tensor(outer.elements, FP32), outer, Tensor(rows, FP32), calls=calls)
    return forward.node(
        "experts",
        "routed experts",
        [
            matrices(config.width, 2 * config.expert_width),
            ops.elementwise("mul", inner, inner, inner, calls=calls),
            matrices(config.expert_width, config.width),
            weighted,
        ],
        children=[("act_fn", forward.node("activation", "activation", [silu]))],
    )
