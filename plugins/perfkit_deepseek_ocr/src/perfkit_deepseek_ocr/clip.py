"""Cost tree of the CLIP vision encoder on SAM features (attention by SDPA)."""

from __future__ import annotations

from perfkit_core import ops
from perfkit_core.costtree import Node, Parameter
from perfkit_core.ops import Op, Tensor
from perfkit_deepseek_ocr.architecture import Clip
from perfkit_deepseek_ocr.geometry import View
from perfkit_deepseek_ocr.shapes import Views

FP32 = "float32"


def clip(config: Clip, views: Views) -> Node:
    """Build the tree below ``prefill/vision/clip``; a sequence is the features and the class token."""
    layer = _layer(config, views)
    layers = [(f"layers.{index}", layer) for index in range(config.layers)]
    return views.node(
        "encoder",
        "container",
        children=[
            ("embeddings", _embeddings(config, views)),
            ("pre_layrnorm", _norm(config, views)),
            ("encoder", views.node("block", "container", children=layers)),
        ],
    )


def _rows(view: View) -> int:
    return view.images * _length(view)


def _length(view: View) -> int:
    return view.queries**2 + 1


def _embeddings(config: Clip, views: Views) -> Node:
    """Class token and positions; the position table is looked up where it fits, and resized elsewhere."""
    entries = config.table_side**2 + 1

    def add(view: View) -> list[Op | None]:
        hidden, table = (
            Tensor(_rows(view) * config.width, views.dtype),
            Tensor(_length(view) * config.width, views.dtype),
        )
        resized = ops.resample(config.table_side**2 * config.width, view.queries**2 * config.width, FP32)
        return [
            None if view.queries == config.table_side else resized,
            ops.elementwise("add", hidden, hidden, table),
        ]

    fitting = sum(times for view, times in views.calls if view.queries == config.table_side)
    lookup = ops.embedding(entries, config.width, entries, views.dtype, calls=fitting)
    table = Parameter(entries * config.width, views.dtype)
    position = Node(
        "embedding",
        "embedding",
        fitting,
        ops=[lookup] if fitting else [],
        parameters=[] if fitting else [table],
    )
    return views.node(
        "embedding",
        "position embedding",
        add,
        parameters=[Parameter(config.width, views.dtype)],
        children=[("position_embedding", position)],
    )


def _norm(config: Clip, views: Views) -> Node:
    return views.node(
        "norm",
        "norm",
        lambda view: [ops.layer_norm(_rows(view), config.width, views.dtype, affine=True)],
    )


def _linear(views: Views, category: str, in_features: int, out_features: int) -> Node:
    return views.node(
        "linear",
        category,
        lambda view: [ops.linear(_rows(view), in_features, out_features, views.dtype)],
    )


def _layer(config: Clip, views: Views) -> Node:
    norm = _norm(config, views)

    def residual(view: View) -> list[Op]:
        hidden = Tensor(_rows(view) * config.width, views.dtype)
        return [ops.elementwise("add", hidden, hidden, hidden, calls=2)]

    def core(view: View) -> list[Op]:
        length = _length(view)
        return [ops.attention(view.images, config.heads, length, length, config.head_width, views.dtype)]

    project = _linear(views, "attention projection", config.width, config.width)
    names = ("k_proj", "v_proj", "q_proj", "out_proj")
    attention = views.node("attention", "clip attention core", core, children=[(name, project) for name in names])
    return views.node(
        "block",
        "residual",
        residual,
        children=[
            ("self_attn", attention),
            ("layer_norm1", norm),
            ("mlp", _feed_forward(config, views)),
            ("layer_norm2", norm),
        ],
    )


def _feed_forward(config: Clip, views: Views) -> Node:
    def quick_gelu(view: View) -> list[Op]:
        inner = Tensor(_rows(view) * config.mlp_width, views.dtype)
        return [
            ops.elementwise("mul", inner, inner),
            ops.elementwise("sigmoid", inner, inner),
            ops.elementwise("mul", inner, inner, inner),
        ]

    return views.node(
        "block",
        "container",
        children=[
            ("activation_fn", views.node("activation", "activation", quick_gelu)),
            ("fc1", _linear(views, "feed-forward", config.width, config.mlp_width)),
            ("fc2", _linear(views, "feed-forward", config.mlp_width, config.width)),
        ],
    )
